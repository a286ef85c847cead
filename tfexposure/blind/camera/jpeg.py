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


def jpeg(images, quality):
    """Saves and loads JPEG files, but for the entropy coding, which is exact.

    Colour is stored at half size (4:2:0), as cameras and phones do.

    Args:
        images: (N, H, W, 3) in [0, 1]; H and W multiples of 16.
        quality: (N,), in [1, 100]; 0 leaves the photo as it is.

    Returns:
        (N, H, W, 3) in [0, 1].
    """
    luma, *colour = mix_channels(images * 255.0, _RGB_TO_YCC)
    quality = per_photo(quality)
    luma = _round_blocks((luma - 128.0)[..., None], _LUMA, quality)
    small = ops.average_pool(ops.stack(colour, axis=-1), 2, 2)
    small = _round_blocks(small, _CHROMA, quality)
    colour = ops.repeat(ops.repeat(small, 2, axis=1), 2, axis=2)
    ycc = ops.concatenate([luma + 128.0, colour], axis=-1)
    rgb = ops.stack(mix_channels(ycc, np.linalg.inv(_RGB_TO_YCC)), axis=-1)
    return ops.where(quality > 0, ops.clip(rgb / 255.0, 0.0, 1.0), images)


def mix_channels(images, matrix):
    """Multiplies colours by a matrix, several times faster than `matmul`.

    Args:
        images: (N, H, W, 3).
        matrix: (3, 3), or (N, 3, 3), one per photo.

    Returns:
        Three tensors (N, H, W): the rows' products.
    """
    channels = ops.unstack(images, 3, axis=-1)

    def factor(row, column):
        if len(matrix.shape) == 2:
            return float(matrix[row, column])
        return ops.reshape(matrix[:, row, column], (-1, 1, 1))

    return [
        sum(factor(row, column) * channels[column] for column in range(3))
        for row in range(3)
    ]


def _round_blocks(planes, table, quality):
    """Rounds the cosine coefficients of 8 x 8 blocks to the table's steps."""
    _, height, width, channels = planes.shape
    quality = ops.maximum(ops.floor(quality), 1.0)
    scale = ops.where(quality < 50, 5000.0 / quality, 200.0 - 2.0 * quality)
    steps = np.array(table, "float32").reshape(1, 1, 1, 64)
    steps = ops.floor((steps * scale + 50.0) / 100.0)
    steps = ops.clip(steps, 1.0, 255.0)
    # (N, blocks, C, 64): one multiplication transforms both axes of a block.
    rows, columns = height // 8, width // 8
    blocks = ops.reshape(planes, (-1, rows, 8, columns, 8, channels))
    blocks = ops.transpose(blocks, (0, 1, 3, 5, 2, 4))
    blocks = ops.reshape(blocks, (-1, rows * columns, channels, 64))
    cosines = np.kron(_cosines(), _cosines())
    freq = ops.matmul(blocks, cosines.T)
    freq = ops.floor(freq / steps + 0.5) * steps
    blocks = ops.matmul(freq, cosines)
    blocks = ops.reshape(blocks, (-1, rows, columns, channels, 8, 8))
    blocks = ops.transpose(blocks, (0, 1, 4, 2, 5, 3))
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
