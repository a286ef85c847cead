"""One photo to restore, and the truth."""

import dataclasses

import numpy as np
from keras import ops
from PIL import Image

from tfexposure.imaging.exposure import GAMMA_2_2
from tfexposure.imaging.files import read_rgb
from tfexposure.metrics import clipped_region


@dataclasses.dataclass(frozen=True)
class Example:
    """An overexposed image and the one that a restoration should be.

    Attributes:
        name: the file's name.
        target: float32 (H, W, 3) in [0, 1], 8-bit values: the original, or a
            well-exposed frame of the same scene.
        overexposed: float32 (H, W, 3) in [0, 1], 8-bit values.
        tau: the share of full-scale light that became white; None where
            nobody knows.
        response: curve of the camera, as in `imaging.exposure`.
        scene: examples of one scene are no independent samples.
    """

    name: str
    target: np.ndarray
    overexposed: np.ndarray
    tau: float | None = None
    response: object = GAMMA_2_2
    scene: str = ""

    @property
    def clipped(self):
        """Pixels of which a channel lost its light; bool (H, W).

        Where tau is known, those whose light reached it; else those that are
        white in the overexposed image.
        """
        if self.tau is None:
            region = clipped_region(self.overexposed[None])[0, ..., 0]
            return ops.convert_to_numpy(region) > 0
        light = ops.convert_to_numpy(self.response.to_linear(self.target))
        return (light >= self.tau).any(axis=-1)


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
    image = Image.fromarray(read_rgb(path))
    if max_side and max(image.size) > max_side:
        image.thumbnail((max_side, max_side), Image.Resampling.LANCZOS)
    return np.asarray(image, np.float32) / 255


def to_uint8(image):
    """Rounds an image in [0, 1] to 8 bits; NumPy (H, W, 3)."""
    return np.floor(np.clip(image, 0, 1) * 255 + 0.5).astype(np.uint8)
