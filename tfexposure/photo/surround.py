"""White around a picture: frames and margins, which no exposure made.

White that is pure up to two opposite borders of a picture was drawn. Of some
4,000 photos, strongly overexposed ones among them, none has it; charts, pages
and cut-outs have.
"""

import dataclasses

import numpy as np

from tfexposure.imaging.surround import (
    DIFFERENT,
    PURE,
    judge_surround,
    near_border,
)


@dataclasses.dataclass(frozen=True)
class Surround:
    """Pure white around something.

    Attributes:
        box: (top, bottom, left, right) of all that is not pure white.
        is_frame: whether a photo fills the box; else it is a page, a chart or
            something cut out.
    """

    box: tuple
    is_frame: bool


def find_surround(pixels, colours):
    """Finds pure white along opposite borders of a picture.

    Args:
        pixels: `PixelBuffer` of an upright picture.
        colours: 1 or 3, how many of its channels are not alpha.

    Returns:
        `Surround`, or `None` if there is none, or alpha already says what of
        the picture counts.
    """
    height, width, channels = pixels.shape
    if channels != colours or not _may_have_one(pixels):
        return None
    rows, columns, count = np.zeros(height, bool), np.zeros(width, bool), 0
    for top, strip in pixels.strips():
        drawn = ~_is_pure(strip, pixels.maximum)
        rows[top : top + len(strip)] = drawn.any(1)
        columns |= drawn.any(0)
        count += np.count_nonzero(drawn)
    if not rows.any():
        return None  # White throughout.
    box = (*_span(rows), *_span(columns))
    along = _along_borders(pixels.window(*box))
    is_frame, is_page = judge_surround(box, (height, width), count, along)
    return Surround(box, bool(is_frame)) if is_frame or is_page else None


def _may_have_one(pixels):
    """Whether two opposite borders are pure: quick, and most often not."""
    ends = (
        pixels.read(0, 1),
        pixels.read(pixels.shape[0] - 1, pixels.shape[0]),
    )
    if all(_is_pure(end, pixels.maximum).all() for end in ends):
        return True
    return all(
        _is_pure(strip[:, [0, -1]], pixels.maximum).all()
        for _, strip in pixels.strips()
    )


def _is_pure(strip, maximum):
    return (strip >= PURE * maximum).all(-1)


def _span(flags):
    """First true place, and the one behind the last."""
    places = np.flatnonzero(flags)
    return int(places[0]), int(places[-1]) + 1


def _along_borders(pixels):
    """Shares of a box's borders along which it differs from white.

    Of the upper, lower, left and right one.
    """
    height, width, _ = pixels.shape
    rows, columns = near_border(height), near_border(width)
    limit = DIFFERENT * pixels.maximum
    ends = [
        pixels.read(0, min(rows, height)),
        pixels.read(max(height - rows, 0), height),
    ]
    # Copies, so that the strips' other pixels can go.
    sides = [
        (strip[:, :columns].copy(), strip[:, -columns:].copy())
        for _, strip in pixels.strips()
    ]
    ends += [np.concatenate(side) for side in zip(*sides, strict=True)]
    return [
        (part < limit).any(-1).any(axis).mean()
        for part, axis in zip(ends, (0, 0, 1, 1), strict=True)
    ]
