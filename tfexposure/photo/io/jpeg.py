"""JPEG's segments: what lies beside the pixels, kept byte for byte."""

import struct

from tfexposure.photo.io import orientation

_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_ICC = b"ICC_PROFILE\0"
_MULTI_PICTURE = b"MPF\0"

# Segments that describe how the pixels are coded, which a new coding has of
# its own: JFIF's APP0 and Adobe's APP14.
_OWN = {0xE0, 0xEE}


def read_segments(data):
    """Returns the APPn and COM segments before the picture's first scan.

    Args:
        data: bytes of a JPEG file.

    Returns:
        list of (marker, payload); damaged ends are left out.
    """
    segments = []
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:  # Padding.
            at += 1
            continue
        if marker in (0xDA, 0xD9):
            break
        (length,) = struct.unpack_from(">H", data, at + 2)
        payload = data[at + 4 : at + 2 + length]
        if length < 2 or len(payload) != length - 2:
            break
        if 0xE0 <= marker <= 0xEF or marker == 0xFE:
            segments.append((marker, payload))
        at += 2 + length
    return segments


def kept_segments(segments):
    """Those to carry over to a new coding of the picture.

    Left out are the colour coding's own and the index of further pictures,
    which a rewritten file does not have at the same place.
    """
    return [
        (marker, payload)
        for marker, payload in segments
        if marker not in _OWN
        and not (marker == 0xE2 and payload.startswith(_MULTI_PICTURE))
    ]


def with_orientation(payload, value):
    """An XMP segment with this orientation where it states one.

    Other segments come back as they are.
    """
    if not payload.startswith(_XMP):
        return payload
    return orientation.in_xmp(payload, value)


def insert_segments(data, segments):
    """Puts segments into a JPEG file, behind its JFIF header."""
    at = 2
    while data[at] == 0xFF and data[at + 1] in _OWN:
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    parts = [data[:at]]
    for marker, payload in segments:
        parts.append(struct.pack(">BBH", 0xFF, marker, len(payload) + 2))
        parts.append(payload)
    parts.append(data[at:])
    return b"".join(parts)


def new_segments(exif=None, xmp=None, icc=None):
    """Makes the segments of a file that comes from another format.

    Raises:
        ValueError: if EXIF or XMP exceed a segment's 65,533 bytes.
    """
    segments = []
    for kind, prefix, payload in (
        ("EXIF", _EXIF, exif),
        ("XMP", _XMP, xmp),
    ):
        if payload:
            if len(prefix) + len(payload) > 65533:
                raise ValueError(f"its {kind} is too long for a JPEG file")
            segments.append((0xE1, prefix + payload))
    if icc:
        size = 65533 - len(_ICC) - 2
        pieces = [icc[i : i + size] for i in range(0, len(icc), size)]
        for number, piece in enumerate(pieces, 1):
            header = _ICC + bytes((number, len(pieces)))
            segments.append((0xE2, header + piece))
    return segments
