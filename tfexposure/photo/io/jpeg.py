"""JPEG's segments: what lies beside the pixels, kept byte for byte."""

import hashlib
import re
import struct

from tfexposure.photo.io import orientation

_EXIF = b"Exif\0\0"
_XMP = b"http://ns.adobe.com/xap/1.0/\0"
_ICC = b"ICC_PROFILE\0"
_MULTI_PICTURE = b"MPF\0"

_EXTENDED_XMP = b"http://ns.adobe.com/xmp/extension/\0"
_ISO_GAIN_MAP = b"urn:iso:std:iso:ts:21496:-1\0"

_LONGEST = 65533  # Bytes of a segment.
_PIECE = 65400  # Bytes of extended XMP in one segment.
_POINTER = (
    b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF '
    b'xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><rdf:Description '
    b'rdf:about="" xmlns:tiff="http://ns.adobe.com/tiff/1.0/" '
    b'xmlns:xmpNote="http://ns.adobe.com/xmp/note/"%b '
    b'xmpNote:HasExtendedXMP="%b"/></rdf:RDF></x:xmpmeta>'
)

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


def has_extended_xmp(segments):
    """Whether XMP goes on in segments of its own."""
    return any(body.startswith(_EXTENDED_XMP) for _, body in segments)


def misses(segments, exif, xmp, icc):
    """Whether a reader found a block that does not lie in these segments."""
    blocks = ((_EXIF, exif), (_XMP, xmp), (_ICC, icc))
    return any(
        block and not any(body.startswith(prefix) for _, body in segments)
        for prefix, block in blocks
    )


def is_claim(segment):
    """Whether a segment holds content credentials (C2PA), which are signed."""
    return segment[0] == 0xEB and b"c2pa" in segment[1]


def is_gain_map(segment):
    """Whether a segment describes a gain map by ISO 21496-1."""
    return segment[0] == 0xE2 and segment[1].startswith(_ISO_GAIN_MAP)


def with_xmp(payload, change):
    """A segment with its XMP packet changed; others come as they are.

    Args:
        payload: bytes of a segment.
        change: function from a packet to another.
    """
    if not payload.startswith(_XMP):
        return payload
    return _XMP + change(payload[len(_XMP) :])


def with_exif(payload, change):
    """The same for the EXIF block of a segment."""
    if not payload.startswith(_EXIF):
        return payload
    return _EXIF + change(payload[len(_EXIF) :])


def kind_not_read(data):
    """Names a coding of JPEG's family that is not read, or `None`."""
    at = 2
    while at + 5 <= len(data) and data[at] == 0xFF:
        marker = data[at + 1]
        if marker == 0xFF:
            at += 1
            continue
        if marker == 0xF7:
            return "JPEG-LS"
        if marker in (0xC3, 0xC7, 0xCB, 0xCF):
            return "lossless JPEG"
        if marker in (0xC5, 0xC6, 0xCD, 0xCE):
            return "hierarchical JPEG"
        if marker in (0xC0, 0xC1, 0xC2, 0xC9, 0xCA):
            bits = data[at + 4]
            return None if bits == 8 else f"JPEG of {bits} bits"
        if marker == 0xDA:
            return None
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
    return None


def end_of_picture(data, at=0):
    """Offset behind the end marker of the JPEG at `at`, `None` without one."""
    at += 2
    while at + 4 <= len(data):
        if data[at] != 0xFF:
            return None
        marker = data[at + 1]
        if marker == 0xD9:
            return at + 2
        if marker == 0xFF or marker == 0x01 or 0xD0 <= marker <= 0xD7:
            at += 1 if marker == 0xFF else 2
            continue
        at += 2 + struct.unpack_from(">H", data, at + 2)[0]
        if marker == 0xDA:
            at = _end_of_scan(data, at)
    return at + 2 if data[at : at + 2] == b"\xff\xd9" else None


def has_all_scans(data):
    """Whether a progressive JPEG's scans give every coefficient every bit.

    Reference: ITU-T T.81, annex G.
    """
    at, missing = 2, {}  # Component -> low bits that each coefficient lacks.
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xD9:
        marker = data[at + 1]
        (length,) = struct.unpack_from(">H", data, at + 2)
        body = data[at + 4 : at + 2 + length]
        at += 2 + length
        if marker == 0xC2:
            missing = {body[i]: [99] * 64 for i in range(6, len(body), 3)}
        elif marker == 0xDA:
            first, last, bits = body[-3:]
            for component in body[1:-3:2]:
                for coefficient in range(first, last + 1):
                    missing[component][coefficient] = bits & 15
            at = _end_of_scan(data, at)
    return bool(missing) and not any(map(any, missing.values()))


def _end_of_scan(data, at):
    """Offset of the first marker behind entropy-coded data."""
    while True:
        at = data.find(b"\xff", at)
        if at < 0 or at + 1 >= len(data):
            return len(data)
        if data[at + 1] == 0 or 0xD0 <= data[at + 1] <= 0xD7:
            at += 2
        elif data[at + 1] == 0xFF:
            at += 1
        else:
            return at


def trailer(data):
    """What lies behind the picture.

    Returns:
        (number of further pictures, bytes behind them); phones append videos.
    """
    at, pictures = end_of_picture(data), 0
    while at is not None:
        start = at + len(data[at:]) - len(data[at:].lstrip(b"\0"))
        if data[start : start + 3] != b"\xff\xd8\xff":
            rest = data[at:]
            return pictures, rest if rest.strip(b"\0") else b""
        pictures += 1
        at = end_of_picture(data, start)
    return pictures, b""


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

    Returns:
        (segments, names of what was too long for a segment's 65,533 bytes).
        A long XMP packet goes on in segments of its own.
    """
    segments, too_long = [], []
    if exif and len(_EXIF) + len(exif) > _LONGEST:
        too_long.append("EXIF")
    elif exif:
        segments.append((0xE1, _EXIF + exif))
    if xmp and len(_XMP) + len(xmp) > _LONGEST:
        segments += _extended_xmp(xmp)
    elif xmp:
        segments.append((0xE1, _XMP + xmp))
    if icc:
        size = _LONGEST - len(_ICC) - 2
        pieces = [icc[i : i + size] for i in range(0, len(icc), size)]
        for number, piece in enumerate(pieces, 1):
            header = _ICC + bytes((number, len(pieces)))
            segments.append((0xE2, header + piece))
    return segments, too_long


def _extended_xmp(packet):
    """A packet that only points to another, and that other in pieces.

    Reference: Adobe, XMP specification part 3, section 1.1.3.1.
    """
    body = re.sub(rb"<\?xpacket\b[^>]*\?>", b"", packet).strip()
    digest = hashlib.md5(body, usedforsecurity=False).hexdigest()
    digest = digest.upper().encode()
    # Told once more, where readers look that do not put the pieces together.
    turned = orientation.of_xmp(packet)
    pointer = _POINTER % (
        b' tiff:Orientation="%d"' % turned if turned else b"",
        digest,
    )
    segments = [(0xE1, _XMP + pointer)]
    for start in range(0, len(body), _PIECE):
        header = _EXTENDED_XMP + digest
        header += struct.pack(">II", len(body), start)
        segments.append((0xE1, header + body[start : start + _PIECE]))
    return segments
