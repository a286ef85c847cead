"""The small copy of a whole photo that some networks take beside a tile."""

import numpy as np

# Values between which a channel of the whole photo goes over to clipped, as
# `tfexposure.blind.with_clip_share` has it.
_SHARE_FROM, _SHARE_TO = 0.97, 0.995


def make_thumbnail(strips, height, width, runner):
    """Makes the thumbnail a runner takes.

    Args:
        strips: yields (top, float32 (n, W, 3) in [0, 1]).
        height: rows of the picture.
        width: its columns.
        runner: has `thumbnail` and `thumbnail_channels`.

    Returns:
        float32 (T, T, 3), or (T, T, 9) as `tfexposure.blind.thumbnails_of`
        makes it: means, shares of clipped pixels, single pixels.
    """
    side = runner.thumbnail
    if runner.thumbnail_channels == 3:
        return np.clip(area_resize(strips, height, width, side), 0, 1)
    view = area_resize(strips, height, width, 2 * side)
    blocks = _with_clip_share(view).reshape(side, 2, side, 2, 6)
    small = np.concatenate((blocks.mean((1, 3)), view[1::2, 1::2]), axis=-1)
    return np.clip(small, 0, 1)


def _with_clip_share(strip):
    share = (strip - _SHARE_FROM) / (_SHARE_TO - _SHARE_FROM)
    return np.concatenate((strip, np.clip(share, 0, 1)), axis=-1)


def area_resize(strips, height, width, side):
    """Resizes a picture that comes in strips.

    Each output pixel is the mean of the input it covers, partly covered
    pixels counting by their share, as `tf.image.resize(method="area")`.

    Args:
        strips: yields (top, float32 (n, W, C)).
        height: rows of the picture.
        width: its columns.
        side: pixels of the square result.

    Returns:
        float32 (side, side, C).
    """
    rows, columns = (
        np.arange(side + 1) * (length / side) for length in (height, width)
    )
    # Products of matrices would keep all cores busy for a few numbers.
    lines = sum(_sums_between(strip, rows - top) for top, strip in strips)
    small = _sums_between(lines.swapaxes(0, 1), columns).swapaxes(0, 1)
    return small * np.float32(side / height * side / width)


def _sums_between(values, edges):
    """Sums along the first axis from each edge, in pixels, to the next.

    The last edge lies at the end of the values or behind it.
    """
    edges = np.clip(edges, 0, len(values))
    first = edges.astype(np.intp)
    share = (edges - first).astype(np.float32)
    values = np.concatenate((values, np.zeros_like(values[:1])))
    parts = values[first] * share.reshape(-1, *[1] * (values.ndim - 1))
    sums = np.add.reduceat(values, first[:-1], axis=0)
    # Where there is no whole pixel, `reduceat` takes one all the same.
    sums[first[:-1] == first[1:]] = 0
    return sums + np.diff(parts, axis=0)
