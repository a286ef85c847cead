"""TIFF beyond what Pillow does: 16-bit colour, and tags kept as they were.

Pillow cuts 16-bit RGB to 8 bits but decodes 16-bit grey in full. RGB samples
that lie side by side are, byte for byte, those of a grey picture three times
as wide; so the header is rewritten to say that, and Pillow's libtiff undoes
whatever compression there is. Reference: Adobe, TIFF revision 6.0.
"""

import io
import struct
import zlib

import numpy as np

from tfexposure.photo.io import orientation as turning

WIDTH, HEIGHT, BITS, COMPRESSION, PHOTOMETRIC = 256, 257, 258, 259, 262
STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP = 273, 274, 277, 278
STRIP_BYTES, PLANAR, PREDICTOR, TILE_WIDTH = 279, 284, 317, 322
EXTRA_SAMPLES, SAMPLE_FORMAT, XMP, ICC = 338, 339, 700, 34675
EXIF_IFD, GPS_IFD, INTEROP_IFD = 34665, 34853, 40965
_POINTERS = (EXIF_IFD, GPS_IFD, INTEROP_IFD)
IPTC, PHOTOSHOP, LAYERS, MAKER_NOTE = 33723, 34377, 37724, 37500

# Tags that say how the pixels are coded, or that point into the old file:
# tiles, colour map, JPEG tables, sub-pictures and their like.
_CODING = frozenset(
    (254, 255, 266, 280, 281, 288, 289, 292, 293, 301, 318, 319, 320, 323,
     324, 325, 330, 332, 333, 334, 336, 340, 341, 347, 512, 513, 514, 519,
     520, 521, 529, 530, 531, 532, WIDTH, HEIGHT, BITS, COMPRESSION,
     PHOTOMETRIC, STRIP_OFFSETS, ORIENTATION, SAMPLES, ROWS_PER_STRIP,
     STRIP_BYTES, PLANAR, PREDICTOR, TILE_WIDTH, EXTRA_SAMPLES,
     SAMPLE_FORMAT, ICC)
)  # fmt: skip
# XMP, IPTC and Photoshop's blocks have places of their own in other formats.
_NOT_EXIF = frozenset((XMP, IPTC, PHOTOSHOP))
_LONG, _SHORT, _UNDEFINED, _BYTE = 4, 3, 7, 1
# Bytes of one value of each type.
_TYPE_BYTES = {
    1: 1, 2: 1, 3: 2, 4: 4, 5: 8, 6: 1, 7: 1, 8: 2, 9: 4, 10: 8, 11: 4, 12: 8,
    13: 4, 16: 8, 17: 8, 18: 8,
}  # fmt: skip
_DEFLATE, _RAW = 8, 1
_STRIP_BYTES = 1 << 20


def upright_copy(data):
    """A copy whose orientation tag and XMP say 1, so that Pillow leaves it be.

    Pillow turns a TIFF upright by itself, in a second copy of the picture.
    """
    data = bytearray(data)
    for at, tag, kind, count in entries(data):
        if tag == ORIENTATION and kind == _SHORT and count == 1:
            put(data, at, _SHORT, 1)
        elif tag == XMP and count > 4:
            (start,) = struct.unpack_from(byte_order(data) + "I", data, at + 8)
            end = start + count * _TYPE_BYTES.get(kind, 1)
            data[start:end] = turning.in_xmp(bytes(data[start:end]), 1)
    return data


def classic_copy(data):
    """A BigTIFF's bytes under a classic header, its directories rewritten.

    Pixels and values stay where they are; directories are added at the end.

    Raises:
        ValueError: if an offset does not fit into 32 bits.
    """
    order = byte_order(data)
    size, _, first = struct.unpack_from(order + "HHQ", data, 4)
    if size != 8:
        raise ValueError(f"its offsets have {size} bytes")
    out = bytearray(data)
    place = _classic_directory(data, out, first, order, 0)
    out[2:8] = struct.pack(order + "HI", 42, place)
    return out


