"""What a JPEG or PNG string says before its pixels, read inside the graph.

The parts of a file are walked from one to the next, as decoders do: bytes that
look like a tag elsewhere, in a thumbnail or a comment, mean nothing.
"""

from typing import NamedTuple

import tensorflow as tf

from tfexposure.imaging.files import DEFLATED_PER_BYTE, JPEG_PIXELS_PER_BYTE

_PNG = b"\x89PNG\r\n\x1a\n"
# More parts than any photo has, few enough for a hostile file's time.
_MOST_PARTS = 1 << 15
_ORIENTATION, _SHORT = 0x0112, 3


class Header(NamedTuple):
    """Scalars that a file's parts tell.

    Attributes:
        height: int64, rows as stored; 0 if the file does not tell.
        width: int64, columns as stored.
        is_grey: bool, whether it has one colour, whatever its alpha.
        orientation: int32, EXIF's 1 to 8, 1 if unknown.
        is_possible: bool, whether all its parts are there and that many pixels
            fit into so few bytes.
    """

    height: tf.Tensor
    width: tf.Tensor
    is_grey: tf.Tensor
    orientation: tf.Tensor
    is_possible: tf.Tensor


def is_jpeg(contents):
    """Says of a scalar string whether it begins as a JPEG."""
    return tf.strings.substr(contents, 0, 3) == b"\xff\xd8\xff"


def is_png(contents):
    """Says of a scalar string whether it begins as a PNG."""
    return tf.strings.substr(contents, 0, 8) == _PNG


def read_header(contents):
    """Reads a JPEG's or PNG's `Header` from a scalar string."""
    return tf.cond(
        is_jpeg(contents), lambda: _of_jpeg(contents), lambda: _of_png(contents)
    )


def _of_jpeg(contents):
    def part(at, frame, exif):
        head = _bytes(contents, at, 10)
        marker, length = head[1], _number(head[2:4])
        # C0 to CF begin a frame, except DHT, JPG and DAC.
        is_frame = (marker >= 0xC0) & (marker <= 0xCF)
        is_frame &= tf.reduce_all(marker != [0xC4, 0xC8, 0xCC])
        frame = tf.where(is_frame, head[5:10], frame)
        is_exif = (marker == 0xE1) & tf.reduce_all(
            head[4:10] == list(b"Exif\0\0")
        )
        found = _if_first(exif, is_exif, contents, at + 10, length - 8)
        # Between parts: fill bytes, and markers that stand alone.
        alone = (marker == 0x01) | ((marker >= 0xD0) & (marker <= 0xD8))
        filled = (head[0] != 0xFF) | (marker == 0xFF)
        one, two = tf.unstack(tf.constant([1, 2], tf.int64))
        step = tf.where(alone, two, tf.maximum(length, two) + 2)
        step = tf.where(filled, one, step)
        # The scan, or the end.
        ends = (head[0] == 0xFF) & tf.reduce_any(marker == [0xDA, 0xD9])
        return at + step, ends, frame, found

    ends, frame, exif = _walk(contents, 2, part, tf.zeros(5, tf.int32))
    height, width = _number(frame[:2]), _number(frame[2:4])
    most = JPEG_PIXELS_PER_BYTE * _size(contents)
    return Header(
        height,
        width,
        frame[4] == 1,
        _orientation(exif),
        ends & (height * width <= most),
    )


