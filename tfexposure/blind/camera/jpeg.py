"""JPEG on any device: all that it loses, none of its coding."""

import numpy as np
from keras import ops

# Annex K of the JPEG standard, quality 50.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
)
_RGB_TO_YCC = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.168736, -0.331264, 0.5],
        [0.5, -0.418688, -0.081312],
    ],
    "float32",
)


def jpeg(images, quality, halved):
    """Saves and loads JPEG files, but for the entropy coding, which is exact.

    Args:
        images: (N, H, W, 3) in [0, 1]; H and W multiples of 16.
        quality: (N,), in [1, 100]; 0 leaves the photo as it is.
        halved: (N,), 1 where colour is stored at half size (4:2:0), else 0.

    Returns:
        (N, H, W, 3) in [0, 1].
    """
    ycc = ops.matmul(images * 255.0, _RGB_TO_YCC.T)
    luma = ycc[..., :1] - 128.0
    colour = ycc[..., 1:]
    quality = per_photo(quality)
    luma = _round_blocks(luma, _LUMA, quality)
    full = _round_blocks(colour, _CHROMA, quality)
    small = ops.average_pool(colour, 2, 2)
    small = _round_blocks(small, _CHROMA, quality)
    small = ops.repeat(ops.repeat(small, 2, axis=1), 2, axis=2)
    colour = ops.where(per_photo(halved) > 0.5, small, full)
    ycc = ops.concatenate([luma + 128.0, colour], axis=-1)
    rgb = ops.matmul(ycc, np.linalg.inv(_RGB_TO_YCC).T.astype("float32"))
    return ops.where(quality > 0, ops.clip(rgb / 255.0, 0.0, 1.0), images)


def _round_blocks(planes, table, quality):
    """Rounds the cosine coefficients of 8 x 8 blocks to the table's steps."""
    _, height, width, channels = planes.shape
    quality = ops.maximum(ops.floor(quality), 1.0)
    scale = ops.where(quality < 50, 5000.0 / quality, 200.0 - 2.0 * quality)
    steps = np.array(table, "float32").reshape(1, 1, 64, 1)
    steps = ops.floor((steps * scale + 50.0) / 100.0)
    steps = ops.clip(steps, 1.0, 255.0)
    # (N, rows, v, columns, u, C): v and u run inside a block.
    rows, columns = height // 8, width // 8
    blocks = ops.reshape(planes, (-1, rows, 8, columns, 8, channels))
    cosines = _cosines()
    freq = ops.einsum("nrvcuk,av,bu->nrcabk", blocks, cosines, cosines)
    freq = ops.reshape(freq, (-1, rows * columns, 64, channels))
    freq = ops.floor(freq / steps + 0.5) * steps
    freq = ops.reshape(freq, (-1, rows, columns, 8, 8, channels))
    blocks = ops.einsum("nrcabk,av,bu->nrvcuk", freq, cosines, cosines)
    return ops.reshape(blocks, (-1, height, width, channels))


def _cosines():
    """The orthonormal 8-point DCT-II as a matrix (frequency, position)."""
    k, x = np.arange(8)[:, None], np.arange(8)[None]
    matrix = np.cos(np.pi * (2 * x + 1) * k / 16) / 2
    matrix[0] /= np.sqrt(2)
    return matrix.astype("float32")


def per_photo(values):
    """Shapes numbers, one per photo, to act on all its pixels."""
    return ops.reshape(values, (-1, 1, 1, 1))
