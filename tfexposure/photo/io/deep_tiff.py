"""TIFFs of 16-bit colour, by way of the wide grey picture of `tiff`."""

import dataclasses
import struct

import numpy as np

from tfexposure.errors import UserError
from tfexposure.photo.io import tiff

_RAW_TAGS = {50706: "DNG", 33421: "colour filter array"}


@dataclasses.dataclass(frozen=True)
class DeepTiff:
    """How a TIFF of 16-bit colour was declared.

    Attributes:
        width, height: size in pixels.
        samples: channels, 2 to 4.
        differenced: see `tiff.as_wide_grey`.
        inverted: whether 0 is white.
    """

    width: int
    height: int
    samples: int
    differenced: int
    inverted: bool


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
    if data[2] == 43 or data[3] == 43:
        return data, None
    values = _values(data)
    for tag, what in _RAW_TAGS.items():
        if tag in values:
            raise UserError(
                f"{name}: camera raw files ({what}) are not read; develop it "
                "to a 16-bit TIFF first"
            )
    samples = values.get(tiff.SAMPLES, 1)
    if values.get(tiff.BITS) != 16 or samples == 1:
        return tiff.upright_copy(data), None
    form = values.get(tiff.SAMPLE_FORMAT, 1)
    photometric = values.get(tiff.PHOTOMETRIC)
    planar = values.get(tiff.PLANAR, 1)
    plain = photometric == 2 and samples in (3, 4)
    grey = photometric in (0, 1) and samples == 2
    if form != 1 or planar != 1 or not (plain or grey):
        raise UserError(
            f"{name}: a 16-bit TIFF of an unusual kind (photometric "
            f"{photometric}, {samples} samples, sample format {form}, planar "
            f"{planar}); interleaved unsigned grey or RGB is read"
        )
    wide, differenced = tiff.as_wide_grey(data, samples)
    return wide, DeepTiff(
        values[tiff.WIDTH],
        values[tiff.HEIGHT],
        samples,
        differenced,
        photometric == 0,
    )


def strips(image, deep):
    """Yields (top, uint16 (n, W, samples)) of the opened wide grey picture.

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
        yield top, strip


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
