"""White around a picture: frames and margins, which no exposure made.

White that is pure up to two opposite borders of a picture was drawn. Of some
4,000 photos, strongly overexposed ones among them, none has it; charts, pages
and cut-outs have.
"""

from tfexposure.imaging.namespace import as_array, namespace_of

# White is pure from level 254 on: overexposed photos have that, too, but not
# along opposite borders.
PURE = 253.5 / 255
# A photo in a frame differs from white nearly all along its own borders ...
DIFFERENT = 229.5 / 255
_ALONG = 0.9
# ... within this many pixels of them, where JPEG ripples, and this share of the
# picture's side.
_BLOCK, _NEAR = 16, 0.03
# Nor is it white for the most part.
_MOST = 0.5
# Least width of a margin: a share of the picture's, and pixels.
_LEAST_SHARE, _LEAST = 0.01, 2


def near_border(side):
    """Says how many pixels are near a border of a photo in a frame.

    Args:
        side: int or tensor, pixels of the photo across that border.
    """
    xp = namespace_of(side)
    share = as_array(
        xp.floor(_NEAR * as_array(side, xp, "float32")), xp, "int32"
    )
    return xp.clip(share, _LEAST, _BLOCK)


def judge_surround(box, size, drawn, along):
    """Says what pure white around something makes of a picture.

    Args:
        box: (top, bottom, left, right) of all that is not pure white; ints or
            tensors, as all that follows.
        size: (height, width) of the picture.
        drawn: number of pixels that are not pure white.
        along: shares of the upper, lower, left and right border of the box
            along which something else than white is near.

    Returns:
        Two bools: whether a photo fills the box, in a frame; whether it is a
        page, a chart or something cut out. Neither: no white was drawn.
    """
    xp = namespace_of(*box, *size, drawn, *along)
    top, bottom, left, right = box
    height, width = size
    margins = xp.stack([top, height - bottom, left, width - right])
    sides = as_array(
        xp.stack([height, height, width, width]), xp, margins.dtype
    )
    least = _LEAST_SHARE * as_array(sides, xp, "float32")
    wide = as_array(margins, xp, "float32") >= xp.maximum(least, _LEAST)
    drawn = as_array(drawn, xp, "float32")
    content, pixels = (
        as_array(area, xp, "float32")
        for area in ((bottom - top) * (right - left), height * width)
    )
    # A border of the picture itself says nothing.
    filled = xp.all((margins == 0) | (xp.stack(list(along)) >= _ALONG))
    opposite = (wide[0] & wide[1]) | (wide[2] & wide[3])
    is_frame = opposite & filled & (content - drawn < _MOST * content)
    # A page may be cut off at one border.
    count = xp.count_nonzero(wide)
    mostly_white = pixels - drawn >= _MOST * pixels
    is_page = (count == 4) | ((count == 3) & mostly_white)
    return is_frame, is_page & ~is_frame
