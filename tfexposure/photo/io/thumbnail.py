"""The small pictures inside metadata, which must not show the old photo."""

import io
import struct

import numpy as np

from tfexposure.photo.io import orientation, tiff

_FORMAT, _LENGTH = 513, 514  # JPEGInterchangeFormat and its length.
_PHOTOSHOP = b"Photoshop 3.0\0"
_THUMBNAILS = (1033, 1036)  # Resources of Photoshop that hold one.


def remade(exif, image):
    """An EXIF block whose thumbnail shows another picture.

    The new one takes the old one's place and no more bytes than that, so that
    nothing else of the block moves. One that cannot be made goes.

    Args:
        exif: bytes of a block, perhaps broken.
        image: PIL image of the photo, in the order that it is stored in.

    Returns:
        bytes of the same length.
    """
    try:
        link, directory = _second_directory(exif)
        if not directory:
            return exif
        return _with_thumbnail(exif, link, directory, image)
    except (struct.error, ValueError, IndexError):
        return exif  # Broken blocks are carried along.


def _second_directory(exif):
    """(place of the link to it, its own place), of the thumbnail's tags."""
    order = tiff.byte_order(exif)
    (first,) = struct.unpack_from(order + "I", exif, 4)
    (count,) = struct.unpack_from(order + "H", exif, first)
    link = first + 2 + 12 * count
    (directory,) = struct.unpack_from(order + "I", exif, link)
    return link, directory


def _with_thumbnail(exif, link, directory, image):
    block, order = bytearray(exif), tiff.byte_order(exif)
    places = {
        tag: (at, kind)
        for at, tag, kind, _ in tiff.entries_at(block, directory)
    }
    if _FORMAT in places and _LENGTH in places:
        start = tiff.get(block, *places[_FORMAT])
        size = tiff.get(block, *places[_LENGTH])
        old = bytes(block[start : start + size])
        if len(old) == size and size:
            new = _small_jpeg(old, image)
            block[start : start + size] = (new or b"").ljust(size, b"\0")
            if new:
                at, kind = places[_LENGTH]
                tiff.put(block, at, kind, len(new))
                return bytes(block)
    struct.pack_into(order + "I", block, link, 0)
    return bytes(block)


def _small_jpeg(old, image):
    """A JPEG as large as the old one, no longer than it; or `None`."""
    from PIL import Image

    try:
        box = Image.open(io.BytesIO(old)).size
    except Exception:  # A stranger's bytes fail in many ways.
        box = (160, 120)
    small = image.convert("RGB")
    small.thumbnail((max(box), max(box)), Image.Resampling.BOX)
    for quality in (85, 70, 50, 30, 10):
        buffer = io.BytesIO()
        small.save(buffer, "JPEG", quality=quality)
        if buffer.tell() <= len(old):
            return buffer.getvalue()
    return None


def without_photoshops(block):
    """Photoshop's resources without their thumbnails.

    Args:
        block: bytes of the resources; JPEG's prefix may lead them.

    Returns:
        bytes; as they were if they cannot be understood.
    """
    at = len(_PHOTOSHOP) if block.startswith(_PHOTOSHOP) else 0
    parts = [block[:at]]
    while block[at : at + 4] == b"8BIM" and at + 12 <= len(block):
        (kind,) = struct.unpack_from(">H", block, at + 4)
        name = block[at + 6] + 1
        place = at + 6 + name + name % 2
        if place + 4 > len(block):
            return block
        (size,) = struct.unpack_from(">I", block, place)
        end = place + 4 + size + size % 2
        if place + 4 + size > len(block):
            return block
        if kind not in _THUMBNAILS:
            parts.append(block[at:end])
        at = end
    return b"".join((*parts, block[at:]))


def preview_of(rows, colours, turned, side=320):
    """A small PIL image of a picture as a file stores it.

    Args:
        rows: upright pixels, as those of a `Photo`.
        colours: 1 or 3.
        turned: EXIF orientation of the file.
        side: pixels that the longer side has at least, if there are as many.
    """
    from PIL import Image

    step = max(1, max(rows.shape[:2]) // side)
    strips = [
        strip[(-top) % step :: step, ::step, :colours]
        for top, strip in rows.strips()
    ]
    small = np.concatenate(strips)
    if small.dtype == np.uint16:
        small = (small // 257).astype(np.uint8)
    small = orientation.orient(small, orientation.inverse(turned))
    small = np.repeat(small, 3, -1) if colours == 1 else small
    return Image.fromarray(np.ascontiguousarray(small))
