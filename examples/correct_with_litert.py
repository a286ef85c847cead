"""Corrects a photo with a `.tflite` file, NumPy and LiteRT: a reference.

    tfexposure-export-tflite --model=natural
    python examples/correct_with_litert.py exports/natural/natural.tflite \
        in.jpg out.png

For those who build it into something else: it imports nothing of tfexposure
and does the steps of docs/exports.md ("The natural model at full size") one
after the other, on the whole photo at once. Frames and pages of pure white are
not looked for.
"""

import json
import math
import sys
import zipfile

import numpy as np
from ai_edge_litert.interpreter import Interpreter
from PIL import Image, ImageOps

MAX_PIXELS = 1 << 20  # That the network sees.


def correct(path, pixels):
    """Corrects uint8 (H, W, 3), upright and sRGB, as `tfexposure correct`."""
    with zipfile.ZipFile(path) as members:
        manifest = json.loads(members.read("manifest.json"))
    knots, clip, lift = (
        manifest["guide"][k] for k in ("knots", "clip", "lift")
    )
    interpreter = Interpreter(model_path=str(path))

    def ask(name, **inputs):
        runner = interpreter.get_signature_runner(f"serving_{name}")
        inputs = {k: np.float32(value)[None] for k, value in inputs.items()}
        return {k: value[0] for k, value in runner(**inputs).items()}

    image = pixels.astype(np.float32) / 255
    height, width, _ = image.shape

    # The look at the whole photo: a curve, and how far it is needed.
    view = shares(height, 256) @ image.reshape(height, -1)
    view = view.reshape(256, width, 3).transpose(1, 0, 2).reshape(width, -1)
    view = shares(width, 256) @ view
    view = view.reshape(256, 256, 3).transpose(1, 0, 2)
    small = np.concatenate([view, ramp(view, *manifest["clip_share"])], -1)
    small = small.reshape(128, 2, 128, 2, 6).mean((1, 3))
    thumbnail = np.concatenate([small, view[1::2, 1::2]], -1)
    look = ask("look", thumbnail=thumbnail)
    share = look.pop("exposure")[0]
    if share == 0:
        return pixels

    # The field, of the photo at reduced size.
    factor = max(1, math.ceil(math.sqrt(height * width / MAX_PIXELS)))
    rows, columns = np.arange(0, height, factor), np.arange(0, width, factor)
    sums = np.add.reduceat(np.add.reduceat(image, rows, 0), columns, 1)
    counts = np.diff(np.append(rows, height))[:, None, None]
    counts = counts * np.diff(np.append(columns, width))[:, None]
    field = ask("field", image=sums / counts, **look)["field"]

    # Both at full size.
    field = enlarge(enlarge(field, height, 2 * factor, 0), width, 2 * factor, 1)
    toned = sum(
        slope * np.clip(image - low, 0, high - low)
        for slope, low, high in zip(
            look["slopes"], knots[:-1], knots[1:], strict=True
        )
    )
    matrix = field[..., :12].reshape(height, width, 3, 4)
    mixed = (matrix[..., :3] @ toned[..., None])[..., 0] + matrix[..., 3]
    answer = toned + ramp(image, *clip) * mixed
    answer += ramp(image, lift, clip[1]) ** 2 * field[..., 12:]
    image += share * (answer.clip(0, 1) - image)
    return np.rint(image * 255).astype(np.uint8)


def ramp(values, low, high):
    return np.clip((values - low) / (high - low), 0, 1)


def shares(length, size):
    """Share of each pixel in each of `size` means along an axis."""
    edges = np.arange(size)[:, None] * length / size
    pixels = np.arange(length)
    ends = np.minimum(edges + length / size, pixels + 1)
    covered = np.clip(ends - np.maximum(edges, pixels), 0, 1)
    return np.float32(covered * size / length)


def enlarge(field, length, step, axis):
    """Draws lines between a field's cells of `step` pixels along an axis."""
    place = (np.arange(length) + 0.5) / step - 0.5
    place = np.clip(place, 0, field.shape[axis] - 1)
    first = place.astype(int)
    last = np.minimum(first + 1, field.shape[axis] - 1)
    share = np.float32(place - first).reshape(
        (-1, 1, 1) if axis == 0 else (-1, 1)
    )
    first, last = field.take(first, axis), field.take(last, axis)
    return first + (last - first) * share


if __name__ == "__main__":
    model, source, target = sys.argv[1:]
    photo = ImageOps.exif_transpose(Image.open(source)).convert("RGB")
    Image.fromarray(correct(model, np.asarray(photo))).save(target)
