"""PNG beyond what Pillow does: 16 bits per channel, chunks kept, by strips.

Pillow cuts 16-bit colour to 8 bits. Here PNG is read and written with zlib
and NumPy, a strip of rows at a time, so that memory does not grow with the
picture. Reference: W3C, Portable Network Graphics, third edition.
"""

import io
import struct
import zlib

import numpy as np

SIGNATURE = b"\x89PNG\r\n\x1a\n"
_CHANNELS = {0: 1, 2: 3, 4: 2, 6: 4}
_COLOUR_TYPES = {channels: kind for kind, channels in _CHANNELS.items()}
# Adam7: (first row, first column, row step, column step) of each pass.
_ADAM7 = (
    (0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4),
    (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1),
)  # fmt: skip
_STRIP_ROWS = 256

# zlib's level: 3 is four times as fast as 6, and files grow by a tenth.
COMPRESSION = 3

# Chunks that say what the values of pixels mean.
COLOUR_CHUNKS = frozenset(
    (b"iCCP", b"sRGB", b"gAMA", b"cHRM", b"cICP", b"mDCV", b"cLLI")
)
_XMP_KEYWORD = b"XML:com.adobe.xmp"
# Compressed text is read up to this many bytes.
_MAX_TEXT = 1 << 26

# Ancillary chunks that describe the old pixels' coding rather than the photo.
_PIXEL_CHUNKS = frozenset(
    (b"tRNS", b"bKGD", b"hIST", b"sBIT", b"sPLT", b"acTL", b"fcTL", b"fdAT",
     b"iDOT", b"caBX")
)  # fmt: skip


def read_chunks(data):
    """Yields (type, payload) of each chunk.

    Raises:
        ValueError: if a chunk is cut short or its checksum is wrong.
    """
    at = len(SIGNATURE)
    while at + 8 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        payload = data[at + 8 : at + 8 + length]
        crc = data[at + 8 + length : at + 12 + length]
        if len(payload) != length or len(crc) != 4:
            raise ValueError(f"it ends inside its chunk {kind!r}")
        if zlib.crc32(kind + payload) != int.from_bytes(crc, "big"):
            raise ValueError(f"its chunk {kind!r} is damaged")
        yield kind, payload
        if kind == b"IEND":
            return
        at += 12 + length
    raise ValueError("it ends before its last chunk")


def without_damage(data, alone=False):
    """A copy without damaged chunks beside the pixels, and with an end.

    Args:
        data: bytes of a PNG file.
        alone: whether the pixels' own chunks alone are kept.

    Returns:
        bytes, or `None` if a chunk of the pixels' own is damaged.
    """
    file, at = io.BytesIO(), len(SIGNATURE)
    file.write(SIGNATURE)
    while at + 12 <= len(data):
        length, kind = struct.unpack_from(">I4s", data, at)
        payload = data[at + 8 : at + 8 + length]
        crc = data[at + 8 + length : at + 12 + length]
        own = not kind[0] & 0x20 or kind == b"tRNS"
        if kind == b"IEND":
            break
        if zlib.crc32(kind + payload) != int.from_bytes(crc, "big"):
            if own:
                return None
        elif own or not alone:
            _write_chunk(file, kind, payload)
        at += 12 + length
    _write_chunk(file, b"IEND", b"")
    return file.getvalue()


def ancillary_chunks(data):
    """The chunks to carry over, in order: text, EXIF, colour space, time."""
    return [
        (kind, payload)
        for kind, payload in read_chunks(data)
        if kind[0] & 0x20 and kind not in _PIXEL_CHUNKS
    ]


def header(data):
    """Returns (width, height, bit depth, colour type, interlaced)."""
    if len(data) < 33 or data[12:16] != b"IHDR":
        raise ValueError("it does not begin with a header")
    width, height, depth, colour, _, _, interlace = struct.unpack_from(
        ">IIBBBBB", data, 16
    )
    if not width or not height:
        raise ValueError(f"its size is {width} x {height}")
    return width, height, depth, colour, bool(interlace)


