"""A photo between its decoding and its encoding."""

import dataclasses
import pathlib

from tfexposure.photo.io import files
from tfexposure.photo.io.pixel_buffer import PixelBuffer

# Stated in docs/correct.md; `--max_pixels` and `--max_bytes` change them.
MAX_PIXELS = 250_000_000
MAX_BYTES = 1_000_000_000


@dataclasses.dataclass(frozen=True)
class Limits:
    """What a file may claim before it is refused unread.

    Attributes:
        pixels: most pixels of a picture, checked before pixels are decoded.
        bytes: most bytes of a file.
    """

    pixels: int = MAX_PIXELS
    bytes: int = MAX_BYTES


@dataclasses.dataclass
class Photo:
    """Pixels and everything else a file holds.

    Attributes:
        name: what error messages call the photo.
        rows: upright pixels: grey or RGB, then alpha; uint8 or uint16.
        format: a key of `formats.FORMATS`, such as `"jpeg"`.
        orientation: EXIF orientation of the stored pixels, 1 to 8.
        icc: bytes of the embedded ICC profile, or `None`.
        code_points: `cicp.CodePoints` of a photo whose colours are said by
            numbers, or `None`; `icc` then says the same as a profile.
        exif: bytes of the EXIF block without prefix (a small TIFF), or None.
        xmp: bytes of the XMP packet, or `None`.
        raw_metadata: what the file's own format keeps beside the pixels, byte
            for byte: JPEG segments, PNG chunks or TIFF tags.
        trailer: what lies behind the picture of a JPEG: a phone's video.
        encoding: how the file was compressed: JPEG tables, subsampling...
        data: the file itself.
        notes: sentences for the user; what could not be kept among them.
        losses: those that hold once the photo is written anew.
        path: the file it was read from, or `None`.
    """

    name: str
    pixels: PixelBuffer
    format: str
    orientation: int = 1
    icc: bytes | None = None
    code_points: object = None
    exif: bytes | None = None
    xmp: bytes | None = None
    raw_metadata: object = None
    trailer: bytes = b""
    encoding: dict = dataclasses.field(default_factory=dict)
    data: bytes = b""
    notes: list = dataclasses.field(default_factory=list)
    losses: list = dataclasses.field(default_factory=list)
    path: pathlib.Path | None = None

    @property
    def permissions(self):
        """Mode bits of its file, which nothing made of it may exceed."""
        return files.permissions_of(self.path)

    @property
    def colours(self):
        """1 for a grey photo, 3 for one in colour; alpha not counted."""
        return 1 if self.pixels.shape[2] <= 2 else 3

    @property
    def has_alpha(self):
        return self.pixels.shape[2] in (2, 4)
