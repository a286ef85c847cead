"""TIFFs of 16-bit colour, by way of the wide grey picture of `tiff`."""

import dataclasses
import struct

import numpy as np

from tfexposure.errors import UserError
from tfexposure.photo.io import tiff

# Meanings of extra samples.
UNSPECIFIED, ASSOCIATED = 0, 1
_RAW_TAGS = {50706: "DNG", 33421: "colour filter array"}
_SUB_DIRECTORIES = 330
# Photometric and compression of a sensor's data: Nikon's, Sony's, Pentax's.
_SENSOR = {
    tiff.PHOTOMETRIC: (32803, 34892),
    tiff.COMPRESSION: (34713, 32767, 65535, 32770),
}
_COLOURS = {
    0: "grey, 0 is white", 1: "grey", 2: "RGB", 3: "a palette", 4: "a mask",
    5: "inks", 8: "CIELAB", 9: "CIELAB (ICC)", 10: "CIELAB (ITU)",
    32844: "light (LogL)", 32845: "light (LogLuv)",
}  # fmt: skip
_COMPRESSIONS = {
    1: "uncompressed", 2: "fax", 3: "fax", 4: "fax", 5: "LZW",
    6: "JPEG of the old kind", 7: "JPEG", 8: "deflate", 32773: "PackBits",
    32766: "NeXT", 32809: "ThunderScan", 32946: "deflate", 34676: "SGI's",
    34677: "SGI's", 34712: "JPEG 2000", 34713: "Nikon's", 34887: "LERC",
    34925: "LZMA", 50000: "Zstandard", 50001: "WebP", 50002: "JPEG XL",
    52546: "JPEG XL",
}  # fmt: skip
# What every build of Pillow decodes.
_USUAL = frozenset((1, 2, 3, 4, 5, 7, 8, 32773, 32946))


@dataclasses.dataclass(frozen=True)
class DeepTiff:
    """How a TIFF of 16-bit colour was declared.

    Attributes:
        width, height: size in pixels.
        samples: channels, 2 to 4.
        differenced: see `tiff.as_wide_grey`.
        inverted: whether 0 is white.
        channels: how many of the samples are kept.
        associated: whether colours are multiplied by alpha.
    """

    width: int
    height: int
    samples: int
    differenced: int
    inverted: bool
    channels: int
    associated: bool


def ready_for_pillow(data, name):
    """Rewrites a TIFF's header so that Pillow keeps all of it.

    Args:
        data: bytes of the file.
        name: what to call it in messages.

    Returns:
        (bytes to open, `DeepTiff` or None if they are what they say).

    Raises:
        UserError: for camera raw, and for 16-bit colour of unusual kinds.
    """
    values = _values(data)
    what = [what for tag, what in _RAW_TAGS.items() if tag in values]
    if what or _holds_raw(data):
        raise UserError(
            f"{name}: camera raw files ({what[0] if what else 'sensor data'}) "
            "are not read; develop it to a 16-bit TIFF first"
        )
    _refuse_kinds(values, name)
    samples = values.get(tiff.SAMPLES, 1)
    photometric = values.get(tiff.PHOTOMETRIC)
    if values.get(tiff.BITS) != 16 or (samples == 1 and photometric != 0):
        return tiff.upright_copy(data), None
    planar = values.get(tiff.PLANAR, 1)
    plain = photometric == 2 and samples in (3, 4)
    grey = photometric in (0, 1) and samples in (1, 2)
    if None in (photometric, samples, planar):
        raise ValueError("it does not say how its pixels are coded")
    if planar != 1 or not (plain or grey):
        raise UserError(
            f"{name}: a 16-bit TIFF of an unusual kind (photometric "
            f"{photometric}, {samples} samples, planar {planar}); interleaved "
            "grey or RGB is read"
        )
    wide, differenced = tiff.as_wide_grey(data, samples)
    extra = values.get(tiff.EXTRA_SAMPLES)
    return wide, DeepTiff(
        values[tiff.WIDTH],
        values[tiff.HEIGHT],
        samples,
        differenced,
        photometric == 0,
        samples - (samples in (2, 4) and extra == UNSPECIFIED),
        samples in (2, 4) and extra == ASSOCIATED,
    )


def _refuse_kinds(values, name):
    """Names intact files whose numbers are not levels of 8 or 16 bits."""
    form, bits = values.get(tiff.SAMPLE_FORMAT, 1), values.get(tiff.BITS, 1)
    what = {
        2: "signed numbers",
        3: "floating point",
        5: "complex numbers",
        6: "complex numbers",
        -1: "channels of different kinds",
    }.get(form)
    if what is None and bits and bits > 16:
        what = f"{bits} bits per channel"
    if what:
        raise UserError(
            f"{name}: a TIFF of {what} is not read; save it with 8 or 16 bits "
            "per channel, unsigned, first"
        )


