"""Which photos training decodes, told without TensorFlow.

Pillow reads more kinds than TensorFlow, and a file's name proves nothing: what
curation keeps must not stop a training run days later.
"""

import struct

# Pillow's names of what TensorFlow decodes whatever the variant.
_DECODED = frozenset(("JPEG", "MPO", "PNG", "GIF"))
_MAGIC = (b"\xff\xd8\xff", b"\x89PNG\r\n\x1a\n")


def why_not(image, head):
    """Why training would not decode an opened photo; `None` if it does.

    Args:
        image: PIL image, its pixels not needed.
        head: the file's first 54 bytes.
    """
    kind = image.format
    if kind in _DECODED:
        return None
    if kind == "WEBP":
        return "an animation" if getattr(image, "n_frames", 1) > 1 else None
    if kind == "BMP" and _is_plain_bmp(head):
        return None
    return f"{kind} of this kind is not decoded in training; save it as PNG"


def is_sure(head):
    """Whether the first bytes alone say that training knows the format."""
    return head.startswith(_MAGIC)


def _is_plain_bmp(head):
    """Whether a BMP holds colours as they are: 24 or 32 bits, no palette."""
    if len(head) < 34:
        return False
    bits, compression = struct.unpack_from("<HI", head, 28)
    return bits in (24, 32) and compression == 0
