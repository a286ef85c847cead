"""How surely values are clipped: ramps from 0 to 1 just below white."""

from tfexposure.imaging.namespace import namespace_of

# Each pair: the value up to which nothing is clipped, and that from which all
# is. Of pixels whose answer is replaced: below white, because JPEG moves values
# and a soft border shows less, but no lower than it must be.
MASK_RAMP = (0.9, 0.99)
# A channel of 8 bits from here on is called clipped: JPEG ripples keep white
# regions from being 255 throughout.
CLIPPED_LEVEL = 250
# Of pixels that are counted: strict, few values below white.
COUNT_RAMP = (0.97, 0.995)
# Of means of many pixels, of which some are darker.
MEAN_RAMP = (0.88, 0.97)


def clip_mask(image, ends):
    """Says per channel how surely a value is clipped, in [0, 1].

    Args:
        image: floats in [0, 1], NumPy array or tensor.
        ends: the value up to which nothing is clipped, and that from which
            all is.

    >>> import numpy as np
    >>> print(clip_mask(np.array([0.5, 0.945, 1.0]), MASK_RAMP).round(3))
    [0.  0.5 1. ]
    """
    low, high = ends
    # A product is quicker than a division, and a photo has many pixels.
    rise = (image - low) * (1.0 / (high - low))
    return namespace_of(image).clip(rise, 0.0, 1.0)


def white_mask(image, ends):
    """Says per channel how near white a value is, in [0, 1].

    Args:
        image: floats in [0, 1], NumPy array or tensor.
        ends: the value from which it rises, gently, and that where it is 1.
    """
    rise = clip_mask(image, ends)
    return rise * rise