def kind_of(data):
    """A TIFF's kind in words, for files that Pillow does not know.

    Raises:
        ValueError: if it does not say of which kind it is.
    """
    values = {tiff.SAMPLES: 1, tiff.BITS: 1, tiff.COMPRESSION: 1}
    values |= _values(data)
    photometric, samples, bits, compression = (
        values.get(tag)
        for tag in (
            tiff.PHOTOMETRIC,
            tiff.SAMPLES,
            tiff.BITS,
            tiff.COMPRESSION,
        )
    )
    if None in (photometric, samples, bits, compression):
        raise ValueError("it does not say how its pixels are coded")
    bits = "different" if bits == -1 else bits
    colours = _COLOURS.get(photometric, f"photometric {photometric}")
    packing = _COMPRESSIONS.get(compression, f"compression {compression}")
    return f"{colours}, {samples} samples of {bits} bits, {packing}"


def rare_compression(data):
    """Names the compression of a TIFF if not all programs know it, or None."""
    compression = _values(data).get(tiff.COMPRESSION, 1)
    return None if compression in _USUAL else _COMPRESSIONS.get(compression)


def _holds_raw(data):
    """Whether the first directory or those below it hold a sensor's data.

    The first one of a raw file is often a small picture to look at.
    """
    order = tiff.byte_order(data)
    try:
        (first,) = struct.unpack_from(order + "I", data, 4)
        places = [first] + [
            place
            for at, tag, kind, count in tiff.entries(data)
            if tag == _SUB_DIRECTORIES and kind in (4, 13)
            for place in _longs(data, at, count, order)
        ]
        return any(
            _SENSOR.get(tag) and tiff.get(data, at, kind) in _SENSOR[tag]
            for place in places
            for at, tag, kind, _ in tiff.entries_at(data, place)
        )
    except (struct.error, ValueError):
        return False


def _longs(data, at, count, order):
    """The numbers of a tag of 32-bit ones, at most eight."""
    place = at + 8
    if count > 1:
        (place,) = struct.unpack_from(order + "I", data, place)
    return struct.unpack_from(f"{order}{min(count, 8)}I", data, place)


def bits_of(data):
    """Bits of a sample; -1 where samples differ."""
    return _values(data).get(tiff.BITS, 1)


def extra_samples(data):
    """What samples beyond the colours mean: list of the file's numbers."""
    order = tiff.byte_order(data)
    for at, tag, kind, count in tiff.entries(data):
        if tag == tiff.EXTRA_SAMPLES and kind == 3:
            place = at + 8
            if count > 2:
                (place,) = struct.unpack_from(order + "I", data, place)
            return list(
                struct.unpack_from(f"{order}{min(count, 8)}H", data, place)
            )
    return []


def strips(image, deep):
    """Yields (top, uint16 (n, W, channels)) of the opened wide grey picture.

    Raises:
        ValueError: if the picture is not as wide as it should be.
    """
    width, height = deep.width, deep.height
    if image.size != (width * deep.samples, height):
        raise ValueError("its header contradicts itself")
    for top in range(0, height, 256):
        bottom = min(top + 256, height)
        grey = image.crop((0, top, image.width, bottom))
        strip = np.asarray(grey).astype(np.uint16)
        if deep.differenced:
            strip = tiff.undo_differences(strip, deep.samples, deep.differenced)
        strip = strip.reshape(bottom - top, width, deep.samples)
        if deep.inverted:
            strip[..., 0] = 65535 - strip[..., 0]
        if deep.associated:
            strip = _divided_by_alpha(strip)
        yield top, strip[..., : deep.channels]


def _divided_by_alpha(pixels):
    """Colours as they are without alpha, where there is any to see."""
    alpha = pixels[..., -1:].astype(np.float64)
    colours = pixels[..., :-1] * (65535 / np.maximum(alpha, 1))
    plain = pixels.copy()
    plain[..., :-1] = np.rint(np.clip(colours, 0, 65535))
    return plain


def _values(data):
    """Numbers of the first directory: tag -> value, -1 where they differ.

    Other tags are there with the value None.
    """
    values = {}
    order = tiff.byte_order(data)
    for at, tag, kind, count in tiff.entries(data):
        values[tag] = None
        if kind in (3, 4) and count * (2 if kind == 3 else 4) <= 4:
            values[tag] = tiff.get(data, at, kind)
        elif tag in (tiff.BITS, tiff.SAMPLE_FORMAT) and kind == 3:
            (place,) = struct.unpack_from(order + "I", data, at + 8)
            code = f"{order}{min(count, 8)}H"
            found = set(struct.unpack_from(code, data, place))
            values[tag] = found.pop() if len(found) == 1 else -1
    return values
