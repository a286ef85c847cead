"""Takes photos with the cameras that were drawn, on any device."""

import numpy as np
from keras import ops

from tfexposure.blind.camera.jpeg import jpeg, per_photo
from tfexposure.imaging.exposure import dequantize, quantize


def expose(photos, cameras):
    """Takes the photos with the cameras, on the device.

    Args:
        photos: (N, H, W, 3) 8-bit values, of any numeric type; H and W
            multiples of 16.
        cameras: what `draw_cameras` returned.

    Returns:
        `overexposed` and `target`, float32 (N, H, W, 3) in [0, 1]; the former
        takes 256 values only.
    """
    photos = ops.cast(photos, "float32") / 255.0
    grain = white_noise(ops.shape(photos), cameras["seed"])
    values = dequantize(photos, grain[0] - 0.5)
    grey = ops.mean(values, axis=-1, keepdims=True)
    values = grey + per_photo(cameras["saturation"]) * (values - grey)
    values = add_glow(values, cameras["glow"])
    target = look_up(cameras["target_table"], values)
    spread = per_photo(cameras["noise"])
    # Four bytes' sum is close to a normal law; its deviation is 0.577.
    noisy = ops.clip(values + (grain[1] - 2.0) * (spread / 0.577), 0.0, 1.0)
    exposed = look_up(cameras["exposed_table"], noisy)
    saved = jpeg(exposed, cameras["quality"], cameras["halved"])
    return quantize(saved), target


def add_glow(values, glow):
    """Lights the photos by a lamp each, as an emulsion shows it.

    `1 - (1 - value) ** (1 + strength / (1 + (distance / radius) ** 2) ** 2)`:
    near the lamp all values approach white, none reaches it.

    Args:
        values: (N, H, W, 3) in [0, 1].
        glow: (N, 4): strength (0: none), radius and centre (row, column) in
            units of the sides.

    Returns:
        (N, H, W, 3) in [0, 1].
    """
    strength, radius, row, column = (
        per_photo(part) for part in ops.unstack(glow, 4, axis=1)
    )
    height, width = values.shape[1:3]
    rows = (ops.arange(height, dtype="float32") + 0.5) / height
    columns = (ops.arange(width, dtype="float32") + 0.5) / width
    down = ops.reshape(rows, (1, -1, 1, 1)) - row
    across = ops.reshape(columns, (1, 1, -1, 1)) - column
    square = (down * down + across * across) / (radius * radius)
    power = 1.0 + strength / ops.square(1.0 + square)
    return 1.0 - ops.power(ops.maximum(1.0 - values, 1e-6), power)


def look_up(tables, values):
    """Applies each photo's tables to its channels, to the nearest entry.

    Args:
        tables: (N, 3, TABLE_SIZE).
        values: (N, H, W, 3) in [0, 1].

    Returns:
        (N, H, W, 3).
    """
    size = tables.shape[-1]
    index = ops.cast(values * (size - 1) + 0.5, "int32")
    rows = ops.reshape(ops.arange(tables.shape[0] * 3), (-1, 1, 1, 3))
    return ops.take(ops.reshape(tables, (-1,)), index + rows * size)


def white_noise(shape, seeds):
    """Draws noise that is the same on every backend: a hash of the position.

    Args:
        shape: (N, H, W, 3).
        seeds: float32 (N,), whole numbers below 2 ** 20.

    Returns:
        Two float32 tensors of `shape`: uniform in [0, 1), and the sum of four
        uniform bytes in [0, 4), which is nearly normal around 2.
    """
    _, height, width, channels = shape
    # TensorFlow has no range of unsigned words.
    position = ops.arange(height * width * channels, dtype="int32")
    position = ops.reshape(position, (1, height, width, channels))
    position = ops.cast(position, "uint32")
    start = ops.cast(per_photo(seeds), "uint32") * _word(0x9E3779B1)
    first = _mix(position + start)
    second = _mix(first + _word(0x85EBCA6B))
    uniform = ops.cast(ops.right_shift(first, _word(8)), "float32")
    four = sum(
        ops.cast(
            ops.bitwise_and(
                ops.right_shift(second, _word(8 * byte)), _word(255)
            ),
            "float32",
        )
        for byte in range(4)
    )
    return uniform / 2.0**24, four / 256.0


def _word(value):
    return ops.cast(np.uint32(value), "uint32")


def _mix(word):
    """The 32-bit finaliser `lowbias32` of Chris Wellons."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        word = ops.bitwise_xor(word, ops.right_shift(word, _word(shift)))
        word = word * _word(factor)
    return ops.bitwise_xor(word, ops.right_shift(word, _word(16)))
