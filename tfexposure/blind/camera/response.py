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


def exposure_tables(encode, tau, balance=(1.0, 1.0, 1.0), scene=None):
    """Tabulates what a camera does to the display values of a good photo.

    Args:
        encode: increasing function from light to display values, both [0, 1].
        tau: float in (0, 1], the light that becomes white.
        balance: gain of light per channel.
        scene: function applied to the display values of the photo itself.

    Returns:
        Two float32 (3, TABLE_SIZE): the target's and the overexposed photo's
        display values at the photo's values 0, ..., 1.
    """
    # Light spans many stops: equal steps of its fourth root resolve them all.
    light = np.linspace(0, 1, 4 * TABLE_SIZE) ** 4
    display = encode(light)
    values = np.linspace(0, 1, TABLE_SIZE)
    if scene:
        values = scene(values)
    decoded = np.interp(values, display, light)
    balanced = decoded * np.asarray(balance)[:, None]

    def shown(gain):
        return np.interp(np.minimum(balanced * gain, 1), light, display)

    return shown(1.0).astype("float32"), shown(1.0 / tau).astype("float32")
