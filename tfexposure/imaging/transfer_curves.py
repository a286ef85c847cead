"""Transfer curves between display values and the light they stand for.

Each curve has `to_linear`, from display values in [0, 1] to light in [0, 1],
and its inverse `from_linear`. Both take floating-point NumPy arrays or tensors
of any shape and keep shape and type.
"""

import numpy as np

from tfexposure.imaging.namespace import as_array, namespace_of


class GammaResponse:
    """Power law between light and display values: `light ** (1 / gamma)`.

    Args:
        gamma: float > 0; the paper's value is 2.2.

    Reference:
        Le Jeune, section 3.5, eq. (10).

    >>> print(f"{GammaResponse().to_linear(0.5):.4f}")  # 0.5 ** 2.2
    0.2176
    >>> print(f"{GammaResponse().from_linear(0.2176):.3f}")
    0.500
    """

    def __init__(self, gamma=2.2):
        if gamma <= 0:
            raise ValueError(f"`gamma` must be positive. Received: {gamma}")
        self.gamma = float(gamma)

    def to_linear(self, display):
        """Maps display values in [0, 1] to light in [0, 1]."""
        return namespace_of(display).power(display, self.gamma)

    def from_linear(self, light):
        """Maps light in [0, 1] to display values in [0, 1]."""
        return namespace_of(light).power(light, 1.0 / self.gamma)


class SRGBResponse:
    """The piecewise curve of sRGB: a line near black, a power law above.

    Reference:
        IEC 61966-2-1:1999.

    >>> print(f"{SRGBResponse().to_linear(0.5):.4f}")  # (0.555 / 1.055) ** 2.4
    0.2140
    >>> print(f"{SRGBResponse().from_linear(0.001):.5f}")  # 12.92 * 0.001
    0.01292
    """

    def to_linear(self, display):
        """Maps display values in [0, 1] to light in [0, 1]."""
        xp = namespace_of(display)
        # The power branch is kept off its singular slope near 0.
        high = xp.power((xp.maximum(display, 0.04045) + 0.055) / 1.055, 2.4)
        return xp.where(display <= 0.04045, display / 12.92, high)

    def from_linear(self, light):
        """Maps light in [0, 1] to display values in [0, 1]."""
        xp = namespace_of(light)
        high = 1.055 * xp.power(xp.maximum(light, 0.0031308), 1 / 2.4) - 0.055
        return xp.where(light <= 0.0031308, light * 12.92, high)


class TableResponse:
    """A measured curve, linear between equally spaced display values.

    Args:
        light: sequence of at least two strictly increasing floats, the first
            0 and the last 1: the light at display values 0, 1/(n-1), ..., 1.

    >>> print(f"{TableResponse([0, 0.1, 1]).to_linear(0.75):.2f}")
    0.55
    >>> print(f"{TableResponse([0, 0.1, 1]).from_linear(0.55):.2f}")
    0.75
    """

    def __init__(self, light):
        light = [float(value) for value in light]
        rising = all(a < b for a, b in zip(light, light[1:], strict=False))
        if len(light) < 2 or light[0] != 0 or light[-1] != 1 or not rising:
            raise ValueError(
                "`light` must rise strictly from 0 to 1 over at least two "
                f"entries. Received: {light}"
            )
        self.light = light

    def to_linear(self, display):
        """Maps display values in [0, 1] to light in [0, 1]."""
        return _interpolate(display, self._display(), self.light)

    def from_linear(self, light):
        """Maps light in [0, 1] to display values in [0, 1]."""
        return _interpolate(light, self.light, self._display())

    def _display(self):
        return np.linspace(0, 1, len(self.light))


