"""Pictures for the figures: labelled grids, differences, histograms.

Drawn with Pillow alone. Photos are float (H, W, 3), display-encoded RGB in
[0, 1]; everything returned is a `PIL.Image`.
"""

import io

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from tfexposure.storage import write_atomically

INK = (34, 34, 34)
PALE = (120, 120, 120)
PAPER = (255, 255, 255)
ORIGINAL = (0, 114, 178)
OTHER = (213, 94, 0)
MARK = (0, 0, 0)

_GAP = 8
_TITLE = 30
_FONT_SIZE = 17
_SMALL_FONT_SIZE = 14
# Histograms are drawn this much larger, then reduced: smooth lines.
_OVERSAMPLING = 3

# Differences: black is none, then violet, orange and pale yellow.
_HEAT = np.array(
    [(0, 0, 0), (87, 16, 110), (188, 55, 84), (249, 142, 9), (252, 255, 164)],
    np.float64,
)


def to_image(photo):
    """Converts a photo to 8 bits."""
    values = np.floor(np.clip(photo, 0, 1) * 255 + 0.5)
    return Image.fromarray(values.astype(np.uint8))


def heat(values, top):
    """Colours a map of values.

    Args:
        values: float (H, W), at least 0.
        top: the value of the brightest colour.

    Returns:
        An image.
    """
    position = np.clip(np.asarray(values) / top, 0, 1) * (len(_HEAT) - 1)
    below = np.minimum(position.astype(int), len(_HEAT) - 2)
    part = (position - below)[..., None]
    colours = _HEAT[below] * (1 - part) + _HEAT[below + 1] * part
    return Image.fromarray(np.round(colours).astype(np.uint8))


def heat_scale(width, top, label):
    """Draws the scale of `heat` from 0 to `top`, with a label."""
    image = Image.new("RGB", (width, 58), PAPER)
    draw = ImageDraw.Draw(image)
    ramp = np.tile(np.linspace(0, top, width - 2 * _GAP), (16, 1))
    image.paste(heat(ramp, top), (_GAP, 6))
    small = font(_SMALL_FONT_SIZE)
    for part in (0, 0.5, 1):
        anchor = {0: "la", 0.5: "ma", 1: "ra"}[part]
        x = _GAP + part * (width - 2 * _GAP)
        draw.text((x, 24), f"{part * top:.2f}", INK, small, anchor)
    draw.text((width / 2, 41), label, PALE, small, "ma")
    return image


def grid(rows, column_titles, row_titles=None, captions=None):
    """Lays out pictures in labelled rows and columns.

    Columns are as wide and rows as high as their largest picture.

    Args:
        rows: lists of images, one per column.
        column_titles: one per column.
        row_titles: one per row, written upwards at the left; None for none.
        captions: one list per row of texts to write below the images (None
            for none there); None leaves no room for captions.

    Returns:
        An image.
    """
    widths = [
        max(i.width for i in column) for column in zip(*rows, strict=True)
    ]
    heights = [max(image.height for image in row) for row in rows]
    left = _TITLE if row_titles else _GAP
    below = 22 if captions else 0
    sheet = Image.new(
        "RGB",
        (
            left + sum(widths) + _GAP * len(widths),
            _TITLE + sum(heights) + (below + _GAP) * len(heights),
        ),
        PAPER,
    )
    draw = ImageDraw.Draw(sheet)
    places = [left + sum(widths[:i]) + i * _GAP for i in range(len(widths))]
    for x, width, title in zip(places, widths, column_titles, strict=True):
        draw.text(
            (x + width / 2, _TITLE / 2),
            title,
            INK,
            _fitting(title, width),
            "mm",
        )
    y = _TITLE
    for number, row in enumerate(rows):
        if row_titles:
            label = _sideways(row_titles[number], heights[number], _TITLE)
            sheet.paste(label, (0, y))
        for column, image in enumerate(row):
            x = places[column]
            sheet.paste(image, (x, y))
            caption = captions and captions[number][column]
            if caption:
                draw.text(
                    (x + widths[column] / 2, y + image.height + 3),
                    caption,
                    PALE,
                    font(_SMALL_FONT_SIZE),
                    "ma",
                )
        y += heights[number] + below + _GAP
    return sheet


