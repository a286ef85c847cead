"""Image formation: how a photo becomes overexposed, and the way back.

All functions take NumPy arrays or tensors and answer in kind; they run inside
`tf.data` and under JAX as well. Nothing here reads files.
"""

from tfexposure.imaging.namespace import as_array, namespace_of
from tfexposure.imaging.transfer_curves import GAMMA_2_2, GammaResponse

# Steps between black and white of an 8-bit photo.
_STEPS = 255.0


def overexpose(image, tau, response=GAMMA_2_2):
    """Simulates overexposure: clips the scene's light and rescales the rest.

    `to_linear(image)` -> `min(light, tau) / tau` -> `from_linear`, per channel.
    At `tau` 1 nothing changes.

    Args:
        image: float (..., H, W, 3), display-encoded RGB in [0, 1].
        tau: float in (0, 1], or an array that broadcasts, such as
            (N, 1, 1, 1): the share of full-scale light that becomes white.
        response: transfer curve between display values and light.

    Returns:
        Array of `image`'s kind, shape and type, in [0, 1].

    Raises:
        ValueError: if `image` is not floating point, or a Python `tau` lies
            outside (0, 1].

    Reference:
        Le Jeune, section 3.5, eq. (10).

    >>> pixel = overexpose([[[0.9, 0.8, 0.3]]], 0.5)
    >>> print(*(f"{value:.4f}" for value in pixel[0, 0]))
    1.0000 1.0000 0.4111
    """
    xp, image, tau = _checked(image, tau, "image")
    if isinstance(response, GammaResponse):
        # The powers cancel: the same at a third of the time.
        knee = response.from_linear(tau)
        return xp.minimum(image, knee) / knee
    light = response.to_linear(image)
    return response.from_linear(xp.minimum(light, tau) / tau)


def invert(overexposed, tau, response=GAMMA_2_2):
    """Undoes the gain of `overexpose` for a known `tau`; clips stay flat.

    For the power law this is `overexposed * tau ** (1 / gamma)`.

    Args:
        overexposed: float (..., H, W, 3), display-encoded RGB in [0, 1].
        tau: as for `overexpose`.
        response: transfer curve between display values and light.

    Returns:
        Array of `overexposed`'s kind, shape and type, in [0, 1].

    Raises:
        ValueError: as for `overexpose`.

    Reference:
        Le Jeune, section 3.6.

    >>> print(f"{invert([[[1.0, 1.0, 0.4111]]], 0.5)[0, 0, 2]:.4f}")
    0.3000
    """
    _, overexposed, tau = _checked(overexposed, tau, "overexposed")
    if isinstance(response, GammaResponse):
        return overexposed * response.from_linear(tau)
    return response.from_linear(response.to_linear(overexposed) * tau)


def dequantize(image, noise):
    """Fills the steps of an 8-bit photo, so that no gap betrays a later gain.

    Scaling 8-bit values leaves regular gaps in the histogram from which a
    network could read `tau` exactly; no real photo has them.

    Args:
        image: float (..., H, W, 3) in [0, 1], from 8-bit values.
        noise: same shape, uniform in [-0.5, 0.5): steps of 1/255.

    Returns:
        Array of `image`'s kind and shape, in [0, 1].
    """
    xp = namespace_of(image, noise)
    return xp.clip(image + noise / _STEPS, 0.0, 1.0)


def quantize(image):
    """Rounds an image in [0, 1] to the nearest of 256 equally spaced values."""
    xp = namespace_of(image)
    # `round` would round halves to even; adding first keeps steps equal.
    return xp.floor(xp.clip(image, 0.0, 1.0) * _STEPS + 0.5) / _STEPS


def _checked(image, tau, name):
    xp = namespace_of(image, tau)
    image = as_array(image, xp)
    dtype = getattr(image.dtype, "name", image.dtype)
    if "float" not in dtype:
        raise ValueError(
            f"`{name}` must be floating point in [0, 1]. Received: {dtype}"
        )
    if isinstance(tau, int | float) and not 0 < tau <= 1:
        raise ValueError(f"`tau` must lie in (0, 1]. Received: {tau}")
    return xp, image, as_array(tau, xp, image.dtype)
