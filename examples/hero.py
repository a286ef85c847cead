"""Draws README's first picture: what the models that ship do.

    python examples/hero.py --output=docs/images/hero.jpg

Above, photos as their photographers overexposed them, and as `tfexposure
correct` gives them back. Below, photos overexposed by eq. (10) at tau 0.5, the
paper's GAN (`paper`), and the originals.
"""

import pathlib

import numpy as np
from absl import app, flags
from PIL import Image, ImageDraw

import tfexposure
from tfexposure import pretrained
from tfexposure.imaging import exposure

_SAMPLES = pathlib.Path(__file__).resolve().parents[1] / "samples"
_OUTPUT = flags.DEFINE_string("output", "hero.jpg", "The picture to write.")
_ABOVE = flags.DEFINE_list(
    "above", ["picture_1a", "picture_0b", "seeding"], "Sample photos."
)
_BELOW = flags.DEFINE_list("below", ["china", "chelsea"], "Sample photos.")
_WIDTH, _GAP = 1200, 8


def main(_):
    above = [
        (photo, tfexposure.correct(photo)) for photo in map(_read, _ABOVE.value)
    ]
    generator = pretrained.load_pretrained("paper")
    below = [_by_gan(generator, photo) for photo in map(_read, _BELOW.value)]
    rows = [
        _row(above, ("as taken", "tfexposure correct")),
        _row(below, ("overexposed, tau 0.5", "the paper's GAN", "original")),
    ]
    height = sum(row.height for row in rows) + _GAP
    picture = Image.new("RGB", (_WIDTH, height), "white")
    picture.paste(rows[0], (0, 0))
    picture.paste(rows[1], (0, rows[0].height + _GAP))
    picture.save(_OUTPUT.value, quality=88)
    print(_OUTPUT.value)


def _read(name):
    """Returns a sample as uint8 (H, W, 3), cut to 4:3."""
    photo = Image.open(_SAMPLES / f"{name}.jpg").convert("RGB")
    width = min(photo.width, photo.height * 4 // 3)
    height = min(photo.height, width * 3 // 4)
    left, top = (photo.width - width) // 2, (photo.height - height) // 2
    photo = photo.crop((left, top, left + width, top + height))
    photo.thumbnail((960, 720), Image.Resampling.LANCZOS)
    return np.asarray(photo)


def _by_gan(generator, photo):
    target = np.float32(photo)[None] / 255
    overexposed = exposure.quantize(exposure.overexpose(target, 0.5))
    restored = np.asarray(generator(overexposed))
    return [
        np.uint8(np.rint(np.clip(image[0], 0, 1) * 255))
        for image in (overexposed, restored, target)
    ]


def _row(groups, labels):
    """Draws groups of pictures beside each other, each picture labelled."""
    count = len(groups) * len(labels)
    width = (_WIDTH - _GAP * (count - 1)) // count
    height = width * 3 // 4
    row = Image.new("RGB", (_WIDTH, height), "white")
    pictures = [
        pair for group in groups for pair in zip(group, labels, strict=True)
    ]
    for index, (pixels, label) in enumerate(pictures):
        picture = Image.fromarray(pixels)
        picture = picture.resize((width, height), Image.Resampling.LANCZOS)
        draw = ImageDraw.Draw(picture)
        box = draw.textbbox((6, 5), label)
        draw.rectangle((0, 0, box[2] + 6, box[3] + 5), fill="black")
        draw.text((6, 5), label, fill="white")
        row.paste(picture, (index * (width + _GAP), 0))
    return row


if __name__ == "__main__":
    app.run(main)
