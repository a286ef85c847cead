"""The small copy of a whole photo that some networks take beside a tile."""

import numpy as np


def area_weights(length, side):
    """Weights of an area resize along one axis.

    Each output pixel is the mean of the input it covers, partly covered
    pixels counting by their share, as `tf.image.resize(method="area")`.

    Args:
        length: input pixels.
        side: output pixels.

    Returns:
        float32 (side, length), rows summing to 1.
    """
    edges = np.arange(side + 1) * (length / side)
    starts = np.arange(length)
    overlap = np.minimum(edges[1:, None], starts + 1) - np.maximum(
        edges[:-1, None], starts
    )
    return (np.clip(overlap, 0, 1) / (length / side)).astype(np.float32)


def area_resize(strips, height, width, side):
    """Resizes a picture that comes in strips.

    Args:
        strips: yields (top, float32 (n, W, C)).
        height: rows of the picture.
        width: its columns.
        side: pixels of the square result.

    Returns:
        float32 (side, side, C).
    """
    rows, columns = area_weights(height, side), area_weights(width, side)
    small = 0.0
    for top, strip in strips:
        narrow = np.einsum("tw,nwc->ntc", columns, strip, optimize=True)
        part = rows[:, top : top + len(strip)]
        small = small + np.einsum("sn,ntc->stc", part, narrow, optimize=True)
    return small.astype(np.float32)
