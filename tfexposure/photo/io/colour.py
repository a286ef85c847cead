"""Between a photo's colour space and sRGB, which is what networks know.

RGB profiles made of curves and a matrix (cameras, Adobe RGB, Display P3) are
computed here in float32, so that 16-bit photos keep their depth and colours
outside sRGB survive. Profiles made of tables go through LittleCMS in 8 bits.
Reference: ICC.1:2022, sections 9.2 and 10.6 (curveType), 10.18
(parametricCurveType); IEC 61966-2-1 (sRGB).
"""

import functools
import io
import struct

import numpy as np

from tfexposure.imaging.transfer_curves import SRGB, SRGB_PARAMETERS

# Light of linear sRGB to XYZ under D50, the ICC's white (Bradford-adapted).
_SRGB_TO_XYZ = np.array(
    [
        [0.4360657, 0.3851515, 0.1430784],
        [0.2224932, 0.7168870, 0.0606169],
        [0.0139160, 0.0970764, 0.7140961],
    ]
)
# The white of ICC profiles, and the cones that adapt to it.
_D50 = np.array([0.9642, 1.0, 0.8249])
_BRADFORD = np.array(
    [
        [0.8951, 0.2664, -0.1614],
        [-0.7502, 1.7135, 0.0367],
        [0.0389, -0.0685, 1.0296],
    ]
)


def srgb_to_linear(encoded):
    """sRGB-encoded values to light; odd in its argument, so none is lost."""
    light = SRGB.to_linear(np.abs(encoded))
    return np.copysign(light, encoded).astype(np.float32)


def srgb_from_linear(light):
    """Light to sRGB-encoded values; the inverse of `srgb_to_linear`."""
    encoded = SRGB.from_linear(np.abs(light))
    return np.copysign(encoded, light).astype(np.float32)


class SameColour:
    """A photo already in sRGB, or grey, or in an unknown space."""

    is_identity = True

    def to_srgb(self, values):
        return values

    def from_srgb(self, values):
        return values


class MatrixColour:
    """A profile of three curves and a matrix.

    Args:
        curves: for each channel a `_Curve`.
        to_xyz: float (3, 3), light of R, G, B in columns to XYZ under D50.
    """

    is_identity = False

    def __init__(self, curves, to_xyz):
        self._curves = curves
        to_srgb = np.linalg.inv(_SRGB_TO_XYZ) @ to_xyz
        self._to_srgb = to_srgb.T.astype(np.float32)
        self._from_srgb = np.linalg.inv(to_srgb).T.astype(np.float32)

    def to_srgb(self, values):
        """float32 (..., 3) in [0, 1]; answers may lie outside [0, 1]."""
        light = np.stack(
            [
                curve.to_linear(values[..., channel])
                for channel, curve in enumerate(self._curves)
            ],
            axis=-1,
        )
        return srgb_from_linear(light @ self._to_srgb)

    def from_srgb(self, values):
        light = srgb_to_linear(values) @ self._from_srgb
        return np.stack(
            [
                curve.from_linear(light[..., channel])
                for channel, curve in enumerate(self._curves)
            ],
            axis=-1,
        )


class GreyColour:
    """A profile of one curve, for grey photos.

    Args:
        curve: a `_Curve`.
    """

    is_identity = False

    def __init__(self, curve):
        self._curve = curve

    def to_srgb(self, values):
        return srgb_from_linear(self._curve.to_linear(values))

    def from_srgb(self, values):
        return self._curve.from_linear(srgb_to_linear(values))


class TableColour:
    """A profile of look-up tables, by LittleCMS in 8 bits a channel."""

    is_identity = False

    def __init__(self, profile):
        from PIL import ImageCms

        srgb = ImageCms.createProfile("sRGB")
        make = functools.partial(
            ImageCms.buildTransform,
            inMode="RGB",
            outMode="RGB",
            renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
        )
        self._to = make(profile, srgb)
        self._from = make(srgb, profile)

    def to_srgb(self, values):
        return self._apply(self._to, values)

    def from_srgb(self, values):
        return self._apply(self._from, values)

    @staticmethod
    def _apply(transform, values):
        from PIL import Image, ImageCms

        levels = np.rint(np.clip(values, 0, 1) * 255).astype(np.uint8)
        image = ImageCms.applyTransform(Image.fromarray(levels), transform)
        return np.asarray(image, np.float32) / 255


