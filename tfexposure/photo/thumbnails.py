"""The small copy of a whole photo that some networks take beside a tile."""

import numpy as np

# Values between which a channel of the whole photo goes over to clipped, as
# `tfexposure.natural.with_clip_share` has it.
_SHARE_FROM, _SHARE_TO = 0.97, 0.995


def make_thumbnail(strips, height, width, runner):
    """Makes the thumbnail a runner takes.

    Args:
        strips: yields (top, float32 (n, W, 3) in [0, 1]).
        height: rows of the picture.
        width: its columns.
        runner: has `thumbnail` and `thumbnail_channels`.

    Returns:
        float32 (T, T, 3), or (T, T, 6) with the share of clipped pixels.
    """
    if runner.thumbnail_channels == 6:
        strips = ((top, _with_clip_share(strip)) for top, strip in strips)
    small = area_resize(strips, height, width, runner.thumbnail)
    return np.clip(small, 0, 1)


def _with_clip_share(strip):
    share = (strip - _SHARE_FROM) / (_SHARE_TO - _SHARE_FROM)
    return np.concatenate((strip, np.clip(share, 0, 1)), axis=-1)


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
