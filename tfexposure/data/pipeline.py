"""Photos -> tf.data batches of (overexposed, target).

The stream is a pure function of (seed, position): the n-th example is the same
however often the run was interrupted and however many workers share it. So no
iterator state needs saving, and resuming costs nothing.
"""

import dataclasses

import tensorflow as tf

from tfexposure import exposure
from tfexposure.data.sources import photo_files
from tfexposure.data.tfds import encoded_examples, is_tfds


@dataclasses.dataclass(frozen=True)
class Photos:
    """The photos of one source, in a fixed order.

    Attributes:
        source: str, as in `data.source`.
        files: tuple of paths, or None for a TFDS source.
        split: str, of a TFDS source.
    """

    source: str
    files: tuple | None
    split: str = "train"

    @classmethod
    def open(cls, source, split="train", max_unreadable=10):
        """Lists the photos of `source`; raises UserError if it has none."""
        if is_tfds(source):
            return cls(source, None, split)
        return cls(source, tuple(photo_files(source, max_unreadable)))

    def name_at(self, position, seed):
        """Returns the name of the photo at `position` of the stream."""
        if self.files is None:
            return f"{self.source}, example {position}"
        index = _shuffled_index(position, len(self.files), seed)
        return self.files[int(index)]


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
        photos: `Photos`.
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
    if photos.files is None:
        encoded = (
            encoded_examples(photos, seed)
            .skip(start * step_size)
            .filter(lambda n, _: _is_in_share(n, step_size, offset, share))
        )
    else:
        encoded = (
            tf.data.Dataset.range(start * share, tf.int64.max)
            .map(lambda n: n // share * step_size + offset + n % share)
            .map(_reader(photos.files, seed), tf.data.AUTOTUNE)
        )
    return (
        encoded.map(
            lambda position, contents: _example(position, contents, data, seed),
            num_parallel_calls=tf.data.AUTOTUNE,
        )
        .batch(batch_size, drop_remainder=True)
        .prefetch(tf.data.AUTOTUNE)
    )


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
    overexposed = exposure.quantize(
        exposure.overexpose(target, tau, exposure.get_response(data.response))
    )
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


def _reader(files, seed):
    """Returns the function from a position to (position, file contents)."""
    paths = tf.constant(files)

    def read(position):
        index = _shuffled_index(position, len(files), seed)
        return position, tf.io.read_file(paths[index])

    return read


def _shuffled_index(position, size, seed):
    """Index of the photo at `position`; every epoch is a new permutation."""
    position = tf.cast(position, tf.int64)
    return tf.random.experimental.index_shuffle(
        position % size,
        seed=tf.stack([tf.cast(seed, tf.int64), position // size]),
        max_index=tf.cast(size - 1, tf.int64),
    )


def _example(position, contents, data, seed):
    # Decoded without EXIF orientation: a turned photo is still a photo.
    photo = tf.io.decode_image(contents, channels=3, expand_animations=False)
    photo.set_shape((None, None, 3))
    seeds = tf.random.split(tf.stack([tf.cast(seed, tf.int64), position]), 2)
    target = _random_crop(photo, seeds[0], data)
    overexposed, target = simulate(target, seeds[1], data)
    return {
        "overexposed": overexposed,
        "target": target,
        "position": position,
    }


def _random_crop(photo, seed, data):
    """Cuts, resizes and flips at random: uint8 -> float32 (crop, crop, 3)."""
    seeds = tf.random.split(seed, 4)
    size = tf.shape(photo)[:2]
    # The crop's side before it is resized. Cutting first saves the work of
    # resizing what is thrown away.
    zoom = tf.random.stateless_uniform((), seeds[0], 1.0, data.resize_max)
    side = tf.cast(tf.cast(tf.reduce_min(size), tf.float32) / zoom, tf.int32)
    side = tf.maximum(side, 1)
    room = size - side + 1
    top = tf.random.stateless_uniform((), seeds[1], 0, room[0], tf.int32)
    left = tf.random.stateless_uniform((), seeds[2], 0, room[1], tf.int32)
    crop = photo[top : top + side, left : left + side]
    crop = tf.image.resize(
        crop, (data.crop_size, data.crop_size), antialias=True
    )
    if data.flip:
        crop = tf.image.stateless_random_flip_left_right(crop, seeds[3])
    return tf.clip_by_value(crop / 255.0, 0.0, 1.0)
