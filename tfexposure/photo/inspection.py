"""How a photo is exposed: clipped shares, estimated shift, a verdict."""

import dataclasses

import numpy as np

from tfexposure.photo import surround
from tfexposure.photo.io import colour

# A channel from here on is called clipped: JPEG ripples keep white regions
# from being 255 throughout.
_CLIPPED_LEVEL = 250
CLIPPED = _CLIPPED_LEVEL / 255

WELL_EXPOSED = "well exposed"
GAIN = "recoverable by gain"
INVENTION = "needs invention"
ON_WHITE = "a page or cut-out on white"

# Below this many stops of overexposure nothing is worth changing.
MIN_STOPS = 0.5
# From this share of clipped pixels on a gain alone leaves white holes.
MIN_CLIPPED = 0.01

_QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9)
_WEIGHTS = np.array(
    [-0.187, -4.472, -0.587, 2.747, 0.350, 0.574, 0.713, 1.192, 0.850, 0.973]
)


@dataclasses.dataclass(frozen=True)
class Inspection:
    """Facts about one photo's exposure.

    Attributes:
        clipped: share of pixels with any clipped channel, 0 to 1.
        clipped_channels: the same of each channel, R, G, B or grey.
        stops: estimated overexposure, in stops; 0 for none.
        tau: the same as a fraction of full light that became white, 2^-stops.
        verdict: `WELL_EXPOSED`, `GAIN`, `INVENTION` or `ON_WHITE`.
        histogram: int (colours, 256), levels of the photo's own channels.
    """

    clipped: float
    clipped_channels: tuple
    stops: float
    tau: float
    verdict: str
    histogram: np.ndarray = dataclasses.field(repr=False, compare=False)


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
    luma = np.zeros(256, np.int64)
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
        clipped_any += np.count_nonzero(brightest >= _CLIPPED_LEVEL)
        count += brightest.size
        luma += luma_histogram(pixels, rows.maximum, space)
    clipped_each = histogram[:, _CLIPPED_LEVEL:].sum(1)
    stops = 0.0  # Of a picture of which nothing is seen.
    if count:
        stops = stops_of_look(luma / max(luma.sum(), 1), clipped_any / count)
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
        values = colour.luma_of(values)
    levels = np.rint(values * 255).astype(np.int64)
    return np.bincount(levels.ravel(), minlength=256)


def _verdict(stops, clipped):
    if stops < MIN_STOPS:
        return WELL_EXPOSED
    return INVENTION if clipped >= MIN_CLIPPED else GAIN


def look_features(luma, clipped):
    """What the estimate looks at.

    Args:
        luma: shares of the 256 levels of luma, sRGB-encoded, adding up to 1.
        clipped: share of pixels with a clipped channel.

    Returns:
        float (10,): 1, mean luma, clipped share and its root, six quantiles.
    """
    mean = float(luma @ np.arange(256)) / 255
    quantiles = np.searchsorted(np.cumsum(luma), _QUANTILES) / 255
    return np.array([1.0, mean, clipped, clipped**0.5, *quantiles])


def stops_of_look(luma, clipped):
    """Guesses the overexposure of a photo from its look alone.

    A linear fit over simulated overexposures (eq. 10) of photos of which at
    most 6 % are clipped: `benchmarks/exposure_estimate.py` makes it. A photo
    of snow looks like an overexposed one, so this is a guess;
    docs/correct.md says how good. The rows of an evaluation that undo a gain
    have an estimate of their own (`baselines.tau_of_clipped_share`).

    Args:
        luma: as in `look_features`.
        clipped: as in `look_features`.

    Returns:
        stops >= 0.
    """
    return max(0.0, float(look_features(luma, clipped) @ _WEIGHTS))