def is_deep(data):
    """Whether the file holds 16 bits per channel."""
    return header(data)[2] == 16


def read_deep(data):
    """Reads a 16-bit PNG by strips.

    Args:
        data: bytes of a file for which `is_deep` holds.

    Returns:
        (channels, strips), strips yielding (top, uint16 (n, W, C)).

    Raises:
        ValueError: at the first strip that cannot be read.
    """
    width, height, _, colour, interlaced = header(data)
    if colour not in _CHANNELS:
        raise ValueError(f"its colour type {colour} does not go with 16 bits")
    chunks = list(read_chunks(data))
    key = next((body for kind, body in chunks if kind == b"tRNS"), None)
    stream = _Inflater(body for kind, body in chunks if kind == b"IDAT")
    channels = _CHANNELS[colour]
    if interlaced:
        strips = iter(((0, _read_adam7(stream, height, width, channels)),))
    else:
        strips = _read_pass(stream, height, width, channels)
    if key is None:
        return channels, strips
    if len(key) != 2 * channels:
        raise ValueError("its transparent colour is malformed")
    key = np.frombuffer(key, ">u2").astype(np.uint16)
    return channels + 1, (
        (top, _with_key_as_alpha(rows, key)) for top, rows in strips
    )


def _with_key_as_alpha(rows, key):
    alpha = np.where((rows == key).all(-1, keepdims=True), 0, 65535)
    return np.concatenate((rows, alpha.astype(np.uint16)), axis=-1)


class _Inflater:
    """Gives out a zlib stream in pieces of the size asked for."""

    def __init__(self, bodies):
        self._bodies = bodies
        self._inflate = zlib.decompressobj()
        self._input = b""

    def take(self, size):
        parts = []
        while size:
            if not self._input:
                self._input = next(self._bodies, b"")
                if not self._input:
                    raise ValueError("it ends inside its pixels")
            try:
                part = self._inflate.decompress(self._input, size)
            except zlib.error as error:
                raise ValueError(f"its pixels are damaged ({error})") from error
            self._input = self._inflate.unconsumed_tail
            if not part and self._inflate.eof:
                raise ValueError("it ends inside its pixels")
            parts.append(part)
            size -= len(part)
        return b"".join(parts)


def _read_pass(stream, height, width, channels):
    bytes_per_pixel = 2 * channels
    row_bytes = width * bytes_per_pixel
    above = np.zeros(row_bytes, np.uint8)
    for top in range(0, height, _STRIP_ROWS):
        count = min(_STRIP_ROWS, height - top)
        raw = np.frombuffer(stream.take(count * (row_bytes + 1)), np.uint8)
        raw = raw.reshape(count, row_bytes + 1)
        rows = _unfilter(raw[:, 0], raw[:, 1:], above, bytes_per_pixel)
        above = rows[-1]
        deep = rows.view(">u2").reshape(count, width, channels)
        yield top, deep.astype(np.uint16)


def _read_adam7(stream, height, width, channels):
    picture = np.empty((height, width, channels), np.uint16)
    for first_row, first_column, row_step, column_step in _ADAM7:
        part = picture[first_row::row_step, first_column::column_step]
        if not part.size:
            continue
        for top, rows in _read_pass(stream, *part.shape):
            part[top : top + len(rows)] = rows
    return picture


def _unfilter(kinds, coded, above, bytes_per_pixel):
    """Undoes the five filters of PNG on a strip of rows.

    A byte depends on its left, upper and upper-left neighbours, so those of
    one anti-diagonal are independent: a step for each, all rows at once.

    Args:
        kinds: uint8 (n,), the filter of each row.
        coded: uint8 (n, row bytes).
        above: uint8 (row bytes), the finished row above the strip.
        bytes_per_pixel: distance to the left neighbour.

    Returns:
        uint8 (n, row bytes).
    """
    if kinds.max() > 4:
        raise ValueError(f"it uses an unknown filter {kinds.max()}")
    count, row_bytes = coded.shape
    pixels = row_bytes // bytes_per_pixel
    coded = coded.reshape(count, pixels, bytes_per_pixel)
    above = above.reshape(pixels, bytes_per_pixel)
    if (kinds > 2).any():
        return _unfilter_diagonals(kinds, coded, above)
    return _unfilter_rows(kinds, coded, above)


