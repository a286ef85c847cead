"""Photos -> tf.data batches of (overexposed, target).

The stream is a pure function of (seed, position): the n-th example is the same
however often the run was interrupted and however many workers share it. So no
iterator state needs saving, and resuming costs nothing.
"""

import tensorflow as tf

from tfexposure.data.sources import FilePhotos
from tfexposure.imaging import exposure
from tfexposure.imaging.transfer_curves import get_response


def training_stream(
    photos,
    data,
    seed,
    batch_size,
    start=0,
    step_size=None,
    share=None,
    offset=0,
):
    """Returns the endless stream of training batches.

    Args:
        photos: a source of `open_photos`.
        data: `DataConfig`.
        seed: int, of the order and of every random choice.
        batch_size: int, examples per batch.
        start: int, steps already done.
        step_size: int, examples per step of all workers together; None: as
            many as `share`.
        share: int, how many of a step's examples this stream yields, a
            multiple of `batch_size`; None: one batch.
        offset: int, the first of them within the step.

    Returns:
        tf.data.Dataset of dicts: `overexposed` and `target`, float32
        (batch_size, crop, crop, 3) in [0, 1]; `position`, int64
        (batch_size,), the examples' places in the stream.
    """
    share = share or batch_size
    step_size = step_size or share
    if isinstance(photos, FilePhotos):
        encoded = photos.at(
            tf.data.Dataset.range(start * share, tf.int64.max).map(
                lambda n: n // share * step_size + offset + n % share
            ),
            seed,
        )
    else:
        encoded = photos.encoded(seed, start * step_size)
        if share < step_size:
            encoded = encoded.filter(
                lambda n, _: _is_in_share(n, step_size, offset, share)
            )
    batches = encoded.map(
        lambda position, contents: _example(position, contents, data, seed),
        num_parallel_calls=tf.data.AUTOTUNE,
    ).batch(batch_size, drop_remainder=True)
    if data.service:
        # Its workers share the examples out among themselves: each one is
        # seen once, in no fixed order.
        batches = batches.apply(
            tf.data.experimental.service.distribute(
                tf.data.experimental.service.ShardingPolicy.DYNAMIC,
                data.service,
            )
        )
    return batches.prefetch(tf.data.AUTOTUNE)


def simulate(target, seed, data):
    """Overexposes one photo as `data` says.

    The photo is dequantised before the clip and quantised after it (and JPEG
    compressed, where asked), so that its histogram does not betray tau.

    Args:
        target: float32 (H, W, 3) in [0, 1].
        seed: int tensor (2,).
        data: `DataConfig`.

    Returns:
        Pair (overexposed, target), float32 (H, W, 3) in [0, 1].
    """
    seeds = tf.random.split(seed, 3)
    noise = tf.random.stateless_uniform(tf.shape(target), seeds[0], -0.5, 0.5)
    target = exposure.dequantize(target, noise)
    tau = tf.random.stateless_uniform((), seeds[1], data.tau_min, data.tau_max)
    response = get_response(data.response)
    overexposed = exposure.quantize(exposure.overexpose(target, tau, response))
    if data.jpeg_quality_max:
        quality = tf.random.stateless_uniform(
            (),
            seeds[2],
            data.jpeg_quality_min,
            data.jpeg_quality_max + 1,
            tf.int32,
        )
        # Exact on quantised values: conversion to uint8 would round them.
        overexposed = tf.image.adjust_jpeg_quality(overexposed, quality)
    return overexposed, target


def _is_in_share(position, step_size, offset, share):
    place = position % step_size - offset
    return (place >= 0) & (place < share)


def _example(position, contents, data, seed):
    seeds = tf.random.split(tf.stack([tf.cast(seed, tf.int64), position]), 2)
    target = _random_crop(contents, seeds[0], data)
    overexposed, target = simulate(target, seeds[1], data)
    return {
        "overexposed": overexposed,
        "target": target,
        "position": position,
    }


def _random_crop(contents, seed, data):
    """Decodes, cuts, resizes and flips: string -> float32 (crop, crop, 3)."""
    seeds = tf.random.split(seed, 4)
    crop = tf.cond(
        tf.io.is_jpeg(contents),
        lambda: _jpeg_square(contents, seeds, data),
        lambda: _square(contents, seeds, data),
    )
    crop.set_shape((None, None, 3))
    crop = tf.image.resize(
        crop, (data.crop_size, data.crop_size), antialias=True
    )
    if data.flip:
        crop = tf.image.stateless_random_flip_left_right(crop, seeds[3])
    return tf.clip_by_value(crop / 255.0, 0.0, 1.0)


def _square(contents, seeds, data):
    """Cuts a random square out of a photo that has to be decoded whole."""
    # Decoded without EXIF orientation: a turned photo is still a photo.
    photo = tf.io.decode_image(contents, channels=3, expand_animations=False)
    photo.set_shape((None, None, 3))
    top, left, side = _random_window(tf.shape(photo)[:2], seeds, data)
    return photo[top : top + side, left : left + side]


def _jpeg_square(contents, seeds, data):
    """Does the same at the least scale that suffices, without the rest."""
    size = tf.io.extract_jpeg_shape(contents)[:2]
    top, left, side = _random_window(size, seeds, data)

    def decode(scale):
        return lambda: tf.io.decode_and_crop_jpeg(
            contents,
            tf.stack([top, left, side, side]) // scale,
            channels=3,
            ratio=scale,
            dct_method="INTEGER_ACCURATE",
        )

    scales = (1, 2, 4, 8)
    enough = [side >= scale * data.crop_size for scale in scales[1:]]
    index = tf.reduce_sum(tf.cast(tf.stack(enough), tf.int32))
    return tf.switch_case(index, [decode(scale) for scale in scales])


def _random_window(size, seeds, data):
    """Draws top, left and side of the square that becomes the crop."""
    # The crop's side before it is resized. Cutting first saves the work of
    # resizing what is thrown away.
    zoom = tf.random.stateless_uniform((), seeds[0], 1.0, data.resize_max)
    side = tf.cast(tf.cast(tf.reduce_min(size), tf.float32) / zoom, tf.int32)
    side = tf.maximum(side, 1)
    room = size - side + 1
    top = tf.random.stateless_uniform((), seeds[1], 0, room[0], tf.int32)
    left = tf.random.stateless_uniform((), seeds[2], 0, room[1], tf.int32)
    return top, left, side
