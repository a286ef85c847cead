"""Response curves of cameras, as tables from display to display values."""

import numpy as np

# Entries of a table: a quarter of an 8-bit step lies between two of them at
# a slope of 4, and 4 is a strong overexposure.
TABLE_SIZE = 4096


def camera_response(exponent, knee, contrast=0.0):
    """Makes a camera's S-shaped curve from light to display values.

    `(1 + knee) * light ** exponent / (light ** exponent + knee)`, then a blend
    by `contrast` towards the smooth step `3 y ** 2 - 2 y ** 3`. A small knee
    is a long soft shoulder below white, a large one the plain power law.

    Args:
        exponent: float > 0.
        knee: float > 0.
        contrast: float in [-0.5, 1).

    Returns:
        Function of a NumPy array of light in [0, 1].

    Reference:
        Naka and Rushton (1966), as fitted to measured cameras by Eilertsen et
        al., HDR image reconstruction from a single exposure (2017), eq. (5).
    """

    def encode(light):
        power = light**exponent
        display = (1 + knee) * power / (power + knee)
        step = display * display * (3 - 2 * display)
        return display + contrast * (step - display)

    return encode


def lift_highlights(display, strength):
    """Lifts display values above the middle, so that the brightest clip."""
    share = np.clip((display - 0.45) / 0.5, 0, 1)
    share = share * share * (3 - 2 * share)
    return np.minimum(display * (1 + strength * share), 1)


def raise_contrast(display, power, share):
    """Takes to a power, then blends towards the smooth step by a share."""
    display = display**power
    step = display * display * (3 - 2 * display)
    return display + share * (step - display)


def expand_highlights(light, factor):
    """Gives a finished photo's whites the light that its scene may have had.

    Light from the middle up is multiplied, at white by the factor.
    """
    share = np.clip((light - 0.4) / 0.6, 0, 1)
    return light * factor ** (share * share * (3 - 2 * share))


def decode_table(decode, gains, top):
    """Tabulates which light a photo's values stand for.

    Args:
        decode: function from values in [0, 1] to light; 1 is white.
        gains: gain of light per channel.
        top: float, the greatest light.

    Returns:
        float32 (3, TABLE_SIZE): the fourth root of light / top, in [0, 1], at
        the values 0, ..., 1. Equal steps of that root resolve all stops.
    """
    light = decode(np.linspace(0, 1, TABLE_SIZE))
    light = light * np.asarray(gains)[:, None] / top
    return np.clip(light, 0, 1).astype("float32") ** 0.25


def encode_table(encode, gain, top):
    """Tabulates what a camera shows of light.

    Args:
        encode: function from light in [0, 1] to display values.
        gain: float, of light; what exceeds 1 then is white.
        top: float, the greatest light.

    Returns:
        float32 (TABLE_SIZE,): display values where the fourth root of
        light / top is 0, ..., 1.
    """
    light = np.linspace(0, 1, TABLE_SIZE) ** 4 * top
    return encode(np.minimum(light * gain, 1)).astype("float32")
