"""Image formation: how a photo becomes overexposed, and the way back.

Written in `keras.ops`, so that one implementation runs eagerly, inside
`tf.data`, on NumPy arrays and under JAX. Nothing here reads files.
"""

import keras
from keras import ops


class GammaResponse:
    """Power law between light and display values: `light ** (1 / gamma)`.

    Args:
        gamma: float > 0; the paper's value is 2.2.

    Reference:
        Le Jeune, section 3.5, eq. (10).
    """

    def __init__(self, gamma=2.2):
        if gamma <= 0:
            raise ValueError(f"`gamma` must be positive. Received: {gamma}")
        self.gamma = float(gamma)

    def decode(self, display):
        """Maps display values in [0, 1] to light in [0, 1]."""
        return ops.power(display, self.gamma)

    def encode(self, light):
        """Maps light in [0, 1] to display values in [0, 1]."""
        return ops.power(light, 1.0 / self.gamma)


class SRGBResponse:
    """The piecewise curve of IEC 61966-2-1 (sRGB)."""

    def decode(self, display):
        """Maps display values in [0, 1] to light in [0, 1]."""
        # The power branch is kept off its singular slope near 0.
        high = ops.power((ops.maximum(display, 0.04045) + 0.055) / 1.055, 2.4)
        return ops.where(display <= 0.04045, display / 12.92, high)

    def encode(self, light):
        """Maps light in [0, 1] to display values in [0, 1]."""
        high = 1.055 * ops.power(ops.maximum(light, 0.0031308), 1 / 2.4) - 0.055
        return ops.where(light <= 0.0031308, light * 12.92, high)


class TableResponse:
    """A measured curve, linear between equally spaced display values.

    Args:
        light: sequence of at least two strictly increasing floats, the first
            0 and the last 1: the light at display values 0, 1/(n-1), ..., 1.
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

    def decode(self, display):
        """Maps display values in [0, 1] to light in [0, 1]."""
        last = len(self.light) - 1
        display = ops.convert_to_tensor(display)
        table = ops.convert_to_tensor(self.light, dtype=display.dtype)
        position = ops.clip(display, 0.0, 1.0) * last
        below = ops.minimum(ops.floor(position), last - 1)
        index = ops.cast(below, "int32")
        low, high = ops.take(table, index), ops.take(table, index + 1)
        return low + (position - below) * (high - low)

    def encode(self, light):
        """Maps light in [0, 1] to display values in [0, 1]."""
        last = len(self.light) - 1
        light = ops.clip(ops.convert_to_tensor(light), 0.0, 1.0)
        table = ops.convert_to_tensor(self.light, dtype=light.dtype)
        flat = ops.reshape(light, (-1,))
        index = ops.searchsorted(table, flat, side="right") - 1
        index = ops.clip(ops.cast(index, "int32"), 0, last - 1)
        low, high = ops.take(table, index), ops.take(table, index + 1)
        display = ops.cast(index, flat.dtype) + (flat - low) / (high - low)
        return ops.reshape(display / last, ops.shape(light))


# Names accepted by `--data.response`.
RESPONSES = {"gamma": GammaResponse, "srgb": SRGBResponse}

GAMMA_2_2 = GammaResponse(2.2)


def get_response(name):
    """Returns the response curve called `name`.

    Raises:
        ValueError: if there is no curve of that name.
    """
    if name not in RESPONSES:
        raise ValueError(
            f"`response` must be one of {sorted(RESPONSES)}. Received: {name!r}"
        )
    return RESPONSES[name]()


def overexpose(image, tau, response=GAMMA_2_2):
    """Simulates overexposure: clips the scene's light and rescales the rest.

    `decode(image)` -> `min(light, tau) / tau` -> `encode`, per channel. At
    `tau` 1 nothing changes.

    Args:
        image: float (..., H, W, 3), display-encoded RGB in [0, 1].
        tau: float in (0, 1], or a tensor that broadcasts, such as
            (N, 1, 1, 1): the share of full-scale light that becomes white.
        response: curve between display values and light.

    Returns:
        Tensor of `image`'s shape and type, in [0, 1].

    Raises:
        ValueError: if `image` is not floating point, or a Python `tau` lies
            outside (0, 1].

    Reference:
        Le Jeune, section 3.5, eq. (10).
    """
    image, tau = _check(image, tau, "image")
    light = response.decode(image)
    return response.encode(ops.minimum(light, tau) / tau)


def invert(overexposed, tau, response=GAMMA_2_2):
    """Undoes the gain of `overexpose` for a known `tau`; clips stay flat.

    For the power law this is `overexposed * tau ** (1 / gamma)`.

    Args:
        overexposed: float (..., H, W, 3), display-encoded RGB in [0, 1].
        tau: as for `overexpose`.
        response: curve between display values and light.

    Returns:
        Tensor of `overexposed`'s shape and type, in [0, 1].

    Raises:
        ValueError: as for `overexpose`.

    Reference:
        Le Jeune, section 3.6.
    """
    overexposed, tau = _check(overexposed, tau, "overexposed")
    return response.encode(response.decode(overexposed) * tau)


def dequantize(image, noise):
    """Fills the steps of an 8-bit photo, so that no gap betrays a later gain.

    Scaling 8-bit values leaves regular gaps in the histogram from which a
    network could read `tau` exactly; no real photo has them.

    Args:
        image: float (..., H, W, 3) in [0, 1], from 8-bit values.
        noise: same shape, uniform in [-0.5, 0.5): steps of 1/255.

    Returns:
        Tensor of `image`'s shape, in [0, 1].
    """
    return ops.clip(image + noise / 255.0, 0.0, 1.0)


def quantize(image):
    """Rounds an image in [0, 1] to the nearest of 256 equally spaced values."""
    # ops.round would round halves to even; adding first keeps steps equal.
    return ops.floor(ops.clip(image, 0.0, 1.0) * 255.0 + 0.5) / 255.0


def _check(image, tau, name):
    image = ops.convert_to_tensor(image)
    dtype = keras.backend.standardize_dtype(image.dtype)
    if "float" not in dtype:
        raise ValueError(
            f"`{name}` must be floating point in [0, 1]. Received: {dtype}"
        )
    if isinstance(tau, int | float) and not 0 < tau <= 1:
        raise ValueError(f"`tau` must lie in (0, 1]. Received: {tau}")
    return image, ops.cast(tau, dtype)
