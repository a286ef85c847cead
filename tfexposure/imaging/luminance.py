"""How bright a colour is, from display values."""

# Of R, G and B display values, as the histogram similarity has them (Hu et al.,
# Exposure, 2018; Le Jeune, section 3.4.1).
LUMINANCE_WEIGHTS = (0.27, 0.67, 0.06)
# Rec. 709 weights of light.
LUMA_WEIGHTS = (0.2126, 0.7152, 0.0722)


def luminance(image):
    """Weighs the channels of an image, (..., 3) -> (...).

    Args:
        image: NumPy array or tensor of RGB display values, on any scale.

    >>> import numpy as np
    >>> print(f"{luminance(np.array([1.0, 0.5, 0.0])):.3f}")
    0.605
    """
    return luminance_of_channels(image[..., 0], image[..., 1], image[..., 2])


def luminance_of_channels(red, green, blue):
    """The same of channels that lie apart, of any equal shape."""
    of_red, of_green, of_blue = LUMINANCE_WEIGHTS
    return red * of_red + green * of_green + blue * of_blue


def luma(rgb):
    """Weighs encoded values as light is, a mean that keeps greys grey.

    Args:
        rgb: (..., 3), NumPy array or tensor.

    Returns:
        (...), of the same kind.
    """
    # A product with a vector would wake every core for a photo in hand.
    red, green, blue = LUMA_WEIGHTS
    return rgb[..., 0] * red + rgb[..., 1] * green + rgb[..., 2] * blue
