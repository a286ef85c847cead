"""Restorations without a network: undoing the exposure's gain.

What a trained generator must be compared with. `invert` in `exposure` knows
the true tau (Le Jeune, section 3.6); here it is estimated, which is all that
is possible for a photo of unknown history. Clipped areas stay flat.
"""

import numpy as np
from keras import ops

from tfexposure.imaging.exposure import GAMMA_2_2, invert
from tfexposure.metrics.fidelity import CLIP_LEVEL

# Stops of overexposure = 2.7 sqrt(share of pixels with a clipped channel)
# + 0.4 sqrt(share with all channels clipped), fitted by least squares with
# benchmarks/fit_blind_baseline.py, which says on what.
STOPS_PER_ROOT_ANY = 2.7
STOPS_PER_ROOT_ALL = 0.4
# The mean of a well-exposed photo's channel values above a level lies this
# share of the way from there to white; fitted by the same program.
FILL = 0.36


def clipped_shares(overexposed):
    """Counts clipped pixels.

    Args:
        overexposed: float (N, H, W, 3) in [0, 1].

    Returns:
        Two floats (N,) in [0, 1]: the share of pixels of which any channel is
        clipped, and of which all are.
    """
    overexposed = ops.convert_to_tensor(overexposed)
    peak, floor = ops.max(overexposed, axis=-1), ops.min(overexposed, axis=-1)
    return tuple(
        ops.mean(ops.cast(values >= CLIP_LEVEL, overexposed.dtype), axis=(1, 2))
        for values in (peak, floor)
    )


def tau_of_clipped_share(overexposed):
    """Estimates tau from how much of a photo is clipped, and nothing else.

    Not what `tfexposure inspect` says, which asks the blind model: rows without
    a network have none.

    A photo without clipped pixels gets 1: nothing to undo. The estimate
    knows typical photos of typical scenes, not this scene.

    Args:
        overexposed: float (N, H, W, 3), display-encoded RGB in [0, 1].

    Returns:
        Float (N,), in (0, 1].
    """
    any_channel, all_channels = clipped_shares(overexposed)
    stops = STOPS_PER_ROOT_ANY * ops.sqrt(any_channel)
    stops = stops + STOPS_PER_ROOT_ALL * ops.sqrt(all_channels)
    return ops.power(ops.cast(2.0, stops.dtype), -stops)


def invert_blind(overexposed, response=GAMMA_2_2):
    """Undoes the gain of an unknown overexposure.

    Args:
        overexposed: float (N, H, W, 3), display-encoded RGB in [0, 1].
        response: curve between display values and light.

    Returns:
        Float (N, H, W, 3) in [0, 1], nowhere brighter than `overexposed`.
    """
    tau = ops.reshape(tau_of_clipped_share(overexposed), (-1, 1, 1, 1))
    return invert(overexposed, tau, response)


def fill(overexposed, tau, response=GAMMA_2_2):
    """Undoes the gain and gives clipped channels the value to be expected.

    Args:
        overexposed: float (N, H, W, 3), display-encoded RGB in [0, 1].
        tau: float, or a tensor that broadcasts.
        response: curve between display values and light.

    Returns:
        Float (N, H, W, 3) in [0, 1].
    """
    restored = invert(overexposed, tau, response)
    white = response.from_linear(ops.cast(tau, restored.dtype))
    return ops.where(
        ops.convert_to_tensor(overexposed) >= CLIP_LEVEL,
        white + FILL * (1 - white),
        restored,
    )


def fill_blind(overexposed, response=GAMMA_2_2):
    """`fill` for an unknown overexposure; arguments as `invert_blind`."""
    tau = ops.reshape(tau_of_clipped_share(overexposed), (-1, 1, 1, 1))
    return fill(overexposed, tau, response)


def _of_one(function):
    """Makes a function of photos (N, H, W, 3) one of an image (H, W, 3)."""

    def restore(image, *known):
        return np.asarray(ops.convert_to_numpy(function(image[None], *known)))[
            0
        ]

    return restore


UNTOUCHED = "untouched"
INVERSE_BLIND = "inverse (blind)"
FILL_BLIND = "fill (blind)"
INVERSE_KNOWN = "inverse (known tau)"
FILL_KNOWN = "fill (known tau)"
# Name -> function of an image, and of an image, tau and the response.
METHODS = {
    UNTOUCHED: lambda image: image,
    INVERSE_BLIND: _of_one(invert_blind),
    FILL_BLIND: _of_one(fill_blind),
}
ORACLES = {INVERSE_KNOWN: _of_one(invert), FILL_KNOWN: _of_one(fill)}
