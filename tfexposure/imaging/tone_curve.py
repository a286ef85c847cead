"""Tone curves of straight pieces."""

from tfexposure.imaging.namespace import namespace_of


def tone_curve(image, slopes, knots):
    """Applies a rising curve, linear between knots and 0 at 0.

    Args:
        image: floats in [0, 1], NumPy array or tensor.
        slopes: (..., len(knots) - 1); with its last axis at 1 it broadcasts
            against the image: (N, 1, 1, pieces) are N photos' curves.
        knots: ends of the pieces, from 0 to 1.

    Returns:
        Array of the image's kind and shape.

    >>> import numpy as np
    >>> image, slopes = np.array([0.25, 0.75]), np.array([0.5, 1.0])
    >>> print(tone_curve(image, slopes, (0.0, 0.5, 1.0)))
    [0.125 0.5  ]
    """
    xp, total = namespace_of(image, slopes), 0.0
    for index, (low, high) in enumerate(zip(knots, knots[1:], strict=False)):
        slope = slopes[..., index : index + 1]
        total = total + slope * xp.clip(image - low, 0.0, high - low)
    return total


def pieces_of(values, knots):
    """How much of each piece of a tone curve lies below values.

    Args:
        values: floats in [0, 1], NumPy array or tensor of any shape.
        knots: ends of the pieces, from 0 to 1.

    Returns:
        (..., len(knots) - 1): times the slopes, and added up, the curve.
    """
    xp = namespace_of(values)
    parts = [
        xp.clip(values - low, 0.0, high - low)
        for low, high in zip(knots, knots[1:], strict=False)
    ]
    return xp.stack(parts, axis=-1)
