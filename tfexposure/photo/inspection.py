"""How a photo is exposed: clipped shares, estimated shift, a verdict."""

import dataclasses

import numpy as np

from tfexposure.imaging.appearance import CLIPPED_LEVEL, stops_of_appearance
from tfexposure.imaging.luminance import luma
from tfexposure.photo import surround

CLIPPED = CLIPPED_LEVEL / 255

WELL_EXPOSED = "well exposed"
GAIN = "recoverable by gain"
INVENTION = "needs invention"
ON_WHITE = "a page or cut-out on white"

# Below this many stops of overexposure nothing is worth changing.
MIN_STOPS = 0.5
# From this share of clipped pixels on a gain alone leaves white holes.
MIN_CLIPPED = 0.01


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Facts about one photo's exposure.

    Attributes:
        clipped: share of pixels with any clipped channel, 0 to 1.
        clipped_channels: the same of each channel, R, G, B or grey.
        stops: estimated overexposure, in stops; 0 for none.
        stops_spread: standard deviation of that estimate, where a model made
            it; else `None`.
        tau: `stops` as a fraction of full light that became white, 2^-stops.
        verdict: `WELL_EXPOSED`, `GAIN`, `INVENTION` or `ON_WHITE`.
        histogram: int (colours, 256), levels of the photo's own channels.
    """

    clipped: float
    clipped_channels: tuple
    stops: float
    tau: float
    verdict: str
    histogram: np.ndarray = dataclasses.field(repr=False, compare=False)
    stops_spread: float | None = None

    def judged(self, exposure):
        """Takes a model's word for the shift, instead of the photo's look.

        Args:
            exposure: (3,), of `Model.encode_photo`.

        Returns:
            an `Inspection`; of `WELL_EXPOSED`, where the model would leave
            the photo alone.
        """
        share, stops, spread = map(float, exposure)
        verdict = _verdict_of(self.clipped) if share > 0 else WELL_EXPOSED
        stops = max(stops, 0.0)
        return dataclasses.replace(
            self,
            stops=stops,
            tau=2.0**-stops,
            verdict=verdict,
            stops_spread=spread,
        )


def inspect_photo(pixels, colours, space):
    """Inspects a picture without what was drawn around it.

    Args:
        pixels: `PixelBuffer`.
        colours: as in `inspect_pixels`.
        space: as in `inspect_pixels`.

    Returns:
        (`Inspection`, `surround.Surround` or `None`). A photo in a frame is
        inspected alone; a page or cut-out counts as not overexposed.
    """
    around = surround.find_surround(pixels, colours)
    if around and around.is_frame:
        pixels = pixels.window(*around.box)
    found = inspect_pixels(pixels, colours, space)
    if around and not around.is_frame:
        found = dataclasses.replace(found, stops=0.0, tau=1.0, verdict=ON_WHITE)
    return found, around


def inspect_pixels(rows, colours, space):
    """Inspects a picture strip by strip.

    Args:
        rows: `PixelBuffer`.
        colours: 1 or 3, how many channels of `rows` are not alpha.
        space: conversion to sRGB, as from `colour.colour_of`.

    Returns:
        an `Inspection`.
    """
    histogram = np.zeros((colours, 256), np.int64)
    shades = np.zeros(256, np.int64)
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
        shades += luma_histogram(pixels, rows.maximum, space)
    clipped_each = histogram[:, CLIPPED_LEVEL:].sum(1)
    stops = 0.0  # Of a picture of which nothing is seen.
    if count:
        seen = shades / max(shades.sum(), 1)
        stops = float(stops_of_appearance(seen, clipped_any / count))
    count = max(count, 1)
    return Inspection(
        clipped=clipped_any / count,
        clipped_channels=tuple(float(n) / count for n in clipped_each),
        stops=stops,
        tau=2.0**-stops,
        verdict=_verdict(stops, clipped_any / count),
        histogram=histogram,
    )


def to_levels(pixels, maximum):
    """Pixels of any depth as uint8."""
    if maximum == 255:
        return pixels
    return np.rint(pixels * np.float32(255.0 / maximum)).astype(np.uint8)


def luma_histogram(pixels, maximum, space):
    """Counts the 256 levels of luma of every other row of pixels."""
    values = pixels[::2].astype(np.float32) / maximum
    values = np.clip(space.to_srgb(values), 0, 1)
    if values.shape[-1] == 3:
        values = luma(values)
    levels = np.rint(values * 255).astype(np.int64)
    return np.bincount(levels.ravel(), minlength=256)


def _verdict(stops, clipped):
    return WELL_EXPOSED if stops < MIN_STOPS else _verdict_of(clipped)


def _verdict_of(clipped):
    return INVENTION if clipped >= MIN_CLIPPED else GAIN
