"""How bright a colour is, from display values."""

# Of R, G and B display values, as the histogram similarity has them (Hu et al.,
# Exposure, 2018; Le Jeune, section 3.4.1).
LUMINANCE_WEIGHTS = (0.27, 0.67, 0.06)


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
