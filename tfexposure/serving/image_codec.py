"""JPEG and PNG strings inside the graph."""

import tensorflow as tf

from tfexposure.imaging.luminance import luma
from tfexposure.serving.image_header import is_jpeg, is_png, read_header

# As `tfexposure correct` writes PNGs: higher takes several times as long for a
# few per cent of size.
_PNG_LEVEL = 3
_BROKEN = "is broken or cut off, or has no pixels"
_END = b"\xff\xd9"


def decode(contents, index, max_pixels, max_side):
    """Decodes one JPEG or PNG string; a bad one is an error.

    What its header tells is checked first, and the error names the element.
    What is broken behind it the decoder finds, whose error does not.

    Args:
        contents: scalar string.
        index: int32 scalar, its place in the batch, for messages.
        max_pixels: int, more pixels than this are refused before they are
            decoded.
        max_side: int, the same of pixels of a side.

    Returns:
        uint8 (H, W, 3), upright by its EXIF orientation; a bool, whether the
        file has one colour only, grey.
    """
    known = is_jpeg(contents) | is_png(contents)
    with tf.control_dependencies(
        [
            _require(tf.strings.length(contents) > 0, index, "is empty"),
            _require(known, index, "is neither a JPEG nor a PNG"),
        ]
    ):
        contents = tf.identity(contents)
    header = read_header(contents)
    height, width = header.height, header.width
    # A product of hostile sides exceeds all integers.
    pixels = tf.cast(height, tf.float64) * tf.cast(width, tf.float64)
    with tf.control_dependencies(
        [
            _require(
                pixels <= max_pixels,
                index,
                f"has more than {max_pixels} pixels:",
                height,
                width,
            ),
            _require(
                tf.maximum(height, width) <= max_side,
                index,
                f"has a side of more than {max_side} pixels:",
                height,
                width,
            ),
            _require(
                (pixels > 0) & header.is_possible,
                index,
                _BROKEN,
            ),
        ]
    ):
        contents = tf.identity(contents)
    image = tf.cond(
        is_jpeg(contents),
        lambda: _decode_jpeg(contents, index),
        lambda: tf.io.decode_png(contents, 3),
    )
    image = upright(image, header.orientation)
    return tf.ensure_shape(image, (None, None, 3)), header.is_grey


def _decode_jpeg(contents, index):
    """Decodes a JPEG; one without its end marker if all its pixels are there.

    A decoder makes up pixels that are missing. Where some are, it takes what
    is put behind the file for them, and answers something else.
    """

    def decode(contents):
        return tf.io.decode_jpeg(
            contents,
            3,
            try_recover_truncated=True,
            # The exact transform, the same as other decoders'.
            dct_method="INTEGER_ACCURATE",
        )

    def decode_twice():
        first, second = (
            decode(tf.strings.join([contents, more]))
            for more in (_END, b"\x5a\x93\x2e\x71" * 16 + _END)
        )
        whole = tf.reduce_all(first == second)
        with tf.control_dependencies([_require(whole, index, _BROKEN)]):
            return tf.identity(first)

    ends = tf.strings.substr(contents, -2, 2) == _END
    return tf.cond(ends, lambda: decode(contents), decode_twice)


def encode(image, like, is_grey):
    """Encodes an image as the string `like` is: JPEG or PNG.

    Args:
        image: uint8 (H, W, 3).
        like: scalar string.
        is_grey: bool, whether to encode its luma alone.
    """

    def grey():
        levels = tf.round(luma(tf.cast(image, tf.float32)))
        return tf.cast(levels, tf.uint8)[..., None]

    def encode(image, kind):
        image.set_shape((None, None, {"grayscale": 1, "rgb": 3}[kind]))
        return tf.cond(
            is_jpeg(like),
            lambda: tf.io.encode_jpeg(
                image, kind, quality=95, chroma_downsampling=False
            ),
            lambda: tf.io.encode_png(image, compression=_PNG_LEVEL),
        )

    return tf.cond(
        is_grey,
        lambda: encode(grey(), "grayscale"),
        lambda: encode(tf.identity(image), "rgb"),
    )


def _require(condition, index, *reason):
    return tf.debugging.Assert(
        condition, ["image_bytes: element", index, *reason]
    )


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