def _unfilter_diagonals(kinds, coded, above):
    count, pixels, channels = coded.shape
    coded = _skew(coded)
    # Row 0 is the one above, rows 1 to n the strip's. The pixel of row r and
    # column c lies at [r + c + 1, r], so that its left, upper and upper-left
    # neighbours are slices of the two diagonals before; what is left of
    # column 0 stays zero.
    done = np.zeros((count + pixels + 1, count + 1, channels), np.int16)
    done[1 : pixels + 1, 0] = above
    masks = {
        kind: (kinds == kind).astype(np.int16)[:, None]
        for kind in (1, 2, 3, 4)
        if (kinds == kind).any()
    }
    for diagonal in range(1, count + pixels):
        first, last = max(1, diagonal - pixels + 1), min(count, diagonal) + 1
        left = done[diagonal, first:last]
        upper = done[diagonal, first - 1 : last - 1]
        value = coded[diagonal - 1, first - 1 : last - 1].astype(np.int16)
        for kind, mask in masks.items():
            if kind == 1:
                guess = left
            elif kind == 2:
                guess = upper
            elif kind == 3:
                guess = (left + upper) >> 1
            else:
                corner = done[diagonal - 1, first - 1 : last - 1]
                guess = _paeth(left, upper, corner)
            value += guess * mask[first - 1 : last - 1]
        done[diagonal + 1, first:last] = value & 255
    return _unskew(done.astype(np.uint8), pixels)[1:].reshape(count, -1)


def _skew(rows):
    """(n, W, c) -> (n + W, n, c), row r delayed by r: [r + x, r] = [r, x]."""
    count, pixels, channels = rows.shape
    length = count + pixels + 1
    wide = np.zeros((count, length, channels), rows.dtype)
    wide[:, :pixels] = rows
    flat = wide.reshape(-1, channels)[: count * (length - 1)]
    shifted = flat.reshape(count, length - 1, channels)
    return np.ascontiguousarray(shifted.swapaxes(0, 1))


def _unskew(diagonals, pixels):
    """The inverse: [r + x + 1, r] -> [r, x]."""
    length, count, channels = diagonals.shape
    flat = np.zeros((count * (length + 1), channels), diagonals.dtype)
    flat[: count * length] = diagonals.swapaxes(0, 1).reshape(-1, channels)
    return flat.reshape(count, length + 1, channels)[:, 1 : pixels + 1]


def _unfilter_rows(kinds, coded, above):
    """The same without average and Paeth: whole rows at once."""
    done = np.empty_like(coded)
    for row, kind in enumerate(kinds):
        if kind == 1:
            np.cumsum(coded[row], axis=0, dtype=np.uint8, out=done[row])
        elif kind == 2:
            np.add(coded[row], above, out=done[row])
        else:
            done[row] = coded[row]
        above = done[row]
    return done.reshape(len(kinds), -1)


def _paeth(left, upper, corner):
    guess = left + upper - corner
    to_left = np.abs(guess - left)
    to_upper = np.abs(guess - upper)
    to_corner = np.abs(guess - corner)
    return np.where(
        (to_left <= to_upper) & (to_left <= to_corner),
        left,
        np.where(to_upper <= to_corner, upper, corner),
    )