def histogram(size, curves, marks=(), labels=("intensity", "")):
    """Draws intensity histograms over each other.

    Args:
        size: (width, height) in pixels.
        curves: list of (values, colour, name): values float, any shape, in
            [0, 1]; names make the legend, empty ones none.
        marks: list of (value, text): dashed vertical lines.
        labels: below the horizontal axis; at the top left.

    Returns:
        An image. All curves share one vertical scale, which ends above the
        highest bin that is not at an end of the range: clipped pixels pile up
        there and are cut off.
    """
    # Shares per bin; the tallest inner bin sets the scale.
    bins = 64
    counts = []
    for values, _, _ in curves:
        count, _ = np.histogram(np.ravel(values), bins, (0, 1))
        counts.append(count / count.sum())
    top = 1.15 * max(count[1:-1].max() for count in counts) or 1

    # The sheet, drawn larger and reduced at the end, and its margins.
    k = _OVERSAMPLING
    width, height = size[0] * k, size[1] * k
    image = Image.new("RGB", (width, height), PAPER)
    layer = ImageDraw.Draw(image, "RGBA")
    small = font(_SMALL_FONT_SIZE * k)
    left, right = 10 * k, width - 10 * k
    ceiling, bottom = 24 * k, height - 38 * k

    def x_of(value):
        return left + value * (right - left)

    def y_of(share):
        return bottom - min(share / top, 1) * (bottom - ceiling)

    # The curves: translucent areas with a solid outline.
    for count, (_, colour, _) in zip(counts, curves, strict=True):
        outline = [(left, bottom)]
        for i, share in enumerate(count):
            y = y_of(share)
            outline += [(x_of(i / bins), y), (x_of((i + 1) / bins), y)]
        outline.append((right, bottom))
        layer.polygon(outline, fill=(*colour, 70))
        layer.line(outline, fill=(*colour, 255), width=2 * k)

    # The horizontal axis, its ticks and both labels.
    layer.line([(left, bottom), (right, bottom)], INK, k)
    for value in (0, 0.25, 0.5, 0.75, 1):
        x = x_of(value)
        layer.line([(x, bottom), (x, bottom + 4 * k)], INK, k)
        anchor = {0: "la", 1: "ra"}.get(value, "ma")
        layer.text((x, bottom + 5 * k), f"{value:g}", INK, small, anchor)
    layer.text(
        ((left + right) / 2, height - 1 * k), labels[0], PALE, small, "md"
    )
    layer.text((left, 3 * k), labels[1], PALE, small, "la")

    # The marks: dashed lines, their text on the side with room.
    for value, text in marks:
        x = x_of(value)
        for y in range(ceiling, bottom, 8 * k):
            layer.line([(x, y), (x, y + 4 * k)], MARK, k + 1)
        anchor = "ra" if value > 0.5 else "la"
        shift = -5 * k if value > 0.5 else 5 * k
        layer.text((x + shift, ceiling), text, MARK, small, anchor)

    # The legend, from the right.
    x = right
    for _, colour, name in reversed(curves):
        if name:
            layer.text((x, 3 * k), name, (*colour, 255), small, "ra")
            x -= layer.textlength(name, small) + 12 * k
    return image.resize(size, Image.Resampling.LANCZOS)


def stack(images):
    """Puts pictures below each other, centred on white."""
    width = max(image.width for image in images)
    sheet = Image.new("RGB", (width, sum(i.height for i in images)), PAPER)
    y = 0
    for image in images:
        sheet.paste(image, ((width - image.width) // 2, y))
        y += image.height
    return sheet


def save(path, image, limit=300_000):
    """Writes a picture atomically, in the format that its suffix names.

    Args:
        path: ending in `.png` or `.jpg`.
        image: the picture.
        limit: bytes; a JPEG is compressed until it fits, down to quality 50.
    """
    if path.suffix == ".png":
        stream = io.BytesIO()
        image.save(stream, "PNG", optimize=True)
    else:
        for quality in range(92, 49, -6):
            stream = io.BytesIO()
            image.save(stream, "JPEG", quality=quality, optimize=True)
            if stream.tell() <= limit:
                break
    path.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(path, stream.getvalue())


def font(size):
    """Returns Pillow's own font."""
    return ImageFont.load_default(size)


def _fitting(text, width):
    """The title's font, smaller where the text is wider than its place."""
    for size in range(_FONT_SIZE, 8, -1):
        chosen = font(size)
        if chosen.getlength(text) <= width:
            break
    return chosen


def _sideways(text, length, thickness):
    label = Image.new("RGB", (length, thickness), PAPER)
    ImageDraw.Draw(label).text(
        (length / 2, thickness / 2), text, INK, _fitting(text, length), "mm"
    )
    return label.transpose(Image.Transpose.ROTATE_90)