class _Curve:
    """A response curve, sampled finely and inverted by interpolation."""

    def __init__(self, to_linear):
        # Even steps of the square root keep dark values apart.
        self._encoded = np.linspace(0, 1, 4097) ** 2
        light = to_linear(self._encoded)
        self._light = np.maximum.accumulate(np.clip(light, 0, 1))

    def to_linear(self, encoded):
        return np.interp(encoded, self._encoded, self._light).astype(np.float32)

    def from_linear(self, light):
        return np.interp(light, self._light, self._encoded).astype(np.float32)


def make_profile(points, gamma=None):
    """Makes an ICC profile of three primaries under D65.

    Args:
        points: chromaticities (x, y) of red, green and blue.
        gamma: exponent of all curves; `None` for sRGB's curve.

    Returns:
        bytes of a version 4 display profile (ICC.1:2022).
    """
    columns = _adapted_columns(points)
    if gamma is None:
        curve = _tag(b"para", ">HH5i", 3, 0, *map(_fixed, SRGB_PARAMETERS))
    else:
        curve = _tag(b"para", ">HHi", 0, 0, _fixed(gamma))
    text = "Made of code points".encode("utf-16-be")
    words = _tag(b"mluc", ">II2s2sII", 1, 12, b"en", b"US", len(text), 28)
    tags = {b"desc": words + text, b"cprt": words + text}
    tags[b"wtpt"] = _tag(b"XYZ ", ">3i", *map(_fixed, _D50))
    for name, column in zip(b"rgb", columns.T, strict=True):
        tags[bytes([name]) + b"XYZ"] = _tag(
            b"XYZ ", ">3i", *map(_fixed, column)
        )
        tags[bytes([name]) + b"TRC"] = curve
    return _assemble(tags)


def _adapted_columns(points):
    """Light of the primaries to XYZ under D50 (Bradford), float (3, 3)."""
    xyz = np.array([[x / y, 1, (1 - x - y) / y] for x, y in points]).T
    white = np.array([0.3127 / 0.3290, 1, (1 - 0.3127 - 0.3290) / 0.3290])
    under_d65 = xyz * np.linalg.solve(xyz, white)
    cones = np.diag((_BRADFORD @ _D50) / (_BRADFORD @ white))
    return np.linalg.inv(_BRADFORD) @ cones @ _BRADFORD @ under_d65


def _fixed(number):
    return round(number * 65536)


def _tag(kind, form, *numbers):
    return kind + bytes(4) + struct.pack(form, *numbers)


def _assemble(tags):
    """A display profile of RGB out of its tags."""
    at, table, body = 132 + 12 * len(tags), b"", b""
    for name, payload in tags.items():
        place = at + len(body)
        table += struct.pack(">4sII", name, place, len(payload))
        body += payload + bytes(-len(payload) % 4)
    head = bytearray(128)
    struct.pack_into(">I", head, 0, at + len(body))
    head[8:12] = bytes((4, 0x30, 0, 0))
    head[12:24] = b"mntrRGB XYZ "
    head[36:40] = b"acsp"
    struct.pack_into(">3i", head, 68, *map(_fixed, _D50))
    return bytes(head) + struct.pack(">I", len(tags)) + table + body


def describes(icc):
    """What a profile is for: `"RGB"`, `"GRAY"`, `"CMYK"`; "" if it is none."""
    if not icc or len(icc) < 132 or icc[36:40] != b"acsp":
        return ""
    return icc[16:20].decode("latin-1").strip()


