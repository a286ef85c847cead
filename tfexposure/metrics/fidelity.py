"""PSNR, SSIM and mean L1: how close a restored photo is to its original.

All take `(y_true, y_pred)`, display-encoded RGB in [0, 1], and return one
value per photo. With a `region`, only its pixels count: inside the clipped
areas a restoration is invention, outside it should be exact.
"""

import keras
import numpy as np
from keras import ops

from tfexposure.imaging.namespace import namespace_of

# An 8-bit value of 255, with room for rounding.
CLIP_LEVEL = 254.5 / 255
# Identical photos count as this, in dB, so that means over photos are finite
# and not made by the few that are left as they are. Rounding to 8 bits alone
# leaves 59 dB.
PSNR_CAP = 60.0

# Side of the window, in pixels.
SSIM_WINDOW = 11
_SSIM_SIGMA = 1.5
_SSIM_RADIUS = SSIM_WINDOW // 2
_SSIM_C1 = 0.01**2
_SSIM_C2 = 0.03**2


def clipped_region(overexposed):
    """Marks the pixels of which at least one channel is clipped.

    Args:
        overexposed: float (N, H, W, 3) in [0, 1].

    Returns:
        Float (N, H, W, 1), 1 where clipped, else 0.
    """
    overexposed = ops.convert_to_tensor(overexposed)
    peak = ops.max(overexposed, axis=-1, keepdims=True)
    return ops.cast(peak >= CLIP_LEVEL, overexposed.dtype)


def decibels(mse, cap=PSNR_CAP):
    """Peak signal-to-noise ratio for a peak of 1.

    Args:
        mse: mean square error; a float, an array or a tensor.
        cap: greatest value, in dB; higher than by default where answers in
            floating point are compared, not photos.

    Returns:
        `-10 log10(mse)`, in dB, at most `cap`; NaN stays NaN.
    """
    xp, least = namespace_of(mse), 10 ** (-cap / 10)
    # where(), as maximum() need not keep NaN.
    return -10 * xp.log10(xp.where(mse < least, least, mse))


def mean_l1(y_true, y_pred, region=None):
    """Mean absolute difference.

    Args:
        y_true: float (N, H, W, C) in [0, 1].
        y_pred: the same.
        region: float (N, H, W, 1), weights of the pixels; None for all alike.

    Returns:
        Float (N,); NaN where the region is empty.
    """
    y_true, y_pred = _pair(y_true, y_pred)
    return _region_mean(ops.abs(y_true - y_pred), region)


def psnr(y_true, y_pred, region=None):
    """Peak signal-to-noise ratio for a peak of 1, in dB.

    Args:
        y_true: float (N, H, W, C) in [0, 1].
        y_pred: the same.
        region: float (N, H, W, 1), weights of the pixels; None for all alike.

    Returns:
        Float (N,), at most `PSNR_CAP` (identical photos); NaN where the region
        is empty.
    """
    y_true, y_pred = _pair(y_true, y_pred)
    mse = _region_mean(ops.square(y_true - y_pred), region)
    return decibels(mse)


def ssim(y_true, y_pred, region=None):
    """Structural similarity with a Gaussian window of standard deviation 1.5.

    The window has 11 x 11 pixels; only its positions entirely within the
    photo count, channels are averaged. Equals scikit-image's
    `structural_similarity(gaussian_weights=True, sigma=1.5,
    use_sample_covariance=False, data_range=1)`.

    Args:
        y_true: float (N, H, W, C) in [0, 1], H and W at least 11.
        y_pred: the same.
        region: float (N, H, W, 1), weights of the windows' centres; None for
            all alike.

    Returns:
        Float (N,) in [-1, 1]; NaN where the region is empty.

    Raises:
        ValueError: if a photo is smaller than the window.

    Reference:
        Wang et al., Image quality assessment: from error visibility to
        structural similarity, 2004.
    """
    y_true, y_pred = _pair(y_true, y_pred)
    size = SSIM_WINDOW
    height, width = y_true.shape[1:3]
    if (height or size) < size or (width or size) < size:
        raise ValueError(
            f"SSIM's window needs at least {size} x {size} pixels. "
            f"Received: {height} x {width}"
        )
    mean_true, mean_pred = _blur(y_true), _blur(y_pred)
    var_true = _blur(y_true * y_true) - mean_true * mean_true
    var_pred = _blur(y_pred * y_pred) - mean_pred * mean_pred
    covariance = _blur(y_true * y_pred) - mean_true * mean_pred
    similarity = (
        (2 * mean_true * mean_pred + _SSIM_C1)
        * (2 * covariance + _SSIM_C2)
        / (mean_true * mean_true + mean_pred * mean_pred + _SSIM_C1)
        / (var_true + var_pred + _SSIM_C2)
    )
    if region is not None:
        edge = slice(_SSIM_RADIUS, -_SSIM_RADIUS)
        region = ops.convert_to_tensor(region)[:, edge, edge]
    return _region_mean(similarity, region)


