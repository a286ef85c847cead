"""Restorations without a network: undoing the exposure's gain.

What a trained generator must be compared with. `invert` in `exposure` knows
the true tau (Le Jeune, section 3.6); here it is estimated, which is all that
is possible for a photo of unknown history. Clipped areas stay flat.
"""

from keras import ops

from tfexposure.imaging.exposure import (
    GAMMA_2_2,
    invert,
)
from tfexposure.metrics.fidelity import CLIP_LEVEL

# Stops of overexposure = 2.7 sqrt(share of pixels with a clipped channel)
# + 0.4 sqrt(share with all channels clipped), fitted by least squares with
# benchmarks/fit_blind_baseline.py, which says on what.
STOPS_PER_ROOT_ANY = 2.7
STOPS_PER_ROOT_ALL = 0.4


def clipped_shares(overexposed, level=CLIP_LEVEL):
    """Counts clipped pixels.

    Args:
        overexposed: float (N, H, W, 3) in [0, 1].
        level: the value from which a channel counts as clipped.

    Returns:
        Two floats (N,) in [0, 1]: the share of pixels of which any channel is
        clipped, and of which all are.
    """
    overexposed = ops.convert_to_tensor(overexposed)
    peak, floor = ops.max(overexposed, axis=-1), ops.min(overexposed, axis=-1)
    return tuple(
        ops.mean(ops.cast(values >= level, overexposed.dtype), axis=(1, 2))
        for values in (peak, floor)
    )


def estimate_tau(overexposed, level=CLIP_LEVEL):
    """Estimates tau from how much of a photo is clipped.

    A photo without clipped pixels gets 1: nothing to undo. The estimate
    knows typical photos of typical scenes, not this scene.

    Args:
        overexposed: float (N, H, W, 3), display-encoded RGB in [0, 1].
        level: the value from which a channel counts as clipped.

    Returns:
        Float (N,), in (0, 1].
    """
    any_channel, all_channels = clipped_shares(overexposed, level)
    stops = STOPS_PER_ROOT_ANY * ops.sqrt(any_channel)
    stops = stops + STOPS_PER_ROOT_ALL * ops.sqrt(all_channels)
    return ops.power(ops.cast(2.0, stops.dtype), -stops)


def invert_blind(overexposed, response=GAMMA_2_2, level=CLIP_LEVEL):
    """Undoes the gain of an unknown overexposure.

    Args:
        overexposed: float (N, H, W, 3), display-encoded RGB in [0, 1].
        response: curve between display values and light.
        level: the value from which a channel counts as clipped.

    Returns:
        Float (N, H, W, 3) in [0, 1], nowhere brighter than `overexposed`.
    """
    tau = ops.reshape(estimate_tau(overexposed, level), (-1, 1, 1, 1))
    return invert(overexposed, tau, response)