def colour_of(icc, notes, colours=3):
    """Chooses the conversion for a photo's profile.

    Args:
        icc: bytes of the profile, or `None`.
        notes: list that a sentence is added to if the profile is unusable.
        colours: 1 for a grey photo, 3 for one in colour.

    Returns:
        object with `to_srgb` and `from_srgb`.
    """
    if not icc or (colours == 1 and describes(icc) == "RGB"):
        return SameColour()
    try:
        if colours == 1:
            return _grey_colour(icc)
        matrix = _matrix_colour(icc)
        if matrix is None:
            from PIL import ImageCms

            profile = ImageCms.ImageCmsProfile(io.BytesIO(icc))
            return TableColour(profile)
        return matrix
    except Exception as error:  # A stranger's bytes fail in many ways.
        notes.append(
            f"its ICC profile is unusable ({error}); colours were taken for "
            "sRGB and the profile was carried along"
        )
        return SameColour()


def _matrix_colour(icc):
    """A `MatrixColour`, `SameColour` for sRGB itself, None for tables."""
    tags = _profile_tags(icc)
    if icc[16:20] != b"RGB ":
        raise ValueError(
            f"it describes {icc[16:20].decode('latin-1').strip()} data"
        )
    names = [b"rXYZ", b"gXYZ", b"bXYZ", b"rTRC", b"gTRC", b"bTRC"]
    if b"A2B0" in tags or not all(name in tags for name in names):
        return None
    columns = [
        np.array(struct.unpack_from(">3i", tags[name], 8)) / 65536
        for name in names[:3]
    ]
    matrix = np.stack(columns, axis=1)
    curves = [_Curve(_parse_curve(tags[name])) for name in names[3:]]
    if np.abs(matrix - _SRGB_TO_XYZ).max() < 2e-3:
        if all(_is_srgb(curve) for curve in curves):
            return SameColour()
    return MatrixColour(curves, matrix)


def _grey_colour(icc):
    """A `GreyColour`, or `SameColour` for sRGB's curve."""
    tags = _profile_tags(icc)
    if describes(icc) != "GRAY":
        raise ValueError(f"it describes {describes(icc)} data")
    curve = _Curve(_parse_curve(tags[b"kTRC"]))
    return SameColour() if _is_srgb(curve) else GreyColour(curve)


def _is_srgb(curve):
    encoded = np.linspace(0, 1, 256)
    return (
        np.abs(curve.to_linear(encoded) - srgb_to_linear(encoded)).max() < 2e-3
    )


def _profile_tags(icc):
    if len(icc) < 132 or icc[36:40] != b"acsp":
        raise ValueError("it is not an ICC profile")
    (count,) = struct.unpack_from(">I", icc, 128)
    if count > 1000:
        raise ValueError(f"it claims {count} tags")
    tags = {}
    for at in range(132, 132 + 12 * count, 12):
        name, offset, size = struct.unpack_from(">4sII", icc, at)
        tags[name] = icc[offset : offset + size]
    return tags


def _parse_curve(tag):
    kind = tag[:4]
    if kind == b"curv":
        (count,) = struct.unpack_from(">I", tag, 8)
        if count == 0:
            return lambda x: x
        values = np.frombuffer(tag, ">u2", count, 12)
        if count == 1:
            gamma = values[0] / 256
            return lambda x: x**gamma
        points = np.linspace(0, 1, count)
        return lambda x: np.interp(x, points, values / 65535)
    if kind == b"para":
        return _parametric_curve(tag)
    raise ValueError(f"its curve is of the unknown kind {kind!r}")


def _parametric_curve(tag):
    (function,) = struct.unpack_from(">H", tag, 8)
    if function > 4:
        raise ValueError(f"its curve has the unknown function {function}")
    count = (1, 3, 4, 5, 7)[function]
    numbers = [n / 65536 for n in struct.unpack_from(f">{count}i", tag, 12)]
    g, a, b, c, d, e, f = (*numbers, *(0.0,) * (7 - count))
    if function == 0:
        return lambda x: x**g
    if function in (1, 2):
        # X >= -b / a: (aX + b)^g + c, else c.
        return lambda x: np.maximum(a * x + b, 0) ** g + c
    # X >= d: (aX + b)^g + e, else cX + f.
    return lambda x: np.where(
        x >= d, np.maximum(a * x + b, 0) ** g + e, c * x + f
    )
