"""Photos of any size inside the graph, in tiles that join exactly."""

import tensorflow as tf

from tfexposure.layers import pad_to_multiple
from tfexposure.runtime import tiling


def restore_whole(model, image, tile):
    """Restores whole photos of any size; large ones tile by tile.

    The tiles of `tiling`: the numbers of one call, with the memory of one
    window.

    Args:
        model: `KerasModel` of a network that takes no thumbnail.
        image: (N, H, W, 3), float32 in [0, 1] or uint8; sizes are dynamic.
        tile: int, side of a tile in pixels; photos that are no larger than
            one window are one tile, and so are all where tiles do not join.

    Returns:
        (N, H, W, 3) of the type of `image`; 8-bit values are rounded.
    """

    def restore(window):
        restored = model.graph.restore(_real(window))
        if window.dtype == tf.uint8:
            restored = tf.cast(tf.round(restored * 255.0), tf.uint8)
        return restored

    if not model.exact_tiles:
        return restore(image)
    tile = tiling.round_up(tile, model.stride)
    limit = (tile + 2 * model.halo) ** 2
    return tf.cond(
        tf.size(image[0, :, :, 0], tf.int64) <= limit,
        lambda: restore(image),
        lambda: _tiled(image, restore, tile, model),
    )


def _tiled(image, restore, tile, model):
    count, height, width, _ = tf.unstack(tf.shape(image))
    padded = pad_to_multiple(image, model.stride)
    rows, columns = tf.unstack(tf.shape(padded)[1:3])

    def span_at(start, length, padded_length):
        size = tf.minimum(tile + 2 * model.halo, padded_length)
        axis = (length, model.halo, padded_length, size)
        return tiling.span_at(start, tile, *axis, tf.minimum, tf.maximum)

    def one_row(top, done):
        row = span_at(top, height, rows)

        def one_tile(left, strip):
            column = span_at(left, width, columns)
            window = padded[:, row.outer, column.outer]
            piece = restore(window)[:, row.inner, column.inner]
            return left + tile, tf.concat([strip, piece], 2)

        shape = (count, row.stop - top, 0, 3)
        strip = _loop(width, one_tile, shape, done.dtype)
        return top + tile, tf.concat([done, strip], 1)

    return _loop(height, one_row, (count, 0, width, 3), image.dtype)


def _loop(stop, body, shape, dtype):
    """Runs `body(position, so_far)` while the position is below `stop`."""
    return tf.while_loop(
        lambda position, _: position < stop,
        body,
        (0, tf.zeros(shape, dtype)),
        shape_invariants=(
            tf.TensorShape([]),
            tf.TensorShape([None, None, None, 3]),
        ),
        # One window at a time: this is what bounds the memory.
        parallel_iterations=1,
    )[1]


def _real(image):
    """Returns float32 in [0, 1]."""
    if image.dtype == tf.uint8:
        return tf.cast(image, tf.float32) / 255.0
    return image
