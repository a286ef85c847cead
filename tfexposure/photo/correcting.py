"""What is done to a photo's pixels, window by window."""

import dataclasses
import functools

import numpy as np

from tfexposure import pretrained
from tfexposure.errors import UsageError, UserError
from tfexposure.imaging.luminance import luma
from tfexposure.photo import inspection
from tfexposure.photo.io import colour, tiff
from tfexposure.photo.io.pixel_buffer import STRIP_ROWS, PixelBuffer
from tfexposure.runtime import coefficient_grid, thumbnails, tiling
from tfexposure.runtime.opening import open_model

# Feathering of --highlights_only: clipped pixels grow by `_GROW`, then two
# box means of radius `_SOFTEN` make a slope of that width around them.
_GROW, _SOFTEN = 12, 6
FEATHER = _GROW + 2 * _SOFTEN


@dataclasses.dataclass(frozen=True)
class Settings:
    """How a photo is to be corrected.

    Attributes:
        strength: 0 leaves the photo as it is, 1 takes the answer in full.
        ev: stops of light added to the answer, for a brighter or darker one.
        highlights_only: change clipped regions and a soft border alone.
        force: correct photos that would be left alone, too.
        tile: side of a tile in pixels, 0 for none, `None` for automatic.
        stops: how far the photo is overexposed; `None` lets the model judge.

    Raises:
        UsageError: a ValueError, if one is out of range.
    """

    strength: float = 1.0
    ev: float = 0.0
    highlights_only: bool = False
    force: bool = False
    tile: int | None = None
    stops: float | None = None

    def __post_init__(self):
        if not 0 <= self.strength <= 1:
            raise UsageError(
                f"strength should lie in [0, 1]. Received: {self.strength}"
            )
        if not -5 <= self.ev <= 5:
            raise UsageError(
                f"ev should lie in [-5, 5] stops. Received: {self.ev}"
            )
        if self.stops is not None and not 0 <= self.stops <= 5:
            raise UsageError(
                f"stops should lie in [0, 5]. Received: {self.stops}"
            )
        if self.tile is not None and (self.tile < 0 or 0 < self.tile < 64):
            raise UsageError(
                f"tile should be 0 or at least 64 pixels. Received: {self.tile}"
            )


@dataclasses.dataclass
class Correction:
    """The outcome for one photo.

    Attributes:
        rows: pixels, in the photo's own depth and colour space.
        changed: whether any pixel may differ from the photo's.
        share: how much of the model's answer was mixed in, 0 to 1, apart from
            the strength asked for.
        invented: `PixelBuffer` of one uint8 channel: how much of each pixel is
            invention (255) rather than recovery (0); `None` if not asked for.
        before: `inspection.Inspection` of the photo.
        after: the same of the answer.
    """

    pixels: PixelBuffer
    changed: bool
    invented: PixelBuffer | None
    before: inspection.Inspection
    after: inspection.Inspection
    share: float = 0.0


def correct_photo(photo, model, settings, *, want_mask=False, progress=None):
    """Corrects one photo; a frame of pure white around it stays as it is.

    A page, a chart or a cut-out on white is left alone, unless the settings
    force an answer or say the stops.

    Args:
        photo: a `Photo`; left as it is.
        model: a `Model`, or a function that opens one when called.
        settings: `Settings`.
        want_mask: whether to compute `Correction.invented`.
        progress: called with the share done, from 0 to 1.

    Returns:
        a `Correction`.

    Raises:
        UserError: if the network's answer is not finite.
    """
    space = colour.colour_of(photo.icc, photo.notes, photo.colours)
    before, around = inspection.inspect_photo(photo.pixels, photo.colours)
    whole, framed = photo, around and around.is_frame
    if framed:
        pixels = photo.pixels.window(*around.box)
        photo = dataclasses.replace(photo, pixels=pixels, data=b"")
    work = _Work(photo, space, settings, want_mask)
    answer = None
    told = settings.force or settings.stops is not None
    if before.verdict == inspection.ON_WHITE and not told:
        photo.notes.append(
            "pure white up to its borders: taken for a page or a cut-out, not "
            "for overexposed"
        )
    elif settings.strength > 0:
        if not hasattr(model, "restore"):
            model = model()
        model = model.for_file(_plain_file(photo, space), photo.pixels.shape)
        answer, before = _choose_answer(work, model, before)
    if answer:
        answer(progress)
    elif settings.strength > 0 and settings.ev:
        work.gain_only(progress)
    else:
        if progress:
            progress(1.0)
        mask = _no_mask(whole.pixels.shape) if want_mask else None
        return Correction(whole.pixels, False, mask, before, before)
    after = inspection.inspect_pixels(work.pixels, photo.colours)
    found = Correction(
        work.pixels, True, work.invented, before, after, work.share
    )
    return _framed(found, whole, around.box) if framed else found


