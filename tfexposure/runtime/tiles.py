"""Photos of any size inside the graph, in tiles that join exactly."""

import tensorflow as tf

from tfexposure.layers import pad_to_multiple


def restore_whole(network, image, tile):
    """Restores whole photos of any size; large ones tile by tile.

    Every tile is cropped out of a window that reaches `network.halo` pixels
    beyond it, starts at a multiple of the stride and lies inside the padded
    photo: the numbers of one call, with the memory of one window.

    Args:
        network: `Network`.
        image: (N, H, W, 3), float32 in [0, 1] or uint8; sizes are dynamic.
        tile: int, side of a tile in pixels; photos that are no larger than
            one window are one tile, and so are all where tiles do not join.

    Returns:
        (N, H, W, 3) of the type of `image`; 8-bit values are rounded.
    """
    known = ()
    if network.thumbnail:
        known = network.look(network.shrink(_real(image)))

    def restore(window):
        restored = network.restore(_real(window), *known)
        if window.dtype == tf.uint8:
            restored = tf.cast(tf.round(restored * 255.0), tf.uint8)
        return restored

    if network.halo is None:
        return restore(image)
    tile = -(-tile // network.stride) * network.stride
    limit = (tile + 2 * network.halo) ** 2
    return tf.cond(
        tf.size(image[0, :, :, 0], tf.int64) <= limit,
        lambda: restore(image),
        lambda: _tiled(image, restore, tile, network),
    )


def _tiled(image, restore, tile, network):
    count, height, width, _ = tf.unstack(tf.shape(image))
    padded = pad_to_multiple(image, network.stride)
    rows, columns = tf.unstack(tf.shape(padded)[1:3])
    halo = network.halo
    window_rows = tf.minimum(tile + 2 * halo, rows)
    window_columns = tf.minimum(tile + 2 * halo, columns)

    def one_row(top, done):
        bottom = tf.minimum(top + tile, height)
        first_row = tf.clip_by_value(top - halo, 0, rows - window_rows)

        def one_tile(left, strip):
            right = tf.minimum(left + tile, width)
            first = tf.clip_by_value(left - halo, 0, columns - window_columns)
            piece = restore(
                padded[
                    :,
                    first_row : first_row + window_rows,
                    first : first + window_columns,
                ]
            )
            piece = piece[
                :,
                top - first_row : bottom - first_row,
                left - first : right - first,
            ]
            return left + tile, tf.concat([strip, piece], 2)

        strip = _loop(width, one_tile, (count, bottom - top, 0, 3), done.dtype)
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
