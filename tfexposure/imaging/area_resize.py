"""Resizing to squares by area: each output pixel is the mean of what it covers.

Pixels that are covered in part count by their share, as in
`tf.image.resize(method="area")`.
"""

import numpy as np

from tfexposure.imaging.namespace import as_array, namespace_of


def area_resize(images, size):
    """Averages images to squares; every pixel counts by the area it shares.

    Args:
        images: (N, H, W, C), of any size, NumPy array or tensor.
        size: int, side of the square in pixels.

    Returns:
        (N, size, size, C).
    """
    xp = namespace_of(images)
    height, width, channels = images.shape[1:]
    if xp is np:
        return np.stack(
            [area_resize_strips([(0, i)], height, width, size) for i in images]
        )
    if height and width and height % size == 0 and width % size == 0:
        block = (height // size, width // size)
        # Strides spelt out: Keras 3.15 on JAX derails on the default.
        return xp.average_pool(images, block, block)
    height, width = xp.shape(images)[1:3]
    rows, columns = (area_shares(side, size) for side in (height, width))
    images = xp.einsum("sh,nhwc->nswc", rows, images)
    images = xp.einsum("tw,nswc->nstc", columns, images)
    return xp.reshape(images, (-1, size, size, channels))


def area_resize_strips(strips, height, width, size):
    """Averages an image that comes in strips to a square, in NumPy.

    Sums rather than products of matrices, which would keep all cores busy for
    a few numbers.

    Args:
        strips: yields (top, float32 (n, W, C)).
        height: rows of the image.
        width: its columns.
        size: int, side of the square in pixels.

    Returns:
        float32 (size, size, C).
    """
    rows, columns = (
        np.arange(size + 1) * (length / size) for length in (height, width)
    )
    lines = sum(_sums_between(strip, rows - top) for top, strip in strips)
    small = _sums_between(lines.swapaxes(0, 1), columns).swapaxes(0, 1)
    return small * np.float32(size / height * size / width)


def halve(images):
    """Averages 2 x 2 pixels each: (..., 2 H, 2 W, C) -> (..., H, W, C)."""
    upper = images[..., ::2, ::2, :] + images[..., ::2, 1::2, :]
    lower = images[..., 1::2, ::2, :] + images[..., 1::2, 1::2, :]
    return (upper + lower) * 0.25


def area_shares(length, size):
    """Share of each pixel in each output pixel.

    Args:
        length: pixels along an axis, int or tensor.
        size: int, output pixels.

    Returns:
        float32 (size, length), of the kind of `length`; every row adds up to 1.
    """
    xp = namespace_of(length)
    step = as_array(length, xp, "float32") / size
    edges = xp.expand_dims(xp.arange(size, dtype="float32"), 1) * step
    pixels = xp.expand_dims(xp.arange(length, dtype="float32"), 0)
    shared = xp.minimum(edges + step, pixels + 1) - xp.maximum(edges, pixels)
    return xp.clip(shared, 0.0, 1.0) / step


def _sums_between(values, edges):
    """Sums along the first axis from each edge, in pixels, to the next.

    The last edge lies at the end of the values or behind it.
    """
    edges = np.clip(edges, 0, len(values))
    first = edges.astype(np.intp)
    share = (edges - first).astype(np.float32)
    values = np.concatenate((values, np.zeros_like(values[:1])))
    parts = values[first] * share.reshape(-1, *[1] * (values.ndim - 1))
    sums = np.add.reduceat(values, first[:-1], axis=0)
    # Where there is no whole pixel, `reduceat` takes one all the same.
    sums[first[:-1] == first[1:]] = 0
    return sums + np.diff(parts, axis=0)
