"""Photos read as plain pixels; `photo.io` reads all else that files hold."""

import io
import os

import numpy as np
from PIL import Image, ImageOps

from tfexposure.errors import UserError

# What compression cannot exceed: a block of 64 values takes a bit of a JPEG at
# least, and deflate makes of a byte 1,032 at most.
JPEG_PIXELS_PER_BYTE, DEFLATED_PER_BYTE = 512, 1032


def read_rgb(source, name=None, draft_side=0):
    """Reads a photo's pixels, upright by its EXIF orientation.

    Args:
        source: path of the file, or its bytes.
        name: what errors call it; the path if None.
        draft_side: a JPEG may be decoded at 1/2, 1/4 or 1/8, if no side gets
            smaller than this; 0: at full size.

    Returns:
        uint8 (H, W, 3), RGB as stored; grey is repeated, alpha left out, and
        of 16 bits the upper 8 are kept.

    Raises:
        UserError: if it is no photo that can be read.
    """
    is_path = isinstance(source, (str, os.PathLike))
    try:
        with Image.open(source if is_path else io.BytesIO(source)) as image:
            if draft_side:
                image.draft("RGB", (draft_side, draft_side))
            return np.asarray(upright_rgb(image))
    except Exception as error:  # Pillow's plugins raise nearly anything.
        name = name or (source if is_path else "the photo")
        raise UserError(f"{name}: not a readable photo: {error}") from error


def upright_rgb(image):
    """Turns an opened `PIL.Image` upright and makes it 8-bit RGB.

    Raises:
        ValueError: if its pixels have no known white.
    """
    image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):
        # Pillow's own conversion to 8 bits saturates instead of scaling.
        levels = (np.asarray(image) >> 8).astype(np.uint8)
        image = Image.fromarray(levels)
    elif image.mode in ("I", "F"):
        raise ValueError(f"pixels of mode {image.mode} have no known white")
    return image.convert("RGB")
