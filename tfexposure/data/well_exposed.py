"""Good exposure: one rule, and its limits for each use.

NumPy alone: it also runs where there is neither Keras nor TensorFlow.
"""

import dataclasses

import numpy as np

from tfexposure.data.manifest import KEEP, OVEREXPOSED, UNDEREXPOSED
from tfexposure.imaging.luminance import luminance


@dataclasses.dataclass(frozen=True)
class Rules:
    """Limits of a well-exposed photo.

    Attributes:
        bright_level: 8-bit value; a pixel whose largest channel reaches it
            counts as overexposed.
        dark_level: 8-bit value; a pixel whose largest channel does not exceed
            it counts as underexposed.
        max_bright: the fraction of overexposed pixels, in [0, 1], that a kept
            photo may have.
        max_dark: the fraction of underexposed pixels, in [0, 1], that a kept
            photo may have.
        white_level: 8-bit value; a pixel whose smallest channel reaches it
            counts as white.
        max_white: the fraction of white pixels, in [0, 1].
        luminance: least and greatest mean luminance of display values, in
            [0, 1].
    """

    bright_level: int = 250
    dark_level: int = 5
    max_bright: float = 0.01
    max_dark: float = 0.01
    white_level: int = 250
    max_white: float = 1.0
    luminance: tuple = (0.0, 1.0)

    def __post_init__(self):
        for name in ("bright_level", "dark_level", "white_level"):
            if not 0 <= getattr(self, name) <= 255:
                raise ValueError(
                    f"`{name}` should be an 8-bit value in [0, 255]. "
                    f"Received: {getattr(self, name)}"
                )
        for name in ("max_bright", "max_dark", "max_white"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(
                    f"`{name}` should be a fraction in [0, 1]. "
                    f"Received: {getattr(self, name)}"
                )

    def verdict(self, bright_fraction, dark_fraction):
        """Returns `keep`, `overexposed` (goes first) or `underexposed`."""
        if bright_fraction > self.max_bright:
            return OVEREXPOSED
        if dark_fraction > self.max_dark:
            return UNDEREXPOSED
        return KEEP


# The paper's curation, as documented in `data.curation`.
CURATION = Rules()
# What a training photo of the blind model may have: the paper's rule would
# drop every lamp and bright sky, and whites that stay white must be learnt.
TRAINING = Rules(
    max_bright=0.05, max_white=0.02, max_dark=0.15, luminance=(0.12, 0.85)
)
# What may serve as the truth of a score, as the public benchmark has it.
SCORING = Rules(
    bright_level=254,
    max_bright=0.05,
    max_white=0.01,
    max_dark=1.0,
    luminance=(0.2, 0.8),
)


def bright_and_dark(peak, rules=CURATION):
    """Counts badly exposed pixels.

    Args:
        peak: uint8 (H, W), the largest channel of each pixel.
        rules: `Rules`, of which the levels are used.

    Returns:
        Two floats in [0, 1]: the fractions of overexposed and of
        underexposed pixels.
    """
    bright = float(np.mean(peak >= rules.bright_level))
    return bright, float(np.mean(peak <= rules.dark_level))


def is_well_exposed(pixels, rules):
    """Says whether a photo may serve as an example of good exposure.

    Args:
        pixels: uint8 (H, W, 3), RGB.
        rules: `Rules`, such as `TRAINING` or `SCORING`.

    Returns:
        bool.
    """
    fractions = bright_and_dark(pixels.max(axis=-1), rules)
    white = (pixels.min(axis=-1) >= rules.white_level).mean()
    brightness = float(luminance(pixels / 255.0).mean())
    low, high = rules.luminance
    return bool(
        rules.verdict(*fractions) == KEEP
        and white <= rules.max_white
        and low <= brightness <= high
    )