def write(file, shape, dtype, strips, chunks=()):
    """Writes a PNG of 8 or 16 bits per channel.

    Args:
        file: binary file to append to.
        shape: (H, W, C), C from 1 to 4.
        dtype: uint8 or uint16.
        strips: yields (top, rows (n, W, C)), in order.
        chunks: (type, payload) pairs to place before the pixels.
    """
    height, width, channels = shape
    depth = 8 * np.dtype(dtype).itemsize
    file.write(SIGNATURE)
    head = struct.pack(
        ">IIBBBBB", width, height, depth, _COLOUR_TYPES[channels], 0, 0, 0
    )
    _write_chunk(file, b"IHDR", head)
    for kind, payload in chunks:
        _write_chunk(file, kind, payload)
    deflate = zlib.compressobj(COMPRESSION)
    bytes_per_pixel = channels * depth // 8
    above = np.zeros(width * bytes_per_pixel, np.uint8)
    for _, rows in strips:
        big_endian = np.ascontiguousarray(rows, ">u2" if depth == 16 else "u1")
        plain = big_endian.reshape(len(rows), -1).view(np.uint8)
        coded = _filter(plain, above, bytes_per_pixel)
        above = plain[-1]
        _write_chunk(file, b"IDAT", deflate.compress(coded.tobytes()))
    _write_chunk(file, b"IDAT", deflate.flush())
    _write_chunk(file, b"IEND", b"")


def insert_chunks(data, chunks):
    """Puts chunks into a PNG file, behind its header."""
    file = io.BytesIO()
    file.write(data[:33])
    for kind, payload in chunks:
        _write_chunk(file, kind, payload)
    file.write(data[33:])
    return file.getvalue()


def _filter(rows, above, bytes_per_pixel):
    """Filters each row by the kind whose sum of magnitudes is least."""
    left = np.zeros_like(rows)
    left[:, bytes_per_pixel:] = rows[:, :-bytes_per_pixel]
    upper = np.concatenate((above[None], rows[:-1]))
    corner = np.zeros_like(rows)
    corner[:, bytes_per_pixel:] = upper[:, :-bytes_per_pixel]
    paeth = _paeth(*(x.astype(np.int16) for x in (left, upper, corner)))
    candidates = {
        1: rows - left,
        2: rows - upper,
        4: rows - paeth.astype(np.uint8),
    }
    costs = [
        np.abs(coded.view(np.int8).astype(np.int16)).sum(1, dtype=np.int64)
        for coded in candidates.values()
    ]
    best = np.array(list(candidates))[np.argmin(costs, axis=0)]
    out = np.empty((rows.shape[0], rows.shape[1] + 1), np.uint8)
    out[:, 0] = best
    for kind, coded in candidates.items():
        out[best == kind, 1:] = coded[best == kind]
    return out


def _write_chunk(file, kind, payload):
    if not payload and kind == b"IDAT":
        return
    file.write(struct.pack(">I", len(payload)) + kind + payload)
    file.write(struct.pack(">I", zlib.crc32(payload, zlib.crc32(kind))))


def text_chunk(keyword, text):
    """An uncompressed iTXt chunk, the place of XMP."""
    return b"iTXt", keyword + b"\0\0\0\0\0" + text


def xmp_of(chunk):
    """The XMP packet that a chunk holds, or `None`."""
    kind, body = chunk
    if kind != b"iTXt" or not body.startswith(_XMP_KEYWORD + b"\0"):
        return None
    compressed = body[len(_XMP_KEYWORD) + 1 :][:1] == b"\1"
    text = body[len(_XMP_KEYWORD) + 3 :].split(b"\0", 2)[-1]
    if not compressed:
        return text
    try:
        return zlib.decompressobj().decompress(text, _MAX_TEXT)
    except zlib.error:
        return None


def is_plain_text(chunk):
    """Whether a chunk holds a title, a comment or the like."""
    text = chunk[0] in (b"tEXt", b"zTXt", b"iTXt") and xmp_of(chunk) is None
    return text and not chunk[1].startswith(b"Raw profile type")


def xmp_chunk(xmp):
    """The chunk of an XMP packet."""
    return text_chunk(_XMP_KEYWORD, xmp)


def profile_chunk(icc):
    """An iCCP chunk."""
    return b"iCCP", b"ICC profile\0\0" + zlib.compress(icc)
