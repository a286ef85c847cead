"""Photos, overexposed the same way in every evaluation."""

import dataclasses
import hashlib
import re

import numpy as np
from keras import ops

from tfexposure.data.packed import to_bytes
from tfexposure.evaluation.example import Example, to_uint8
from tfexposure.imaging import exposure
from tfexposure.imaging.files import read_rgb
from tfexposure.imaging.transfer_curves import get_response

# `tau0.5`, `tau0.2to0.9` or `tau-random`, then `-jpeg` or `-jpeg75`.
_NAME = re.compile(
    r"tau(?:(?P<low>[\d.]+)(?:to(?P<high>[\d.]+))?|-random)"
    r"(?:-jpeg(?P<quality>\d+)?)?"
)
_RANDOM = (0.5, 1.0)
_JPEG_QUALITY = 90


@dataclasses.dataclass(frozen=True)
class Simulation:
    """How photos are overexposed.

    A photo's tau and dequantisation noise depend on its file's name and the
    seed alone, not on the other photos.

    Attributes:
        tau_min: least tau, in (0, 1].
        tau_max: greatest tau; drawn uniformly where the two differ.
        response: name of the camera's curve.
        jpeg_quality: of the overexposed photo; 0 for no compression.
        seed: of the draws.
    """

    tau_min: float = 0.5
    tau_max: float = 0.5
    response: str = "gamma"
    jpeg_quality: int = 0
    seed: int = 0

    def __post_init__(self):
        if not 0 < self.tau_min <= self.tau_max <= 1:
            raise ValueError(
                "0 < `tau_min` <= `tau_max` <= 1 must hold. Received: "
                f"{self.tau_min} and {self.tau_max}"
            )
        if not 0 <= self.jpeg_quality <= 100:
            raise ValueError(
                "`jpeg_quality` should lie in [0, 100]. Received: "
                f"{self.jpeg_quality}"
            )

    @classmethod
    def from_name(cls, name, **settings):
        """Makes the simulation that a name such as `tau-random-jpeg` says.

        Args:
            name: `tau<VALUE>`, `tau<LEAST>to<GREATEST>` or `tau-random` (0.5
                to 1), followed by nothing, by `-jpeg` (quality 90, saved once)
                or by `-jpeg<QUALITY>`.
            **settings: `response` and `seed`.

        Raises:
            ValueError: for another name, or for values out of range.
        """
        match = _NAME.fullmatch(name)
        try:
            low, high = _RANDOM
            if match["low"]:
                low = float(match["low"])
                high = float(match["high"] or low)
        except (TypeError, ValueError) as error:
            raise ValueError(
                "a set should be called tau0.5, tau0.2to0.9, tau-random or one "
                f"of these with -jpeg or -jpeg75 after it. Received: {name!r}"
            ) from error
        quality = 0
        if "-jpeg" in name:
            quality = int(match["quality"] or _JPEG_QUALITY)
        return cls(low, high, jpeg_quality=quality, **settings)

    def apply(self, target, name):
        """Overexposes a photo.

        Args:
            target: float32 (H, W, 3) in [0, 1], from 8-bit values.
            name: the file's name; it seeds the draws.

        Returns:
            An `Example`.
        """
        digest = hashlib.sha256(f"{self.seed}/{name}".encode()).digest()
        generator = np.random.default_rng(int.from_bytes(digest[:8], "big"))
        tau = float(generator.uniform(self.tau_min, self.tau_max))
        noise = generator.random(target.shape, np.float32) - np.float32(0.5)
        response = get_response(self.response)
        overexposed = exposure.quantize(
            exposure.overexpose(
                exposure.dequantize(target, noise), tau, response
            )
        )
        overexposed = np.asarray(ops.convert_to_numpy(overexposed))
        if self.jpeg_quality:
            saved = to_bytes(to_uint8(overexposed), self.jpeg_quality)
            overexposed = np.float32(read_rgb(saved)) / 255
        return Example(name, target, overexposed, tau, response, scene=name)
