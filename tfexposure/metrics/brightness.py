"""Closeness when the overall brightness is given away, and of the whites.

How bright a photo was meant nobody can tell from its pixels; these say what is
left to blame. Images are display-encoded RGB in [0, 1]; all but
`psnr_best_gain` are written in NumPy, for single images.
"""

import numpy as np

from tfexposure.imaging.luminance import luminance
from tfexposure.imaging.namespace import as_array, namespace_of
from tfexposure.imaging.transfer_curves import GAMMA_2_2
from tfexposure.metrics.fidelity import decibels

# Light above this counts as blown and does not steer the best gain.
_BLOWN = 0.9
_WHITE_QUANTILE = 0.995


def psnr_best_gain(y_true, y_pred):
    """PSNR after the best single gain in linear light.

    The gain is the least-squares one over the channel values whose light
    (power law 2.2) is below 0.9 in both images.

    Args:
        y_true: float (..., H, W, 3) in [0, 1], NumPy array or tensor.
        y_pred: the same.

    Returns:
        float (...), in dB.
    """
    xp = namespace_of(y_true, y_pred)
    y_true = as_array(y_true, xp)
    light = GAMMA_2_2.to_linear(as_array(y_pred, xp, y_true.dtype))
    wanted = GAMMA_2_2.to_linear(y_true)
    axes = (-3, -2, -1)
    known = xp.logical_and(wanted < _BLOWN, light < _BLOWN)
    steering = xp.where(known, light, 0.0)
    power = xp.sum(steering * light, axes, keepdims=True)
    match = xp.sum(steering * wanted, axes, keepdims=True)
    # Where nothing is known the gain is 1.
    gain = xp.where(power > 0, match, 1.0) / xp.where(power > 0, power, 1.0)
    scaled = GAMMA_2_2.from_linear(xp.clip(light * gain, 0.0, 1.0))
    return decibels(xp.mean(xp.square(scaled - y_true), axes))


def psnr_same_mean(y_true, y_pred):
    """PSNR after scaling display values to the mean luminance of the truth.

    Known as "GT mean" in the literature on low light.

    Args:
        y_true: float (H, W, 3) in [0, 1].
        y_pred: the same.

    Returns:
        float, in dB.
    """
    gain = luminance(y_true).mean() / max(luminance(y_pred).mean(), 1e-6)
    error = np.clip(y_pred * gain, 0, 1) - y_true
    return float(decibels(np.mean(np.square(error), dtype="float64")))


def white_difference(y_true, y_pred):
    """Difference of the whites: the 99.5th percentiles of luminance.

    Args:
        y_true: float (H, W, 3) in [0, 1].
        y_pred: the same.

    Returns:
        float in [-1, 1], positive where `y_pred` has brighter whites.
    """
    pred, true = (
        np.quantile(luminance(image), _WHITE_QUANTILE)
        for image in (y_pred, y_true)
    )
    return float(pred - true)
