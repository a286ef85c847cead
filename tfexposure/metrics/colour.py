"""Colour differences as the eye sees them: CIELAB and CIEDE2000.

Written in NumPy, per pixel, in double precision.
"""

import numpy as np
from keras import ops

from tfexposure.imaging.transfer_curves import SRGB

# Linear sRGB to XYZ, relative to the white point D65 (IEC 61966-2-1).
_XYZ_OF_RGB = np.array(
    [
        [0.412453, 0.357580, 0.180423],
        [0.212671, 0.715160, 0.072169],
        [0.019334, 0.119193, 0.950227],
    ]
)
_D65 = (0.95047, 1.0, 1.08883)


def lab(image):
    """Converts to CIELAB.

    Args:
        image: float (..., 3), sRGB in [0, 1].

    Returns:
        float64 (..., 3): L* in [0, 100], a* and b*.
    """
    image = np.clip(np.asarray(image, "float64"), 0, 1)
    light = ops.convert_to_numpy(SRGB.to_linear(image))
    xyz = light.astype("float64") @ _XYZ_OF_RGB.T / _D65
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16.0 / 116.0)
    x, y, z = np.moveaxis(root, -1, 0)
    return np.stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def chroma_difference(first, second):
    """Distance of two colours in a* and b*: what is wrong but lightness.

    Args:
        first: float (..., 3), CIELAB.
        second: the same shape.

    Returns:
        float (...).
    """
    return np.hypot(
        first[..., 1] - second[..., 1], first[..., 2] - second[..., 2]
    )


def ciede2000(first, second):
    """Perceived difference of two colours.

    Args:
        first: float (..., 3), CIELAB.
        second: the same shape.

    Returns:
        float64 (...): 1 is about the least difference that can be seen.

    Reference:
        Sharma, Wu and Dalal, The CIEDE2000 color-difference formula, 2005.
    """
    l1, a1, b1 = np.moveaxis(first, -1, 0)
    l2, a2, b2 = np.moveaxis(second, -1, 0)

    # Chroma and hue, a* stretched where colours are nearly grey.
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    stretch = 1.5 - 0.5 * _share_of_saturated(chroma)
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1 = np.degrees(np.arctan2(b1, a1)) % 360
    h2 = np.degrees(np.arctan2(b2, a2)) % 360

    # Means and differences; grey has no hue.
    gray = c1 * c2 == 0
    hue = np.where(
        np.abs(h1 - h2) <= 180,
        (h1 + h2) / 2,
        (h1 + h2 + np.where(h1 + h2 < 360, 360, -360)) / 2,
    )
    hue = np.where(gray, h1 + h2, hue)
    turn = np.where(gray, 0, (h2 - h1 + 180) % 360 - 180)
    delta_h = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2

    # Each difference in units of what can be seen there.
    square = (light - 50) ** 2
    scaled_l = (l2 - l1) / (1 + 0.015 * square / np.sqrt(20 + square))
    scaled_c = (c2 - c1) / (1 + 0.045 * chroma)
    scaled_h = delta_h / (1 + 0.015 * chroma * _hue_weight(hue))

    # In blue, hue and chroma are not seen apart.
    blue = np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2)))
    rotation = -2 * _share_of_saturated(chroma) * np.sin(blue)
    total = scaled_l**2 + scaled_c**2 + scaled_h**2
    return np.sqrt(np.maximum(total + rotation * scaled_c * scaled_h, 0))


def _share_of_saturated(chroma):
    power = chroma**7
    return np.sqrt(power / (power + 25.0**7))


def _hue_weight(hue):
    def cosine(times, shift):
        return np.cos(np.radians(times * hue + shift))

    return (
        1
        - 0.17 * cosine(1, -30)
        + 0.24 * cosine(2, 0)
        + 0.32 * cosine(3, 6)
        - 0.2 * cosine(4, -63)
    )
