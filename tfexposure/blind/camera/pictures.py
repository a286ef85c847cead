"""Takes photos with the cameras that were drawn, on any device."""

import numpy as np
from keras import ops

from tfexposure.blind.camera.jpeg import jpeg, mix_channels, per_photo
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
    root = look_up(cameras["decode_table"], values)
    target = look_up(cameras["target_table"][:, None], root)
    # Four bytes' sum is close to a normal law; its deviation is 0.577.
    spread = per_photo(cameras["noise"] * cameras["white"])
    noisy = ops.maximum(root + (grain[1] - 2.0) * (spread / 0.577), 0.0)
    root = _through_sensor(noisy, cameras)
    exposed = look_up(cameras["exposed_table"][:, None], root)
    saved = jpeg(exposed, cameras["quality"])
    return quantize(saved), target


def keep_real_pairs(batch, overexposed, target):
    """Takes real pairs as they are; the others are simulated ones.

    Args:
        batch: dict with `photos` and `over`, 8-bit values (N, H, W, 3), and
            `pair` (N,), 1 where they are a real pair; without `over` there
            are none.
        overexposed, target: float (N, H, W, 3), of all photos, simulated.

    Returns:
        Overexposed photos and targets, float32 (N, H, W, 3) in [0, 1].
    """
    if "over" not in batch:
        return overexposed, target
    real = per_photo(batch["pair"]) > 0.5
    return tuple(
        ops.where(real, ops.cast(batch[name], "float32") / 255.0, simulated)
        for name, simulated in (("over", overexposed), ("photos", target))
    )


def _through_sensor(root, cameras):
    """Clips light as a sensor does, in its own colours."""
    light = ops.square(ops.square(root))
    light = ops.stack(mix_channels(light, cameras["to_sensor"]), axis=-1)
    light = ops.minimum(light, per_photo(cameras["ceiling"]))
    light = ops.stack(mix_channels(light, cameras["from_sensor"]), axis=-1)
    light = ops.clip(light, 0.0, 1.0)
    return ops.sqrt(ops.sqrt(light))


def look_up(tables, values):
    """Applies each photo's tables to its channels, to the nearest entry.

    Args:
        tables: (N, 3, TABLE_SIZE), or (N, 1, TABLE_SIZE) for all channels.
        values: (N, H, W, 3) in [0, 1].

    Returns:
        (N, H, W, 3).
    """
    count, channels, size = tables.shape
    index = ops.cast(ops.minimum(values, 1.0) * (size - 1) + 0.5, "int32")
    rows = ops.arange(count * channels, dtype="int32")
    rows = ops.reshape(rows, (-1, 1, 1, channels))
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