def _classic_directory(data, out, at, order, depth):
    """Appends a big directory, and what hangs on it, in classic form."""
    if depth > 8:
        raise ValueError("its directories go in circles or too deep")
    (count,) = struct.unpack_from(order + "Q", data, at)
    if count > 4096 or len(out) > 2 * len(data) + 65536:
        raise ValueError(f"it claims {count} tags")
    body = []
    for entry in range(at + 8, at + 8 + 20 * count, 20):
        tag, kind, number = struct.unpack_from(order + "HHQ", data, entry)
        raw = _big_value(data, entry + 12, kind, number, order)
        if kind in (16, 17, 18):  # Eight-byte numbers and offsets.
            code = "q" if kind == 17 else "Q"
            wide = struct.unpack(f"{order}{number}{code}", raw)
            kind = 9 if kind == 17 else _LONG
            raw = _packed(wide, kind, order)
        if tag in (EXIF_IFD, GPS_IFD, INTEROP_IFD) and number == 1:
            (nested,) = struct.unpack(order + "I", raw)
            nested = _classic_directory(data, out, nested, order, depth + 1)
            raw = struct.pack(order + "I", nested)
        if len(raw) > 4:
            out.extend(bytes(len(out) % 2))
            place = len(out)
            out.extend(raw)
            raw = struct.pack(order + "I", place)
        body.append(
            struct.pack(order + "HHI", tag, kind, number) + raw.ljust(4, b"\0")
        )
    (following,) = struct.unpack_from(order + "Q", data, at + 8 + 20 * count)
    if following:
        following = _classic_directory(data, out, following, order, depth + 1)
    out.extend(bytes(len(out) % 2))
    place = len(out)
    out.extend(struct.pack(order + "H", len(body)) + b"".join(body))
    out.extend(struct.pack(order + "I", following))
    return place


def _packed(values, kind, order):
    try:
        return struct.pack(
            f"{order}{len(values)}{'i' if kind == 9 else 'I'}", *values
        )
    except struct.error as error:
        raise ValueError("its offsets need more than 32 bits") from error


def _big_value(data, at, kind, number, order):
    """The bytes of a big entry's values."""
    size = _TYPE_BYTES.get(kind, 1) * number
    if size > len(data):
        raise ValueError("a tag is longer than the file")
    if size > 8:
        (at,) = struct.unpack_from(order + "Q", data, at)
    raw = data[at : at + size]
    if len(raw) != size:
        raise ValueError("a tag lies outside the file")
    return bytes(raw)


def as_wide_grey(data, samples):
    """A copy that declares interleaved 16-bit samples as one wide grey row.

    Args:
        data: bytes of a classic TIFF with `samples` 16-bit samples a pixel.
        samples: 1 to 4.

    Returns:
        (bytearray, pixels after which rows of differences to the left
        neighbour begin anew; 0 if samples are not differences).
    """
    data = upright_copy(data)
    span, differenced = 0, False
    for at, tag, kind, _ in entries(data):
        if tag in (WIDTH, TILE_WIDTH):
            span = get(data, at, kind)  # Of a tile, whose tag comes later.
            put(data, at, _LONG, samples * get(data, at, kind))
        elif tag == BITS:
            put(data, at, _SHORT, 16)
        elif tag in (SAMPLES, SAMPLE_FORMAT, PHOTOMETRIC):
            put(data, at, _SHORT, 1)
        elif tag == PREDICTOR:
            differenced = get(data, at, kind) == 2
            put(data, at, _SHORT, 1)
        elif tag == EXTRA_SAMPLES:
            # A tag of no meaning, at the same place in the sorted list.
            struct.pack_into(byte_order(data) + "H", data, at, 337)
    return data, span if differenced else 0


def byte_order(data):
    return "<" if data[:2] == b"II" else ">"


def entries(data):
    """Yields (offset, tag, type, count) of the first directory's entries."""
    order = byte_order(data)
    if struct.unpack_from(order + "H", data, 2)[0] != 42:
        raise ValueError("its header is not that of a TIFF")
    (at,) = struct.unpack_from(order + "I", data, 4)
    yield from entries_at(data, at)


