"""Photos, read and overexposed the same way in every evaluation."""

import dataclasses
import hashlib
import io
from pathlib import Path

import numpy as np
from keras import ops
from PIL import Image, ImageOps

from tfexposure.data.manifest import kept_photos
from tfexposure.errors import UserError
from tfexposure.imaging import exposure
from tfexposure.imaging.transfer_curves import get_response
from tfexposure.metrics import clipped_region
from tfexposure.storage import list_photos


@dataclasses.dataclass(frozen=True)
class Example:
    """One photo and its overexposed version.

    Attributes:
        name: the file's name.
        target: float32 (H, W, 3) in [0, 1], the original.
        overexposed: float32 (H, W, 3) in [0, 1], 8-bit values.
        region: float32 (H, W, 1), 1 where a channel was clipped.
        tau: the share of full-scale light that became white.
        response: the camera's curve, as in `exposure`.
    """

    name: str
    target: np.ndarray
    overexposed: np.ndarray
    region: np.ndarray
    tau: float
    response: object


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
        region = clipped_region(overexposed[None])[0]
        overexposed = _array(overexposed)
        if self.jpeg_quality:
            overexposed = _jpeg(overexposed, self.jpeg_quality)
        return Example(name, target, overexposed, _array(region), tau, response)


def find_photos(source, limit=None):
    """Lists the photos to evaluate on.

    Args:
        source: folder of photos, or manifest of curated ones.
        limit: at most so many, evenly spaced; None for all.

    Returns:
        List of `Path`.

    Raises:
        UserError: if there is no such source or it holds no photo.
    """
    source = Path(source)
    if source.is_dir():
        paths = [source / name for name in list_photos(source)]
    elif source.is_file():
        paths = [path for _, path in kept_photos(source)]
    else:
        raise UserError(
            f"{source} should be a folder of photos or a manifest of "
            "trainers/curate.py; it does not exist."
        )
    if not paths:
        raise UserError(f"{source} holds no photos.")
    if limit and limit < len(paths):
        places = np.linspace(0, len(paths) - 1, limit).round().astype(int)
        paths = [paths[place] for place in places]
    return paths


def read_photo(path, max_side=None):
    """Reads a photo, upright.

    Args:
        path: of the file.
        max_side: larger photos are reduced to this many pixels.

    Returns:
        NumPy float32 (H, W, 3) in [0, 1], 8-bit values.

    Raises:
        UserError: if the file is no photo that can be read.
    """
    try:
        with Image.open(path) as image:
            image = ImageOps.exif_transpose(image).convert("RGB")
    except Exception as error:  # Pillow's plugins raise nearly anything.
        raise UserError(f"{path} cannot be read as a photo: {error}") from error
    if max_side and max(image.size) > max_side:
        image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    return np.asarray(image, np.float32) / 255


def to_uint8(image):
    """Rounds an image in [0, 1] to 8 bits; NumPy (H, W, 3)."""
    return np.floor(np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)


def _jpeg(image, quality):
    stream = io.BytesIO()
    Image.fromarray(to_uint8(image)).save(stream, "JPEG", quality=quality)
    return np.asarray(Image.open(stream), np.float32) / 255


def _array(tensor):
    return np.asarray(ops.convert_to_numpy(tensor))