class PQResponse:
    """The perceptual quantiser of HDR photos: codes to light.

    Args:
        white_nits: float > 0, the luminance of light 1, in cd/m2.

    Reference:
        SMPTE ST 2084:2014, eq. (4.1) and (5.1).

    >>> print(f"{PQResponse(203.0).to_linear(0.5807):.2f}")  # BT.2408: 58 %
    1.00
    """

    _M1, _M2 = 2610 / 16384, 2523 / 32
    _C1, _C2, _C3 = 3424 / 4096, 2413 / 128, 2392 / 128

    def __init__(self, white_nits=203.0):
        self.white_nits = white_nits

    def to_linear(self, display):
        """Maps codes in [0, 1] to light in [0, 10000 / white_nits]."""
        xp = namespace_of(display)
        power = xp.power(display, 1 / self._M2)
        share = xp.maximum(power - self._C1, 0.0) / (
            self._C2 - self._C3 * power
        )
        return 1e4 * xp.power(share, 1 / self._M1) / self.white_nits

    def from_linear(self, light):
        """Maps light in [0, 10000 / white_nits] to codes in [0, 1]."""
        xp = namespace_of(light)
        power = xp.power(light * self.white_nits / 1e4, self._M1)
        return xp.power(
            (self._C1 + self._C2 * power) / (1 + self._C3 * power), self._M2
        )


class WideResponse:
    """Codes that hold light above white, for photos whose highlights are known.

    The power law of 2.2 up to white, which is the code `white`, then `stops`
    stops in equal steps: 8 bits are enough to train on.

    Args:
        white: float in (0, 1), the code of light 1.
        stops: float > 0, how far above white the code 1 lies.

    >>> print(f"{WideResponse().from_linear(1.0):.3f}")
    0.720
    >>> print(f"{WideResponse().to_linear(1.0):.1f}")  # 2 ** 6
    64.0
    """

    def __init__(self, white=0.72, stops=6.0):
        self.white, self.stops = white, stops

    def to_linear(self, display):
        """Maps codes in [0, 1] to light in [0, 2 ** stops]."""
        xp = namespace_of(display)
        below = xp.power(xp.minimum(display / self.white, 1.0), 2.2)
        above = xp.maximum(display - self.white, 0.0) / (1.0 - self.white)
        return below * xp.exp2(self.stops * above)

    def from_linear(self, light):
        """Maps light in [0, 2 ** stops] to codes in [0, 1]."""
        xp = namespace_of(light)
        below = xp.power(xp.minimum(light, 1.0), 1 / 2.2)
        above = xp.log2(xp.clip(light, 1.0, 2.0**self.stops)) / self.stops
        return self.white * below + (1.0 - self.white) * above


def _interpolate(values, knots, heights):
    """Reads the line through (knots, heights) at values in [0, 1]."""
    xp = namespace_of(values)
    values = as_array(values, xp)
    if xp is np:
        return np.interp(values, knots, heights).astype(values.dtype)
    flat = xp.reshape(xp.clip(values, 0.0, 1.0), (-1,))
    pieces = len(knots) - 1
    knots = xp.convert_to_tensor(knots, dtype=values.dtype)
    heights = xp.convert_to_tensor(heights, dtype=values.dtype)
    below = xp.searchsorted(knots, flat, side="right") - 1
    below = xp.clip(xp.cast(below, "int32"), 0, pieces - 1)
    left, low = xp.take(knots, below), xp.take(heights, below)
    right, high = xp.take(knots, below + 1), xp.take(heights, below + 1)
    lines = low + (flat - left) / (right - left) * (high - low)
    return xp.reshape(lines, xp.shape(values))


# The paper's curve, and that of most photos.
GAMMA_2_2, SRGB = GammaResponse(2.2), SRGBResponse()
# Of photos with light above white in packed files.
WIDE = WideResponse()
# The same curve as g, a, b, c, d of ICC.1:2022, parametric type 3.
SRGB_PARAMETERS = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)

# Names accepted by `--data.response`.
RESPONSES = {"gamma": GAMMA_2_2, "srgb": SRGB}


def get_response(name):
    """Returns the transfer curve called `name`.

    Raises:
        ValueError: if there is no curve of that name.
    """
    if name not in RESPONSES:
        raise ValueError(
            f"`response` must be one of {sorted(RESPONSES)}. Received: {name!r}"
        )
    return RESPONSES[name]
