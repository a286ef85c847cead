"""White around a picture: frames and margins, which no exposure made.

White that is pure up to two opposite borders of a picture was drawn. Of some
4,000 photos, strongly overexposed ones among them, none has it; charts, pages
and cut-outs have.
"""

import dataclasses

import numpy as np

# From here on white is pure: overexposed photos have 255, too, but not along
# opposite borders.
_PURE = 254 / 255
# Least width of a margin: a share of the picture's, and pixels.
_LEAST_SHARE, _LEAST = 0.01, 2
# A photo in a frame differs from white nearly all along its own borders ...
_DIFFERENT = 230 / 255
_ALONG = 0.9
# ... within this many pixels of them, where JPEG ripples, and this share of the
# picture's side.
_BLOCK, _NEAR = 16, 0.03
# Nor is it white for the most part.
_MOST = 0.5


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
    rows, columns = np.zeros(height, bool), np.zeros(width, bool)
    for top, strip in pixels.strips():
        drawn = ~_is_pure(strip, pixels.maximum)
        rows[top : top + len(strip)] = drawn.any(1)
        columns |= drawn.any(0)
    if not rows.any():
        return None  # White throughout.
    box = (*_span(rows), *_span(columns))
    wide = [
        margin >= max(_LEAST, _LEAST_SHARE * size)
        for margin, size in (
            (box[0], height), (height - box[1], height),
            (box[2], width), (width - box[3], width),
        )
    ]  # fmt: skip
    if not (all(wide[:2]) or all(wide[2:])):
        return None
    part = pixels.window(*box)
    pure, along = _look_at(part)
    content = part.shape[0] * part.shape[1]
    # A border of the picture itself says nothing.
    margins = (box[0], height - box[1], box[2], width - box[3])
    if pure < _MOST * content and all(
        share >= _ALONG
        for share, margin in zip(along, margins, strict=True)
        if margin
    ):
        return Surround(box, True)
    # A page may be cut off at one border.
    white = 1 - (content - pure) / (height * width)
    if all(wide) or (sum(wide) == 3 and white >= _MOST):
        return Surround(box, False)
    return None


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
    return (strip >= _PURE * maximum).all(-1)


def _span(flags):
    """First true place, and the one behind the last."""
    places = np.flatnonzero(flags)
    return int(places[0]), int(places[-1]) + 1


def _look_at(pixels):
    """What a photo in a frame shows.

    Returns:
        (number of pixels of pure white, shares of the upper, lower, left and
        right border along which something else than white is near).
    """
    height, width, _ = pixels.shape
    near = [
        min(_BLOCK, max(_LEAST, int(_NEAR * size))) for size in (height, width)
    ]
    left, right = np.zeros((2, height), bool)
    above, below = np.zeros((2, width), bool)
    pure = 0
    for top, strip in pixels.strips():
        bottom = top + len(strip)
        pure += np.count_nonzero(_is_pure(strip, pixels.maximum))
        dark = (strip < _DIFFERENT * pixels.maximum).any(-1)
        left[top:bottom] = dark[:, : near[1]].any(1)
        right[top:bottom] = dark[:, -near[1] :].any(1)
        above |= dark[: max(near[0] - top, 0)].any(0)
        below |= dark[max(height - near[0] - top, 0) :].any(0)
    return pure, [side.mean() for side in (above, below, left, right)]