def _of_png(contents):
    def part(at, exif):
        head = _bytes(contents, at, 8)
        length = _number(head[:4])
        is_exif = tf.reduce_all(head[4:] == list(b"eXIf"))
        found = _if_first(exif, is_exif, contents, at + 8, length)
        ends = tf.reduce_all(head[4:] == list(b"IEND"))
        return at + 12 + length, ends, found

    ends, exif = _walk(contents, 8, part)
    first = _bytes(contents, 16, 10)
    height, width = _number(first[4:8]), _number(first[:4])
    bits, kind = tf.cast(first[8], tf.int64), first[9]
    # Grey, RGB, palette, grey and alpha, RGB and alpha.
    samples = tf.gather([1, 1, 3, 1, 2, 1, 4, 1], tf.minimum(kind, 7))
    row = (width * bits * tf.cast(samples, tf.int64) + 7) // 8 + 1
    # In floating point: a hostile size exceeds all integers.
    needed = tf.cast(height, tf.float64) * tf.cast(row, tf.float64)
    most = tf.cast(DEFLATED_PER_BYTE * _size(contents), tf.float64)
    is_grey = (kind == 0) | (kind == 4)
    possible = ends & (needed <= most)
    return Header(height, width, is_grey, _orientation(exif), possible)


def _walk(contents, start, part, *found):
    """Walks over a file's parts.

    Args:
        contents: scalar string.
        start: int, place of the first part.
        part: function of a place and of what was found so far, an EXIF block
            last; answers the next place, whether this was the last part, and
            what is found now.
        *found: what to begin with, but for the EXIF block.

    Returns:
        Whether the last part was met, and what was found.
    """

    def more(at, ends, count, *_):
        return ~ends & (at < _size(contents)) & (count < _MOST_PARTS)

    def step(at, _, count, *found):
        at, ends, *found = part(at, *found)
        return (at, ends, count + 1, *found)

    begin = tf.constant(start, tf.int64), tf.constant(False), 0
    exif = tf.constant(b"")
    _, ends, _, *found = tf.while_loop(
        more, step, (*begin, *found, exif), parallel_iterations=1
    )
    return ends, *found


def _if_first(exif, is_one, contents, at, length):
    return tf.cond(
        is_one & (exif == b""),
        lambda: _part(contents, at, length),
        lambda: exif,
    )


def _orientation(exif):
    """Reads the orientation of an EXIF block; 1 if it tells none."""
    little = tf.strings.substr(exif, 0, 2) == b"II"
    known = little | (tf.strings.substr(exif, 0, 2) == b"MM")

    def number(values):
        """Of 2 or 4 bytes, along the last axis."""
        return tf.where(little, _number(values[..., ::-1]), _number(values))

    head = _bytes(exif, 0, 8)
    known &= number(head[2:4]) == 42
    at = number(head[4:8])
    count = number(_bytes(exif, at, 2))
    entries = tf.io.decode_raw(_part(exif, at + 2, 12 * count), tf.uint8)
    entries = entries[: tf.size(entries) // 12 * 12]
    entries = tf.cast(tf.reshape(entries, (-1, 12)), tf.int32)
    wanted = number(entries[:, :2]) == _ORIENTATION
    wanted &= (number(entries[:, 2:4]) == _SHORT) & (
        number(entries[:, 4:8]) == 1
    )
    values = tf.boolean_mask(number(entries[:, 8:10]), known & wanted)
    value = tf.concat([values, [1]], 0)[0]
    value = tf.cast(value, tf.int32)
    return tf.where((value >= 1) & (value <= 8), value, 1)


def _size(contents):
    return tf.cast(tf.strings.length(contents), tf.int64)


def _part(contents, at, length):
    """Cuts out a part; what lies beyond the end is not there."""
    at = tf.clip_by_value(tf.cast(at, tf.int64), 0, _size(contents))
    return tf.strings.substr(contents, at, tf.maximum(length, 0))


def _bytes(contents, at, count):
    """Reads int32 (count,), 0 beyond the end."""
    part = _part(contents, at, tf.constant(count, tf.int64))
    # The fixed length is refused for an empty string.
    part = tf.strings.join([part, b"\0"])
    values = tf.io.decode_raw(part, tf.uint8, fixed_length=count)
    return tf.cast(tf.ensure_shape(values, (count,)), tf.int32)


def _number(values):
    """Of big-endian bytes along the last axis, int64."""
    weights = [256**power for power in range(values.shape[-1])][::-1]
    return tf.reduce_sum(tf.cast(values, tf.int64) * weights, -1)
