"""How a photo is exposed: clipped shares, the shift, a verdict."""

import dataclasses

import numpy as np

from tfexposure.imaging.clipping import CLIPPED_LEVEL
from tfexposure.photo import surround

CLIPPED = CLIPPED_LEVEL / 255

WELL_EXPOSED = "well exposed"
GAIN = "recoverable by gain"
INVENTION = "needs invention"
ON_WHITE = "a page or cut-out on white"

# From this share of clipped pixels on a gain alone leaves white holes.
MIN_CLIPPED = 0.01


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Facts about one photo's exposure.

    Attributes:
        clipped: share of pixels with any clipped channel, 0 to 1.
        clipped_channels: the same of each channel, R, G, B or grey.
        histogram: int (colours, 256), levels of the photo's own channels.
        verdict: `WELL_EXPOSED`, `GAIN`, `INVENTION` or `ON_WHITE`; `None`
            where no model judged.
        stops: overexposure that a model guesses, in stops; 0 for none. `None`
            where none said it.
        stops_spread: standard deviation of that guess.
    """

    clipped: float
    clipped_channels: tuple
    histogram: np.ndarray = dataclasses.field(repr=False, compare=False)
    verdict: str | None = None
    stops: float | None = None
    stops_spread: float | None = None

    @property
    def tau(self):
        """Fraction of full light that became white, 2^-stops."""
        return None if self.stops is None else 2.0**-self.stops

    def judged(self, exposure):
        """Takes a model's word for the shift.

        Args:
            exposure: (3,), of `Model.encode_photo`.

        Returns:
            an `Inspection`; of `WELL_EXPOSED`, where the model would leave
            the photo alone.
        """
        share, stops, spread = map(float, exposure)
        found = self.with_verdict(share > 0)
        stops = max(stops, 0.0)
        return dataclasses.replace(found, stops=stops, stops_spread=spread)

    def with_verdict(self, needs_it):
        """Tells whether a model would change the photo, and by what."""
        verdict = WELL_EXPOSED
        if needs_it:
            verdict = INVENTION if self.clipped >= MIN_CLIPPED else GAIN
        return dataclasses.replace(self, verdict=verdict)


def inspect_photo(pixels, colours):
    """Inspects a picture without what was drawn around it.

    Args:
        pixels: `PixelBuffer`.
        colours: as in `inspect_pixels`.

    Returns:
        (`Inspection`, `surround.Surround` or `None`). A photo in a frame is
        inspected alone; a page or cut-out counts as not overexposed.
    """
    around = surround.find_surround(pixels, colours)
    if around and around.is_frame:
        pixels = pixels.window(*around.box)
    found = inspect_pixels(pixels, colours)
    if around and not around.is_frame:
        found = dataclasses.replace(found, stops=0.0, verdict=ON_WHITE)
    return found, around


def inspect_pixels(rows, colours):
    """Inspects a picture strip by strip.

    Args:
        rows: `PixelBuffer`.
        colours: 1 or 3, how many channels of `rows` are not alpha.

    Returns:
        an `Inspection`.
    """
    histogram = np.zeros((colours, 256), np.int64)
    clipped_any = count = 0
    for _, strip in rows.strips():
        pixels = strip[..., :colours]
        if strip.shape[2] in (2, 4):
            # What cannot be seen does not count.
            pixels = pixels[strip[..., -1] > 0][:, None]
        levels = to_levels(pixels, rows.maximum)
        brightest = levels[..., 0]
        for channel in range(colours):
            plane = levels[..., channel]
            histogram[channel] += np.bincount(plane.ravel(), minlength=256)
            brightest = np.maximum(brightest, plane)
        clipped_any += np.count_nonzero(brightest >= CLIPPED_LEVEL)
        count += brightest.size
    clipped_each = histogram[:, CLIPPED_LEVEL:].sum(1)
    seen = max(count, 1)
    found = Inspection(
        clipped=clipped_any / seen,
        clipped_channels=tuple(float(n) / seen for n in clipped_each),
        histogram=histogram,
    )
    if count:
        return found
    # Of a picture of which nothing is seen.
    return dataclasses.replace(found, stops=0.0, verdict=WELL_EXPOSED)


def to_levels(pixels, maximum):
    """Pixels of any depth as uint8."""
    if maximum == 255:
        return pixels
    return np.rint(pixels * np.float32(255.0 / maximum)).astype(np.uint8)
