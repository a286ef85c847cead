"""Colours of a sensor: what clips in a camera are not sRGB's channels."""

import numpy as np

from tfexposure.imaging.luminance import LUMA_WEIGHTS

# Mean and deviation of what crosses over between channels, of matrices from
# cameras' white-balanced colours to linear sRGB.
_CROSSING = np.array([[0.0, -0.5, -0.1], [-0.2, 0.0, -0.35], [0.0, -0.45, 0.0]])
_DEVIATION = 0.1


def draw_sensor(rng):
    """Draws a matrix (3, 3) from a sensor's colours to linear sRGB.

    Rows add up to 1, so that grey stays grey. Some sensors see sRGB itself, or
    nearly so.
    """
    crossing = _CROSSING + rng.normal(0, _DEVIATION, (3, 3))
    crossing *= (1 - np.eye(3)) * rng.uniform()
    return crossing + np.diag(1 - crossing.sum(axis=1))


def saturate(factor):
    """Returns the matrix (3, 3) that multiplies distances from grey."""
    grey = np.ones((3, 1)) * np.array(LUMA_WEIGHTS)
    return grey + factor * (np.eye(3) - grey)
