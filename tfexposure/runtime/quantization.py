"""Numbers in and out of tensors of few bits."""

import numpy as np


def quantize(values, details):
    """Rounds values to the levels of a tensor; floats keep their values.

    `levels = round(values / scale) + zero point`, within the type's limits.

    Args:
        values: float array.
        details: LiteRT's description of the tensor: `dtype` and
            `quantization`, the pair (scale, zero point).

    Returns:
        array of the tensor's type.
    """
    dtype = np.dtype(details["dtype"])
    if dtype.kind == "f":
        return values.astype(dtype)
    scale, zero_point = details["quantization"]
    limits = np.iinfo(dtype)
    levels = np.rint(values / scale) + zero_point
    return np.clip(levels, limits.min, limits.max).astype(dtype)


def dequantize(levels, details):
    """Returns the float32 values that a tensor's levels stand for."""
    if levels.dtype.kind == "f":
        return levels.astype(np.float32)
    scale, zero_point = details["quantization"]
    return (levels.astype(np.float32) - zero_point) * np.float32(scale)
