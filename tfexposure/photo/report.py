"""One self-contained HTML page: before and after of every photo."""

import base64
import html
import io
import tempfile
import threading

import numpy as np
from PIL import Image

from tfexposure.photo import overlay, results
from tfexposure.photo.io import colour, files
from tfexposure.photo.report_page import CARD, FOOT, HEAD, SLIDER, STILL
from tfexposure.storage import shown

# Longer side of the pictures on the page, in pixels, and their quality:
# about 200 kB a photo.
_SIDE = 1000
_QUALITY = 82
_BINS = 64
_CHANNEL_COLOURS = {1: ("#888",), 3: ("#e5484d", "#30a46c", "#3e8ef7")}


class Report:
    """Collects photos as they are done and writes the page at the end.

    Pictures wait in a temporary file, so that a folder of thousands does not
    fill memory. `add` may be called from several threads.
    """

    def __init__(self):
        self._cards = tempfile.TemporaryFile(prefix="tfexposure-")
        self._places = {}  # File -> (offset, length) of its card.
        self._lock = threading.Lock()
        self._permissions = 0o666  # Those that every photo shown allows.

    def add(self, result, photo, correction):
        """Adds a photo that was corrected or left as it is.

        Args:
            result: its `Result`.
            photo: the `Photo`.
            correction: its `Correction`.
        """
        before = _picture(photo, photo.pixels)
        verdict = correction.before.verdict or "not judged"
        names = {
            "name": html.escape(shown(result.file)),
            "before": before,
        }
        if correction.changed:
            after = _picture(photo, correction.pixels)
            figure = SLIDER.format(after=after, **names)
        else:
            figure = STILL.format(**names)
        labelled = [(correction.before, "before"), (correction.after, "after")]
        if not correction.changed:
            labelled = labelled[:1]
        card = CARD.format(
            shown=figure,
            verdict=html.escape(verdict),
            kind=verdict.split()[0],
            status=result.status,
            facts=_facts(result, photo),
            histograms="".join(
                _histogram(found.histogram, label) for found, label in labelled
            ),
            **names,
        )
        with self._lock:
            if photo.permissions is not None:
                self._permissions &= photo.permissions
            card = card.encode()
            self._places[result.file] = (self._cards.tell(), len(card))
            self._cards.write(card)

    def write(self, path, done):
        """Writes the page.

        Args:
            path: HTML file.
            done: list of all `Result`, also of failed and skipped photos.
        """
        counts = {}
        for result in done:
            counts[result.status] = counts.get(result.status, 0) + 1
        summary = ", ".join(f"{n} {name}" for name, n in sorted(counts.items()))
        with files.atomic_file(path, self._permissions) as file:
            head = HEAD.format(count=len(done), summary=summary)
            file.write(head.encode())
            for result in done:
                offset, length = self._places.get(result.file, (0, 0))
                self._cards.seek(offset)
                file.write(self._cards.read(length))
            file.write((_others(done) + FOOT).encode())
        self._cards.close()


def _picture(photo, rows):
    """A picture as a data URI: upright, in sRGB, small."""
    levels = overlay.preview(rows, photo.colours, 2 * _SIDE)
    space = colour.colour_of(photo.icc, [], photo.colours)
    if not space.is_identity:
        srgb = space.to_srgb(levels.astype(np.float32) / 255)
        levels = np.rint(np.clip(srgb, 0, 1) * 255).astype(np.uint8)
    image = Image.fromarray(levels)
    image.thumbnail((_SIDE, _SIDE), Image.Resampling.LANCZOS)
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=_QUALITY)
    coded = base64.b64encode(buffer.getvalue()).decode()
    return f"data:image/jpeg;base64,{coded}"


def _facts(result, photo):
    height, width, _ = photo.pixels.shape
    bits = photo.pixels.dtype.itemsize * 8
    shift = results.shift(result.stops, result.stops_spread)
    facts = {
        "size": f"{width} × {height}, {photo.format}, {bits} bits",
        "shift": f"{shift} (τ ≈ {result.tau:.2f})" if shift else "not judged",
        "clipped": (
            f"{result.clipped_before:.2%} → {result.clipped_after:.2%}"
        ),
        "time": f"{result.seconds:.1f} s",
    }
    if result.notes:
        facts["notes"] = "; ".join(result.notes)
    return "".join(
        f"<dt>{name}</dt><dd>{html.escape(shown(text))}</dd>"
        for name, text in facts.items()
    )


def _histogram(histogram, label):
    """Levels of each channel as an SVG; heights are square roots."""
    channels = len(histogram)
    bins = histogram.reshape(channels, _BINS, -1).sum(2)
    heights = np.sqrt(bins / max(bins.max(), 1)) * 60
    paths = []
    for row, stroke in zip(heights, _CHANNEL_COLOURS[channels], strict=True):
        points = " ".join(
            f"{i * 192 / (_BINS - 1):.1f},{62 - h:.1f}"
            for i, h in enumerate(row)
        )
        paths.append(
            f'<polygon points="0,62 {points} 192,62" fill="{stroke}" '
            f'fill-opacity=".28" stroke="{stroke}"/>'
        )
    return (
        f'<figure><svg viewBox="0 0 192 64" role="img" aria-label='
        f'"histogram {label}">{"".join(paths)}</svg>'
        f"<figcaption>{label}</figcaption></figure>"
    )


def _others(done):
    rows = "".join(
        f"<tr><td>{html.escape(shown(result.file))}</td><td>{result.status}</td>"
        f"<td>{html.escape(shown(result.error or ''))}</td></tr>"
        for result in done
        if result.status in (results.FAILED, results.SKIPPED)
    )
    if not rows:
        return ""
    return (
        "<section><h2>Not shown</h2><table><tr><th>photo</th><th>status</th>"
        f"<th>reason</th></tr>{rows}</table></section>"
    )
