"""Closeness when the overall brightness is given away, and of the whites.

How bright a photo was meant nobody can tell from its pixels; these say what is
left to blame. Written in NumPy: single images, display-encoded RGB in [0, 1].
"""

import numpy as np
from keras import ops

from tfexposure.imaging.luminance import LUMINANCE_WEIGHTS
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
        y_true: float (H, W, 3) in [0, 1].
        y_pred: the same.

    Returns:
        float, in dB.
    """
    wanted, light = _light(y_true), _light(y_pred)
    known = (wanted < _BLOWN) & (light < _BLOWN)
    power = np.square(light[known]).sum()
    gain = (light * wanted)[known].sum() / power if power > 0 else 1.0
    scaled = GAMMA_2_2.from_linear(np.clip(light * gain, 0, 1))
    error = ops.convert_to_numpy(scaled) - y_true
    return float(decibels(np.mean(np.square(error), dtype="float64")))


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


def luminance(image):
    """Luminance of display values, (..., 3) -> (...)."""
    return image @ np.array(LUMINANCE_WEIGHTS)


def _light(image):
    light = GAMMA_2_2.to_linear(np.asarray(image, "float32"))
    return ops.convert_to_numpy(light)