def entries_at(data, at):
    """The same of the directory at an offset."""
    order = byte_order(data)
    (entries,) = struct.unpack_from(order + "H", data, at)
    for offset in range(at + 2, at + 2 + 12 * entries, 12):
        yield (offset, *struct.unpack_from(order + "HHI", data, offset))


def get(data, at, kind):
    code = {_SHORT: "H", _BYTE: "B"}.get(kind, "I")
    return struct.unpack_from(byte_order(data) + code, data, at + 8)[0]


def orientation_of(data):
    """What a TIFF or an EXIF block says of its orientation, or `None`."""
    try:
        for at, tag, kind, count in entries(data):
            if tag == ORIENTATION and count == 1:
                value = get(data, at, kind)
                return value if value in range(1, 9) else None
    except (ValueError, struct.error):
        pass
    return None


def put(data, at, kind, value):
    code = {_SHORT: "HH", _BYTE: "B3x"}.get(kind, "I")
    values = (value, 0) if kind == _SHORT else (value,)
    struct.pack_into(
        byte_order(data) + "HI" + code, data, at + 2, kind, 1, *values
    )


def undo_differences(grey, samples, span):
    """Sums up horizontal differences (predictor 2), in place of libtiff.

    Args:
        grey: uint16 (H, W * samples).
        samples: samples of a pixel.
        span: pixels of a tile's or strip's row, where the sums begin anew.

    Returns:
        uint16 (H, W, samples).
    """
    pixels = grey.reshape(len(grey), -1, samples).copy()
    for left in range(0, pixels.shape[1], span):
        part = pixels[:, left : left + span]
        np.cumsum(part, axis=1, dtype=np.uint16, out=part)
    return pixels


def read_tags(data):
    """The tags of a TIFF or EXIF block that belong to the photo.

    Args:
        data: bytes of a classic TIFF, which an EXIF block is, too.

    Returns:
        dict tag -> (type, value); value is the bytes of the numbers in
        little-endian order, or for EXIF and GPS another such dict. What lies
        outside the file is left out.

    Raises:
        ValueError: if the tags claim more than there is.
    """
    tags = _read_tags(data, entries(data), (EXIF_IFD, GPS_IFD), _CODING)
    if _size_of(tags) > 2 * len(data):
        raise ValueError("its tags overlap")
    return tags


def _read_tags(data, found, pointers, left_out=frozenset()):
    tags, total = {}, 0
    for place, tag, kind, count in found:
        if tag in _POINTERS:
            if tag in pointers and count == 1:
                below = entries_at(data, get(data, place, _LONG))
                further = (INTEROP_IFD,) if tag == EXIF_IFD else ()
                try:
                    tags[tag] = (_LONG, _read_tags(data, below, further))
                except struct.error:
                    continue  # Outside the file.
        elif tag not in left_out:
            raw = _value_bytes(data, place, kind, count)
            if raw is not None:
                tags[tag] = (kind, raw)
                total += len(raw)
                if total > 2 * len(data):
                    raise ValueError("its tags overlap")
    return tags


def _size_of(tags):
    return sum(
        _size_of(value) if isinstance(value, dict) else len(value)
        for _, value in tags.values()
    )


def _value_bytes(data, place, kind, count):
    """A tag's numbers, little-endian; `None` if they cannot be had."""
    size = _TYPE_BYTES.get(kind, 0) * count
    start = place + 8
    if size > 4:
        (start,) = struct.unpack_from(byte_order(data) + "I", data, start)
    raw = bytes(data[start : start + size])
    if len(raw) != size or not size:
        return None
    width = 4 if kind in (5, 10) else _TYPE_BYTES[kind]
    # IPTC is a stream of bytes, whatever type its tag has.
    (tag,) = struct.unpack_from(byte_order(data) + "H", data, place)
    if byte_order(data) == "<" or width == 1 or tag == IPTC:
        return raw
    return np.frombuffer(raw, f">u{width}").byteswap().tobytes()


def tags_of_exif(exif, xmp):
    """Tags for a TIFF made from another format's EXIF block and XMP."""
    tags = {}
    if exif:
        try:
            tags = read_tags(exif)
        except (struct.error, ValueError):
            pass  # A broken block; it was noted when it was read.
    if xmp:
        tags[XMP] = (_BYTE, xmp)
    return tags


