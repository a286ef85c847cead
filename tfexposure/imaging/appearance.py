"""Overexposure guessed from how a photo looks: its histogram, its whites."""

from tfexposure.imaging.namespace import as_array, namespace_of

# A channel from here on is called clipped: JPEG ripples keep white regions
# from being 255 throughout.
CLIPPED_LEVEL = 250

_QUANTILES = (0.02, 0.1, 0.25, 0.5, 0.75, 0.9)
_WEIGHTS = (
    -0.187, -4.472, -0.587, 2.747, 0.350, 0.574, 0.713, 1.192, 0.850, 0.973
)  # fmt: skip


def appearance(luma, clipped):
    """Describes a photo by what the estimate looks at.

    Args:
        luma: float64 (256,), shares of the levels of luma, sRGB-encoded, adding
            up to 1; NumPy array or tensor.
        clipped: float64 scalar, share of pixels with a clipped channel.

    Returns:
        float64 (10,): 1, mean luma, clipped share and its root, six quantiles.
    """
    xp = namespace_of(luma, clipped)
    luma, clipped = (as_array(v, xp, "float64") for v in (luma, clipped))
    levels = xp.arange(256, dtype="float64")
    mean = xp.sum(luma * levels) / 255
    wanted = as_array(_QUANTILES, xp, "float64")
    below = xp.cumsum(luma) < wanted[:, None]
    quantiles = as_array(xp.count_nonzero(below, axis=-1), xp, "float64") / 255
    first = [xp.ones_like(mean), mean, clipped, xp.sqrt(clipped)]
    return xp.concatenate([xp.stack(first), quantiles])


def stops_of_appearance(luma, clipped):
    """Guesses the overexposure of a photo from its look alone.

    A linear fit over simulated overexposures (eq. 10) of photos of which at
    most 6 % are clipped: `benchmarks/exposure_estimate.py` makes it. A photo
    of snow looks like an overexposed one, so this is a guess;
    docs/correct.md says how good. The rows of an evaluation that undo a gain
    have an estimate of their own (`baselines.tau_of_clipped_share`).

    Args:
        luma: as in `appearance`.
        clipped: as in `appearance`.

    Returns:
        stops >= 0, a float64 scalar.
    """
    features = appearance(luma, clipped)
    xp = namespace_of(features)
    stops = xp.sum(features * as_array(_WEIGHTS, xp, "float64"))
    return xp.maximum(stops, 0.0)
