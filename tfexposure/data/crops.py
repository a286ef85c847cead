"""The paper's random crops: drawn as numbers, cut by Pillow or on a device.

A box is int32 (top, left, side, mirrored): a square of the photo, resized to
the size of a training crop by a triangle filter that widens where it shrinks.
"""

import numpy as np
from keras import ops
from PIL import Image


def draw_box(shape, rng, resize_max, flip):
    """Draws a random square, as the paper's training does.

    Args:
        shape: of the photo, (H, W, 3).
        rng: numpy.random.Generator.
        resize_max: the square's side is the photo's short side divided by 1
            to this.
        flip: bool, whether half of the crops are mirrored.

    Returns:
        int32 (4,): top, left, side and whether it is mirrored.
    """
    height, width = shape[:2]
    side = max(int(min(height, width) / rng.uniform(1.0, resize_max)), 1)
    top = rng.integers(0, height - side + 1)
    left = rng.integers(0, width - side + 1)
    mirrored = flip and rng.uniform() < 0.5
    return np.array([top, left, side, mirrored], "int32")


def cut(photo, box, size):
    """Cuts a box out of a photo and resizes it.

    Args:
        photo: uint8 (H, W, 3).
        box: of `draw_box`.
        size: int, side of the crop in pixels.

    Returns:
        uint8 (size, size, 3).
    """
    top, left, side, mirrored = box
    square = Image.fromarray(photo[top : top + side, left : left + side])
    crop = np.asarray(square.resize((size, size), Image.Resampling.BILINEAR))
    return crop[:, ::-1] if mirrored else crop


def cut_on_device(batch, size, reach):
    """Cuts boxes out of photos that lie end to end in the device's memory.

    As `cut`, to one step of 8 bits.

    Args:
        batch: dict of `pixels`, uint8 (P, 3), all photos' rows end to end;
            `places`, int32 (K, 2), first pixel and width of each photo;
            `photo`, int32 (N,), the photos' numbers; `box`, int32 (N, 4).
        size: int, side of the crops in pixels.
        reach: int, greatest side of a box.

    Returns:
        float32 (N, size, size, 3), whole numbers of 0 to 255.
    """
    places = ops.take(batch["places"], batch["photo"], axis=0)
    top, left, side, mirrored = ops.unstack(batch["box"], 4, axis=1)
    # Lines after the box's last one repeat it; their weights are 0.
    line = ops.arange(reach, dtype="int32")[None]
    line = ops.minimum(line, side[:, None] - 1)
    row = (top[:, None] + line) * places[:, 1:]
    column = left[:, None] + line
    index = places[:, :1, None] + row[:, :, None] + column[:, None, :]
    square = ops.take(batch["pixels"], index, axis=0)
    weights = _triangles(side, size, reach)
    square = ops.cast(square, "float32")
    crop = ops.einsum("njc,nrcd->nrjd", weights, square)
    crop = ops.einsum("nir,nrjd->nijd", weights, crop)
    crop = ops.where(
        ops.reshape(mirrored, (-1, 1, 1, 1)) > 0, crop[:, :, ::-1], crop
    )
    return ops.floor(ops.clip(crop, 0.0, 255.0) + 0.5)


def _triangles(side, size, reach):
    """Returns (N, size, reach): weights of a box's lines in a crop's."""
    scale = ops.cast(side, "float32")[:, None, None] / size
    centre = (ops.arange(size, dtype="float32")[None, :, None] + 0.5) * scale
    line = ops.arange(reach, dtype="int32")[None, None]
    distance = ops.abs(ops.cast(line, "float32") + 0.5 - centre)
    weights = ops.maximum(1 - distance / ops.maximum(scale, 1.0), 0.0)
    weights = ops.where(line < side[:, None, None], weights, 0.0)
    return weights / ops.sum(weights, axis=-1, keepdims=True)