def judge_photo(photo, model):
    """Inspects a photo, its shift as a model judges it.

    Args:
        photo: a `Photo`.
        model: a `Model`; the shipped one where it tells no exposure.

    Returns:
        an `inspection.Inspection`.
    """
    space = colour.colour_of(photo.icc, photo.notes, photo.colours)
    found, around = inspection.inspect_photo(photo.pixels, photo.colours)
    if found.verdict:
        return found
    if around and around.is_frame:
        pixels = photo.pixels.window(*around.box)
        photo = dataclasses.replace(photo, pixels=pixels)
    return _judged(_Work(photo, space, Settings(), False), model, found)


def _plain_file(photo, space):
    """The file's bytes, if every decoder makes the photo's pixels of them."""
    turned = 1
    if photo.format == "jpeg" and photo.exif:
        turned = tiff.orientation_of(photo.exif) or 1
    # The tables of a JPEG of four inks are not kept.
    known = photo.format == "png" or "qtables" in photo.encoding
    is_plain = (
        known
        and space.is_identity
        and not photo.has_alpha
        and photo.pixels.dtype == np.uint8
        and photo.orientation == turned
    )
    return (photo.data or None) if is_plain else None


def _framed(found, photo, box):
    """The correction of a part of a photo as one of the whole."""
    photo.notes.append("the white frame around it was left as it is")
    top, _, left, _ = box
    pixels = photo.pixels.with_window(top, left, found.pixels)
    invented = found.invented
    if invented is not None:
        mask = _no_mask(photo.pixels.shape)
        invented = mask.with_window(top, left, invented)
    return dataclasses.replace(found, pixels=pixels, invented=invented)


def _choose_answer(work, model, before):
    """Decides whether the photo needs the network.

    Returns:
        What corrects it, a function of the progress, or `None`; and the
        `Inspection`, as far as the model knows better.
    """
    settings = work.settings
    if model.judges:
        answer = model.correct(
            work.image(), settings.ev, settings.stops, settings.force
        )
        before = before.with_verdict(answer is not None)
        return (None if answer is None else work.takes(answer)), before
    thumbnail = work.thumbnail(model)
    if model.grid_spec:
        return _answer_by_grid(work, model, thumbnail, before)
    if settings.stops is not None:
        raise UserError(
            "the model cannot be told the stops; the shipped one can"
        )
    before = _judged(work, model, before)
    if settings.force or before.verdict != inspection.WELL_EXPOSED:
        tiles = functools.partial(work.restore_tiles, model, thumbnail)
        return tiles, before
    return None, before


def _judged(work, model, found):
    """An `Inspection` with what a model, or else the shipped one, says."""
    if found.verdict:
        return found
    if not model.grid_spec:
        model = _judge()
    return found.judged(model.encode_photo(work.thumbnail(model))[2])


@functools.cache
def _judge():
    try:
        return open_model()
    except UserError:
        # Without LiteRT; what asks for a judge runs in TensorFlow, mostly.
        return open_model(pretrained.DEFAULT)


def _answer_by_grid(work, model, thumbnail, before):
    """What `_choose_answer` does, for a model that tells the exposure."""
    settings, spec = work.settings, model.grid_spec
    slopes, embedding, exposure = model.encode_photo(thumbnail)
    _check_finite(slopes)
    _check_finite(exposure)
    if settings.stops is not None:
        slopes = coefficient_grid.slopes_of_stops(settings.stops, len(slopes))
        exposure = 1.0, settings.stops, 0.0
    share, judged = float(exposure[0]), before.judged(exposure)
    if settings.force:
        share = 1.0
    if share <= 0:
        return None, judged
    curve = coefficient_grid.Curve(spec.knots, slopes)
    factor, small = work.reduced()
    found = model.affine_coefficients(small, slopes, embedding)
    _check_finite(found)
    grid = coefficient_grid.CoefficientGrid(curve, spec, found, factor)
    return functools.partial(work.apply, grid.apply, share), judged


def _no_mask(shape):
    mask = PixelBuffer(*shape[:2], 1, np.uint8)
    for top, rows in mask.strips():
        mask.write(top, np.zeros_like(rows))
    return mask