def _pair(y_true, y_pred):
    y_true = ops.convert_to_tensor(y_true)
    y_pred = ops.convert_to_tensor(y_pred, dtype=y_true.dtype)
    if len(y_true.shape) != 4 or y_true.shape != y_pred.shape:
        raise ValueError(
            "`y_true` and `y_pred` should both be (N, H, W, C). Received: "
            f"{tuple(y_true.shape)} and {tuple(y_pred.shape)}"
        )
    return y_true, y_pred


def _region_mean(values, region):
    if region is None:
        return ops.mean(values, axis=(1, 2, 3))
    region = ops.cast(region, values.dtype)
    weight = ops.sum(region, axis=(1, 2, 3)) * values.shape[-1]
    return ops.sum(values * region, axis=(1, 2, 3)) / weight


def _blur(images):
    """Applies the window at its valid positions; (N, H - 10, W - 10, C)."""
    offsets = np.arange(-_SSIM_RADIUS, _SSIM_RADIUS + 1)
    window = np.exp(-0.5 * (offsets / _SSIM_SIGMA) ** 2)
    window = window / window.sum()
    channels = images.shape[-1]
    kernel = np.tile(window[:, None, None, None], (1, 1, channels, 1))
    kernel = ops.convert_to_tensor(kernel, dtype=images.dtype)
    down = ops.depthwise_conv(
        images, kernel, padding="valid", data_format="channels_last"
    )
    return ops.depthwise_conv(
        down,
        ops.transpose(kernel, (1, 0, 2, 3)),
        padding="valid",
        data_format="channels_last",
    )


class _PhotoMean(keras.metrics.Metric):
    """Mean over photos of a function of this module.

    `update_state(y_true, y_pred, sample_weight)` takes photos, float
    (N, H, W, 3) in [0, 1]; `sample_weight`, float (N, H, W, 1), is the region
    whose pixels count. Photos whose region is empty are left out; `result`
    is NaN if all are.

    Args:
        name: the metric's name; that of the function if None.
        dtype: the metric's type.
    """

    function = None

    def __init__(self, name=None, dtype=None):
        name = name or type(self).function.__name__
        super().__init__(name=name, dtype=dtype)
        self.total = self.add_variable((), initializer="zeros", name="total")
        self.count = self.add_variable((), initializer="zeros", name="count")

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds photos."""
        values = type(self).function(y_true, y_pred, sample_weight)
        known = ops.logical_not(ops.isnan(values))
        values = ops.where(known, values, ops.zeros_like(values))
        self.total.assign_add(ops.cast(ops.sum(values), self.dtype))
        self.count.assign_add(ops.sum(ops.cast(known, self.dtype)))

    def result(self):
        """Returns the mean over photos."""
        return self.total / self.count


@keras.saving.register_keras_serializable("tfexposure")
class PSNR(_PhotoMean):
    """Mean of `psnr` over photos; regions as `sample_weight`."""

    function = staticmethod(psnr)


@keras.saving.register_keras_serializable("tfexposure")
class SSIM(_PhotoMean):
    """Mean of `ssim` over photos; regions as `sample_weight`."""

    function = staticmethod(ssim)


@keras.saving.register_keras_serializable("tfexposure")
class MeanL1(_PhotoMean):
    """Mean of `mean_l1` over photos; regions as `sample_weight`."""

    function = staticmethod(mean_l1)
