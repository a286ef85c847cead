"""The small copy of a whole photo that the `natural` model looks at first."""

from keras import ops

# Side of the thumbnail, in pixels: the whole photo, reduced to a square.
THUMBNAIL_SIZE = 128
# Means of RGB, shares of clipped pixels, samples of RGB.
THUMBNAIL_CHANNELS = 9
# The thumbnail's share of clipped pixels is strict: few values below white.
SHARE_FROM, SHARE_TO = 0.97, 0.995


def with_clip_share(image):
    """Adds to RGB how surely each channel is clipped: (..., 3) -> (..., 6).

    Averages hide a few blown pixels; their share is what tells a photo that
    lost its highlights from one that is merely bright.

    Args:
        image: NumPy array or tensor, floats in [0, 1].
    """
    share = ops.clip((image - SHARE_FROM) / (SHARE_TO - SHARE_FROM), 0.0, 1.0)
    return ops.concatenate([image, share], axis=-1)


def area_resize(images, size):
    """Averages images to squares; every pixel counts by the area it shares.

    Args:
        images: (N, H, W, C), of any size.
        size: int, side of the square in pixels.

    Returns:
        (N, size, size, C).
    """
    height, width, channels = images.shape[1:]
    if height and width and height % size == 0 and width % size == 0:
        block = (height // size, width // size)
        # Strides spelt out: Keras 3.15 on JAX derails on the default.
        return ops.average_pool(images, block, block)
    height, width = ops.shape(images)[1:3]
    rows, columns = _area_weights(height, size), _area_weights(width, size)
    images = ops.einsum("sh,nhwc->nswc", rows, images)
    images = ops.einsum("tw,nswc->nstc", columns, images)
    return ops.reshape(images, (-1, size, size, channels))


def thumbnails_of(photos):
    """Makes the thumbnails (N, 128, 128, 9) of whole photos (N, H, W, 3).

    Photos are reduced to squares of 256 pixels first, as the network learnt
    from: single pixels of a large photo have values that those of a small one
    have not, and look overexposed. Of each four pixels there are the means, the
    share that is clipped, and the last one as it is: how values thin out below
    white tells a camera's shoulder from a hard clip.
    """
    views = area_resize(photos, 2 * THUMBNAIL_SIZE)
    means = ops.average_pool(with_clip_share(views), 2, 2)
    return ops.concatenate([means, views[:, 1::2, 1::2]], axis=-1)


def _area_weights(length, size):
    step = ops.cast(length, "float32") / size
    edges = ops.expand_dims(ops.arange(size, dtype="float32"), 1) * step
    pixels = ops.expand_dims(ops.arange(length, dtype="float32"), 0)
    shared = ops.minimum(edges + step, pixels + 1) - ops.maximum(edges, pixels)
    return ops.clip(shared, 0.0, 1.0) / step