def exif_of_tags(tags):
    """An EXIF block made of a TIFF's own tags; `None` if there are none."""
    tags = {tag: tags[tag] for tag in tags if tag not in _NOT_EXIF}
    if not tags:
        return None
    return struct.pack("<2sHI", b"II", 42, 8) + _directory(tags, 8)


def _directory(tags, start):
    """Bytes of a directory, its values and those nested in it, at `start`."""
    at = start + 6 + 12 * len(tags)
    head, body = struct.pack("<H", len(tags)), b""
    for tag, (kind, value) in sorted(tags.items()):
        if isinstance(value, dict):
            place = at + len(body)
            body += _directory(value, place)
            value = struct.pack("<I", place)
        count = len(value) // _TYPE_BYTES[kind]
        if len(value) > 4:
            place = at + len(body)
            body += value + bytes(len(value) % 2)
            value = struct.pack("<I", place)
        head += struct.pack("<HHI", tag, kind, count) + value.ljust(4, b"\0")
    return head + bytes(4) + body


def _shorts(*numbers):
    return _SHORT, struct.pack(f"<{len(numbers)}H", *numbers)


def _longs(*numbers):
    return _LONG, struct.pack(f"<{len(numbers)}I", *numbers)


def write(file, shape, dtype, strips, *, tags, icc, orientation, compress):
    """Writes a TIFF of 8 or 16 bits, strip by strip.

    Args:
        file: seekable binary file, empty.
        shape: (H, W, C), C from 1 to 4.
        dtype: uint8 or uint16.
        strips: yields (top, rows (n, W, C)), in order.
        tags: dict tag -> (type, value) to carry over.
        icc: profile to embed, or `None`.
        orientation: EXIF orientation of the stored pixels.
        compress: whether to compress (deflate, with differences).
    """
    height, width, channels = shape
    dtype = np.dtype(dtype).newbyteorder("<")
    per_strip = max(1, _STRIP_BYTES // (width * channels * dtype.itemsize))
    file.write(struct.pack("<2sHI", b"II", 42, 0))
    offsets, sizes = [], []
    for rows in _regroup(strips, per_strip):
        if compress:
            rows[:, 1:] -= rows[:, :-1].copy()
        body = rows.astype(dtype).tobytes()
        if compress:
            body = zlib.compress(body)
        if file.tell() + len(body) >= 1 << 32:
            raise ValueError("it is too large for a TIFF of 4 GiB")
        offsets.append(file.tell())
        sizes.append(len(body))
        file.write(body + b"\0" * (len(body) % 2))
    coding = {
        WIDTH: _longs(width),
        HEIGHT: _longs(height),
        BITS: _shorts(*(8 * dtype.itemsize,) * channels),
        COMPRESSION: _shorts(_DEFLATE if compress else _RAW),
        PHOTOMETRIC: _shorts(1 if channels <= 2 else 2),
        STRIP_OFFSETS: _longs(*offsets),
        ORIENTATION: _shorts(orientation),
        SAMPLES: _shorts(channels),
        ROWS_PER_STRIP: _longs(per_strip),
        STRIP_BYTES: _longs(*sizes),
        PLANAR: _shorts(1),
    }
    if compress:
        coding[PREDICTOR] = _shorts(2)
    if channels in (2, 4):
        coding[EXTRA_SAMPLES] = _shorts(2)  # Alpha, not multiplied in.
    if icc:
        coding[ICC] = (_UNDEFINED, icc)
    start = file.tell()
    file.write(_directory(tags | coding, start))
    file.seek(4)
    file.write(struct.pack("<I", start))
    file.seek(0, io.SEEK_END)


def _regroup(strips, size):
    """Copies rows into strips of `size` rows; the last may be shorter."""
    pending, count = [], 0
    for _, rows in strips:
        while len(rows):
            part = rows[: size - count]
            rows = rows[len(part) :]
            pending.append(part)
            count += len(part)
            if count == size:
                yield np.concatenate(pending)
                pending, count = [], 0
    if pending:
        yield np.concatenate(pending)
