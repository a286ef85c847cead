"""A picture of where a photo is clipped."""

import numpy as np
from PIL import Image

from tfexposure.photo import inspection
from tfexposure.photo.io import files

# The overlay is for looking at: its longer side in pixels.
_SIDE = 1600
# All channels clipped; some channels clipped.
_LOST, _PARTLY = (255, 0, 255), (255, 140, 0)


def preview(rows, colours, side=_SIDE):
    """A small uint8 RGB copy of a picture, made strip by strip.

    Args:
        rows: `PixelBuffer`.
        colours: 1 or 3.
        side: pixels of the longer side at most.

    Returns:
        uint8 (h, w, 3); every n-th pixel, so that clipped pixels stay so.
    """
    step = _step(rows, side)
    parts = [
        inspection.to_levels(
            strip[(-top) % step :: step, ::step, :colours], rows.maximum
        )
        for top, strip in rows.strips()
    ]
    small = np.concatenate(parts)
    return np.repeat(small, 3, -1) if colours == 1 else small


def write_overlay(photo, path):
    """Writes the photo in grey, clipped pixels in orange and magenta.

    Args:
        photo: a `Photo`.
        path: PNG to write.
    """
    levels = preview(photo.pixels, photo.colours)
    clipped = levels >= inspection.CLIPPED * 255
    grey = levels.mean(-1, keepdims=True) * 0.6
    picture = np.repeat(grey, 3, -1)
    picture[clipped.any(-1)] = _PARTLY
    picture[clipped.all(-1)] = _LOST
    with files.atomic_file(path, photo.permissions) as file:
        Image.fromarray(picture.astype(np.uint8)).save(file, "PNG")


def _step(rows, side):
    return max(1, -(-max(rows.shape[:2]) // side))
