"""The small copy of a whole photo that some networks take beside a tile."""

import numpy as np

from tfexposure.imaging.area_resize import area_resize_strips
from tfexposure.imaging.thumbnail import thumbnails_of_views


def make_thumbnail(strips, height, width, runner):
    """Makes the thumbnail a runner takes.

    Args:
        strips: yields (top, float32 (n, W, 3) in [0, 1]).
        height: rows of the picture.
        width: its columns.
        runner: has `thumbnail` and `thumbnail_channels`.

    Returns:
        float32 (T, T, 3), or (T, T, 9) as `imaging.thumbnail` lays it out.
    """
    side = runner.thumbnail
    if runner.thumbnail_channels == 3:
        small = area_resize_strips(strips, height, width, side)
    else:
        view = area_resize_strips(strips, height, width, 2 * side)
        small = thumbnails_of_views(view)
    return np.clip(small, 0, 1)