class _Work:
    """Walks over a photo and collects its corrected pixels."""

    def __init__(self, photo, space, settings, want_mask):
        self.source = photo.pixels
        self.colours = photo.colours
        self.space = space
        self.settings = settings
        height, width, _ = self.source.shape
        self.pixels = PixelBuffer(*self.source.shape, self.source.dtype)
        self.invented = (
            PixelBuffer(height, width, 1, np.uint8) if want_mask else None
        )
        self.share = 0.0

    def thumbnail(self, model):
        """The small copy that the model takes, if it does."""
        if not model.thumbnail:
            return None
        return thumbnails.make_thumbnail(
            self._srgb_strips(), *self.source.shape[:2], model
        )

    def reduced(self):
        """The photo at reduced size, and the factor."""
        factor = coefficient_grid.reduction(*self.source.shape[:2])
        rows = STRIP_ROWS // factor * factor or factor
        strips = self._srgb_strips(rows)
        parts = [coefficient_grid.block_means(s, factor) for _, s in strips]
        return factor, np.concatenate(parts)

    def image(self):
        """The whole photo as float32 (H, W, 3), sRGB-encoded in [0, 1]."""
        return np.concatenate([strip for _, strip in self._srgb_strips()])

    def takes(self, answer):
        """Makes what takes an answer for the whole photo, `ev` included."""
        self.settings = dataclasses.replace(self.settings, ev=0.0)
        return functools.partial(
            self.apply, lambda top, rows: answer[top : top + len(rows)], 1.0
        )

    def apply(self, restore, share, progress):
        """Mixes in a share of an answer, strip by strip.

        Args:
            restore: function of a strip's first row and its float32 (n, W, 3)
                in [0, 1], to the answer alike.
            share: from 0 to 1.
            progress: called with the share done, or `None`.
        """
        self.share = share
        for top, strip in self.source.strips():
            out, bottom = strip.copy(), top + len(strip)
            alpha = self._alpha(top, bottom) * share
            answer = self._answer(strip, functools.partial(restore, top))
            self._blend(out, answer, alpha)
            self._write(top, out, alpha)
            if progress:
                progress(bottom / self.source.shape[0])

    def restore_tiles(self, model, thumbnail, progress):
        """Runs the network at full size, tile by tile."""
        self.share = 1.0
        height, width, _ = self.source.shape
        try:
            row_spans, column_spans = tiling.grid(
                height, width, model, self.settings.tile
            )
        except ValueError as error:
            raise UserError(str(error)) from error

        def restore(image):
            return model.restore(np.ascontiguousarray(image), thumbnail)

        total, done = len(row_spans) * len(column_spans), 0
        for row in row_spans:
            strip = tiling.read_window_rows(self.source, row)
            out = self.source.read(row.start, row.stop).copy()
            alpha = self._alpha(row.start, row.stop)
            for column in column_spans:
                window = tiling.take_window_columns(strip, column)
                answer = self._answer(window, restore)
                place = slice(column.start, column.stop)
                self._blend(
                    out[:, place],
                    answer[row.inner, column.inner],
                    alpha if np.isscalar(alpha) else alpha[:, place],
                )
                done += 1
                if progress:
                    progress(done / total)
            self._write(row.start, out, alpha)

    def gain_only(self, progress):
        """The `ev` offset alone, for a photo that needs nothing else."""
        for top, strip in self.source.strips():
            out = strip.copy()
            alpha = self._alpha(top, top + len(strip))
            answer = self._offset(self._to_srgb(strip))
            self._blend(out, self._from_srgb(answer), alpha)
            self._write(top, out, alpha, invented=False)
            if progress:
                progress((top + len(strip)) / self.source.shape[0])

    def _srgb_strips(self, size=STRIP_ROWS):
        for top, strip in self.source.strips(size):
            yield top, np.clip(self._to_srgb(strip), 0, 1)

    def _to_srgb(self, pixels):
        """Colours of (h, w, C) levels as float32 (h, w, 3), sRGB-encoded.

        What alpha hides must not decide what becomes of the rest: it reads
        as the mean of what is seen.
        """
        srgb = self._seen_srgb(pixels)
        hidden = self._hidden(pixels)
        if hidden.any():
            srgb[hidden] = self._mean_seen
        return srgb

    def _seen_srgb(self, pixels):
        values = pixels[..., : self.colours].astype(np.float32)
        values /= self.source.maximum
        srgb = self.space.to_srgb(values)
        return np.repeat(srgb, 3, axis=-1) if self.colours == 1 else srgb

    def _from_srgb(self, srgb):
        """The inverse, but for alpha: float32 (h, w, 1 or 3)."""
        if self.colours == 1:
            srgb = luma(srgb)[..., None]
        return self.space.from_srgb(srgb)

    def _hidden(self, pixels):
        """Which of (h, w, C) pixels are fully transparent: bool (h, w)."""
        if pixels.shape[-1] == self.colours:
            return np.zeros((), bool)
        return pixels[..., -1] == 0

    @functools.cached_property
    def _mean_seen(self):
        """Mean colour of the pixels that are seen, float32 (3,)."""
        total, count = np.zeros(3), 0
        for _, strip in self.source.strips():
            seen = self._seen_srgb(strip)[~self._hidden(strip)]
            total += seen.sum(0, dtype=np.float64)
            count += len(seen)
        return (total / max(count, 1)).astype(np.float32)

    def _answer(self, window, restore):
        """A network's answer for a window, in the photo's own colours."""
        srgb = self._to_srgb(window)
        image = np.clip(srgb, 0, 1)
        restored = restore(image)
        _check_finite(restored)
        # Colours outside sRGB keep what sRGB could not show of them.
        return self._from_srgb(self._offset(restored) + (srgb - image))

    def _offset(self, srgb):
        if self.settings.ev == 0:
            return srgb
        light = colour.srgb_to_linear(srgb) * np.float32(2**self.settings.ev)
        return colour.srgb_from_linear(light)

    def _alpha(self, top, bottom):
        """Share of the answer in each pixel: a number, or (h, W, 1)."""
        if not self.settings.highlights_only:
            return self.settings.strength
        parts = [
            self._near_highlights(start, min(start + STRIP_ROWS, bottom))
            for start in range(top, bottom, STRIP_ROWS)
        ]
        return np.concatenate(parts) * np.float32(self.settings.strength)

    def _near_highlights(self, top, bottom):
        """1 in clipped regions, sloping to 0 at `FEATHER` pixels: (h, W, 1).

        Sums of integers only, so that it cannot depend on the tiles.
        """
        height, width, _ = self.source.shape
        index = tiling.mirror(
            np.abs(np.arange(top - FEATHER, bottom + FEATHER)), height
        )
        first = index.min()
        rows = self.source.read(first, index.max() + 1)[index - first]
        columns = np.abs(np.arange(-FEATHER, width + FEATHER))
        rows = rows[:, tiling.mirror(columns, width)]
        clipped = self._clipped(rows).any(-1).astype(np.int32)
        grown = (_box_sum(clipped, _GROW) > 0).astype(np.int32)
        soft = _box_sum(_box_sum(grown, _SOFTEN), _SOFTEN)
        share = soft / np.float32((2 * _SOFTEN + 1) ** 4)
        return share[..., None].astype(np.float32)

    def _clipped(self, pixels):
        limit = inspection.CLIPPED * self.source.maximum
        clipped = pixels[..., : self.colours] >= limit
        return clipped & ~self._hidden(pixels)[..., None]

    def _blend(self, out, answer, alpha):
        """Mixes the answer into `out` (h, w, C), which holds the photo."""
        maximum = self.source.maximum
        mixed = out[..., : self.colours].astype(np.float32)
        mixed += alpha * (answer * np.float32(maximum) - mixed)
        if out.dtype.kind != "f":
            mixed = np.rint(mixed)
        mixed = np.clip(mixed, 0, maximum)
        seen = ~self._hidden(out)[..., None]
        np.copyto(out[..., : self.colours], mixed, "unsafe", where=seen)

    def _write(self, top, out, alpha, invented=True):
        self.pixels.write(top, out)
        if self.invented is None:
            return
        clipped = self._clipped(self.source.read(top, top + len(out)))
        share = clipped.mean(-1, keepdims=True) * alpha * invented
        self.invented.write(top, np.rint(share * 255).astype(np.uint8))


def _check_finite(values):
    if not np.isfinite(values).all():
        raise UserError(
            "the model answered values that are not finite; its export is "
            "broken"
        )


def _box_sum(values, radius):
    """Sums over squares of side 2 radius + 1: (h, w) -> smaller by radius."""
    side = 2 * radius + 1
    for _ in range(2):
        sums = np.cumsum(values, axis=0, dtype=np.int32)
        values = sums[side - 1 :].copy()
        values[1:] -= sums[:-side]
        values = values.T
    return values
