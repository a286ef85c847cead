"""The eight EXIF orientations, strip by strip.

"Stored" pixels are as the file holds them, "upright" ones as they are seen.
The network gets upright pixels; a file keeps its stored order and its tag.
"""

import re

import numpy as np

# Stored rows run along the columns of the upright picture.
TRANSPOSED = frozenset({5, 6, 7, 8})


def upright_size(height, width, orientation):
    """(height, width) as seen, from the stored size. Its own inverse."""
    if orientation in TRANSPOSED:
        return width, height
    return height, width


def inverse(orientation):
    """The orientation that takes upright pixels back to stored ones."""
    return {6: 8, 8: 6}.get(orientation, orientation)


def orient(pixels, orientation):
    """Turns stored pixels (H, W[, C]) upright; a view where possible."""
    if orientation == 2:
        return pixels[:, ::-1]
    if orientation == 3:
        return pixels[::-1, ::-1]
    if orientation == 4:
        return pixels[::-1]
    if orientation == 5:
        return pixels.swapaxes(0, 1)
    if orientation == 6:
        return np.rot90(pixels, -1)
    if orientation == 7:
        return pixels[::-1, ::-1].swapaxes(0, 1)
    if orientation == 8:
        return np.rot90(pixels)
    return pixels


def stored_box(top, bottom, height, width, orientation):
    """Where upright rows `top:bottom` lie in the file.

    Args:
        top, bottom: rows of the upright picture.
        height, width: size of the upright picture.
        orientation: EXIF value 1 to 8.

    Returns:
        (left, upper, right, lower) in stored pixels, as Pillow's `crop`.
    """
    if orientation in (3, 4, 7, 8):
        top, bottom = height - bottom, height - top
    if orientation in TRANSPOSED:
        return top, 0, bottom, width
    return 0, top, width, bottom


_IN_XMP = re.compile(rb"""(tiff:Orientation(?:\s*=\s*["']|>)\s*)([1-8])""")


def of_xmp(xmp):
    """The orientation that an XMP packet states, or `None`."""
    found = _IN_XMP.search(xmp or b"")
    return int(found[2]) if found else None


def in_xmp(xmp, orientation):
    """The packet with this orientation where it states one, else as it is."""
    if not xmp:
        return xmp
    return _IN_XMP.sub(rb"\g<1>%d" % orientation, xmp)
