"""JPEG and PNG strings inside the graph."""

import tensorflow as tf

# What an element is, as its first bytes tell.
_PNG = b"\x89PNG\r\n\x1a\n"


def is_jpeg(contents):
    """Says of a scalar string whether it begins as a JPEG."""
    return tf.strings.substr(contents, 0, 3) == b"\xff\xd8\xff"


def is_png(contents):
    """Says of a scalar string whether it begins as a PNG."""
    return tf.strings.substr(contents, 0, 8) == _PNG


def decode(contents, index, max_pixels):
    """Decodes one JPEG or PNG string; a bad one is an error that names it.

    Args:
        contents: scalar string.
        index: int32 scalar, its place in the batch, for messages.
        max_pixels: int, more pixels than this are refused before they are
            decoded.

    Returns:
        uint8 (H, W, 3), upright by the EXIF orientation of a JPEG.
    """
    known = is_jpeg(contents) | is_png(contents)
    with tf.control_dependencies(
        [
            _require(tf.strings.length(contents) > 0, index, "is empty"),
            _require(known, index, "is neither a JPEG nor a PNG"),
        ]
    ):
        contents = tf.identity(contents)
    image, pixels = _decode_or_empty(contents, max_pixels)
    with tf.control_dependencies(
        [
            _require(
                pixels <= max_pixels,
                index,
                f"has more than {max_pixels} pixels:",
                pixels,
            ),
            _require(
                tf.size(image) > 0,
                index,
                "is broken or cut off, or has no pixels",
            ),
        ]
    ):
        return tf.identity(image)


def encode(image, like):
    """Encodes uint8 (H, W, 3) as the string `like` is: JPEG or PNG."""
    return tf.cond(
        is_jpeg(like),
        lambda: tf.io.encode_jpeg(image, quality=95, chroma_downsampling=False),
        lambda: tf.io.encode_png(image),
    )


def _require(condition, index, *reason):
    return tf.debugging.Assert(
        condition, ["image_bytes: element", index, *reason]
    )


def _decode_or_empty(contents, max_pixels):
    """Returns the image, empty if it cannot be decoded, and its pixels.

    A decoder's own error says neither which element failed nor can it be
    caught in a graph. A dataset, though, may leave out elements that fail.
    """

    def decode(contents):
        pixels = tf.cond(
            is_jpeg(contents),
            lambda: _jpeg_pixels(contents),
            lambda: _png_pixels(contents),
        )
        image = tf.cond(
            pixels > max_pixels,
            lambda: tf.zeros((0, 0, 3), tf.uint8),
            lambda: tf.cond(
                is_jpeg(contents),
                lambda: upright(
                    # The exact transform, the same as other decoders'.
                    tf.io.decode_jpeg(
                        contents, 3, dct_method="INTEGER_ACCURATE"
                    ),
                    orientation(contents),
                ),
                lambda: tf.io.decode_png(contents, 3),
            ),
        )
        image.set_shape((None, None, 3))
        return image, pixels

    dataset = tf.data.Dataset.from_tensors(contents).map(decode).ignore_errors()
    return dataset.reduce(
        (tf.zeros((0, 0, 3), tf.uint8), tf.constant(0, tf.int64)),
        lambda _, found: found,
    )


def _jpeg_pixels(contents):
    shape = tf.io.extract_jpeg_shape(contents, output_type=tf.int32)
    return tf.reduce_prod(tf.cast(shape[:2], tf.int64))


def _png_pixels(contents):
    # Width and height, big endian, begin the first chunk.
    sides = tf.io.decode_raw(
        tf.strings.substr(contents, 16, 8), tf.int32, little_endian=False
    )
    return tf.reduce_prod(tf.cast(sides, tf.int64))


def orientation(contents):
    """Reads the EXIF orientation of a JPEG string: 1 to 8, 1 if unknown."""
    # EXIF fits one segment of at most 64 KiB near the start.
    head = tf.io.decode_raw(
        tf.strings.substr(
            contents, 0, tf.minimum(tf.strings.length(contents), 1 << 17)
        ),
        tf.uint8,
    )
    start = _find(head, b"Exif\0\0")
    # The segment's length, big endian, stands before it.
    before = tf.cast(head[tf.maximum(start - 2, 0) : start], tf.int32)
    length = tf.reduce_sum(before * tf.constant([256, 1])[: tf.size(before)])
    exif = head[start : start + length]
    # Tag 0x0112, one value of type SHORT, in either byte order.
    big = _find(exif, b"\x01\x12\x00\x03\x00\x00\x00\x01\x00")
    little = _find(exif, b"\x12\x01\x03\x00\x01\x00\x00\x00")
    size = tf.size(exif)
    place = tf.where(big < size, big + 9, little + 8)
    value = tf.cast(
        tf.concat([exif, tf.zeros(16, tf.uint8)], 0)[place], tf.int32
    )
    return tf.where((value >= 1) & (value <= 8), value, 1)


def upright(image, orientation):
    """Turns and mirrors (H, W, C) so that it is seen as it was taken.

    Args:
        image: any type.
        orientation: int32 scalar, EXIF's 1 to 8.
    """
    # 5 to 8 have rows and columns exchanged.
    image = tf.cond(
        orientation >= 5,
        lambda: tf.transpose(image, (1, 0, 2)),
        lambda: image,
    )
    image = tf.cond(
        tf.reduce_any(orientation == [2, 3, 6, 7]),
        lambda: tf.reverse(image, [1]),
        lambda: image,
    )
    return tf.cond(
        tf.reduce_any(orientation == [3, 4, 7, 8]),
        lambda: tf.reverse(image, [0]),
        lambda: image,
    )


def _find(values, pattern):
    """Returns where uint8 (n,) first shows a bytes pattern; n if never."""
    size = tf.size(values)
    padded = tf.concat([values, tf.zeros(len(pattern), tf.uint8)], 0)
    found = tf.ones_like(values, tf.bool)
    for offset, value in enumerate(pattern):
        found &= padded[offset : offset + size] == value
    places = tf.where(found, tf.range(size), size)
    return tf.reduce_min(tf.concat([places, [size]], 0))
