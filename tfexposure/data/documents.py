"""Pages, charts, screens and framed photos, drawn: none is overexposed.

Much of them is white, and shall stay so. A model learns that from many; few
sets of photos hold any.
"""

import string

import numpy as np
from PIL import Image, ImageDraw, ImageFont

_SIDES = (320, 420)
# Ink, and colours of charts.
_INKS = ((20, 20, 20), (60, 60, 60), (30, 40, 110), (120, 20, 30))


def draw_documents(photos, count, seed=0):
    """Draws documents.

    Args:
        photos: list of uint8 (H, W, 3), at least one, to be framed.
        count: int, documents of each kind.
        seed: int.

    Yields:
        (name, uint8 (H, W, 3)).
    """
    rng = np.random.default_rng(seed)
    for index in range(count):
        for kind in (_page, _chart, _screen, _collage):
            size = rng.integers(*_SIDES, 2)
            image = kind(rng, size, photos)
            if kind is not _screen and rng.uniform() < 0.5:
                image = _photographed(rng, image)
            yield f"{kind.__name__[1:]}{index}", image


def _page(rng, size, _):
    """Lines of text on paper."""
    image, draw = _sheet(rng, size)
    width, height = image.size
    letter = int(rng.integers(8, 20))
    font = ImageFont.load_default(letter)
    ink = _INKS[rng.integers(len(_INKS))]
    margin = int(width * rng.uniform(0.05, 0.2))
    line = int(letter * rng.uniform(1.2, 1.8))
    for top in range(margin, height - margin, line):
        if rng.uniform() < 0.85:
            draw.text((margin, top), _words(rng, 60), ink, font)
    draw.rectangle((width - margin, 0, width, height), image.getpixel((0, 0)))
    return np.asarray(image)


def _chart(rng, size, _):
    """Bars, a line or a pie beside axes."""
    image, draw = _sheet(rng, size)
    width, height = image.size
    box = (width // 8, height // 8, width * 7 // 8, height * 7 // 8)
    draw.line((box[0], box[1], box[0], box[3], box[2], box[3]), (40, 40, 40), 2)
    values, kind = rng.uniform(0.1, 1, 8), rng.integers(3)
    places = np.linspace(box[0], box[2], len(values) + 1)
    tops = box[3] - values * (box[3] - box[1])
    if kind == 0:
        for left, right, top in zip(places, places[1:], tops, strict=False):
            draw.rectangle((left + 4, top, right - 4, box[3]), _colour(rng))
    elif kind == 1:
        points = list(zip(places, tops, strict=False))
        draw.line(points, _colour(rng), 3)
    else:
        ends = np.cumsum(values) / values.sum() * 360
        for start, end in zip((0, *ends), ends, strict=False):
            draw.pieslice(box, start, end, _colour(rng))
    draw.text((box[0], 4), _words(rng, 30), (40, 40, 40))
    return np.asarray(image)


def _screen(rng, size, photos):
    """A window with bars, text and a picture."""
    image, draw = _sheet(rng, size, 250)
    width, height = image.size
    draw.rectangle((0, 0, width, height // 12), _colour(rng))
    draw.rectangle((0, height // 12, width // 5, height), (235, 236, 240))
    for top in range(height // 8, height, 18):
        draw.text((8, top), _words(rng, 8), (70, 70, 80))
        draw.text((width // 4, top), _words(rng, 40), (50, 50, 50))
    _paste(rng, image, photos, (width // 4, height // 3), (width, height))
    return np.asarray(image)


def _collage(rng, size, photos):
    """One photo or several on white."""
    image, _ = _sheet(rng, size)
    width, height = image.size
    rows, columns = rng.integers(1, 3, 2)
    gap = int(min(width, height) * rng.uniform(0.02, 0.12))
    for row in range(rows):
        for column in range(columns):
            start = (
                column * width // columns + gap,
                row * height // rows + gap,
            )
            end = (
                (column + 1) * width // columns - gap,
                (row + 1) * height // rows - gap,
            )
            _paste(rng, image, photos, start, end)
    return np.asarray(image)


def _paste(rng, image, photos, start, end):
    size = max(end[0] - start[0], 8), max(end[1] - start[1], 8)
    photo = photos[rng.integers(len(photos))]
    image.paste(Image.fromarray(photo).resize(size), start)


def _sheet(rng, size, darkest=238):
    """A sheet of white or nearly white paper, and what draws on it."""
    white = int(rng.integers(darkest, 256)) if rng.uniform() < 0.6 else 255
    warm = int(rng.integers(0, 12)) if white < 255 else 0
    paper = white, white - warm // 2, white - warm
    image = Image.new("RGB", [int(side) for side in size], paper)
    return image, ImageDraw.Draw(image)


def _photographed(rng, image):
    """As a camera sees it: light falls off across the sheet."""
    height, width = image.shape[:2]
    down, across = np.mgrid[0 : 1 : height * 1j, 0 : 1 : width * 1j]
    slope = rng.uniform(-0.25, 0.25, 2)
    light = rng.uniform(0.82, 1.0) + slope[0] * down + slope[1] * across
    light = np.clip(light, 0.5, 1.0)[..., None]
    noise = rng.normal(0, 2, image.shape)
    return np.uint8(np.clip(image * light + noise, 0, 255))


def _words(rng, letters):
    found = rng.choice([*string.ascii_lowercase, " ", " ", " "], letters)
    return "".join(found)


def _colour(rng):
    return tuple(int(value) for value in rng.integers(20, 230, 3))
