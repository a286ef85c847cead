"""From a `Photo` to a file, whole or not at all."""

import contextlib
import functools
import io
import os
import struct

import numpy as np

from tfexposure.errors import UserError, import_extra
from tfexposure.photo.io import (
    cicp,
    colour,
    files,
    formats,
    jpeg,
    orientation,
    png,
    thumbnail,
    tiff,
    xmp,
)

_MODES = {1: "L", 2: "LA", 3: "RGB", 4: "RGBA"}

# For files that come from a format without a quality of the same meaning.
QUALITY = 95
_EXIF_KINDS = frozenset(("jpeg", "png", "webp", "avif"))
SUBSAMPLINGS = {"4:4:4": 0, "4:2:2": 1, "4:2:0": 2}


def write_photo(
    photo,
    target,
    *,
    kind=None,
    quality=None,
    subsampling=None,
    metadata="keep",
):
    """Writes a photo; the file appears only when it is complete.

    Args:
        photo: the `Photo`; its `rows` are what is written.
        target: path, or a binary file to write to.
        kind: key of `formats.FORMATS`; the photo's own if `None`.
        quality: 1 to 100 for JPEG, WebP, AVIF and HEIC; `None` keeps the
            tables of a JPEG and takes 95 elsewhere.
        subsampling: `"4:4:4"`, `"4:2:2"` or `"4:2:0"` for JPEG; `None` keeps.
        metadata: `"keep"`, or `"strip"` for pixels and ICC profile only.

    Raises:
        UserError: if the format cannot hold the photo or the file cannot be
            written; an existing file is then as it was.
    """
    kind = kind or photo.format
    photo.notes.extend(photo.losses)
    writer = _Writer(photo, kind, quality, subsampling, metadata)
    if not isinstance(target, (str, os.PathLike)):
        buffer = io.BytesIO()
        writer.write(buffer)
        target.write(buffer.getvalue())
        return
    with files.atomic_file(target, photo.permissions) as file:
        writer.write(file)


class _Writer:
    def __init__(self, photo, kind, quality, subsampling, metadata):
        self.photo = photo
        self.kind = kind
        self.quality = quality
        self.subsampling = subsampling
        self.keep = metadata == "keep"
        self.turned = self._written_orientation()
        self.icc = photo.icc
        self.space = colour.SameColour()

    def _written_orientation(self):
        """Stored order is kept where the file can say how to turn it."""
        photo = self.photo
        if not self.keep:
            return 1
        if self.kind in (photo.format, "tiff"):
            return photo.orientation
        tagged = photo.exif and tiff.orientation_of(photo.exif)
        if tagged and self.kind in _EXIF_KINDS:
            return photo.orientation
        return 1

    def write(self, file):
        photo = self.photo
        had = photo.encoding.get("depth", 8 * photo.pixels.dtype.itemsize)
        kept = {"png": 16, "tiff": 16, "heic": 10}.get(self.kind, 8)
        if had > kept:
            photo.notes.append(
                f"{had} bits per channel were cut to the {kept} of {self.kind}"
            )
        self._give_up_profile()
        if self.keep and self.kind != photo.format:
            self._note_lost()
        try:
            if self.kind == "png":
                self._write_png(file)
            elif self.kind == "tiff":
                self._write_tiff(file)
            else:
                self._write_by_pillow(file)
        except (UserError, OSError, MemoryError):
            raise
        except Exception as error:  # Metadata of strangers, again.
            raise UserError(
                f"{photo.name}: cannot be written as {self.kind}: {error}"
            ) from error

    def _give_up_profile(self):
        """Converts to sRGB where the file cannot say what the colours are."""
        photo = self.photo
        grey_as_colour = photo.colours == 1 and (
            self.kind == "webp"
            or (self.kind in ("avif", "heic") and photo.has_alpha)
        )
        grey_profile = colour.describes(photo.icc) == "GRAY"
        if self.kind != "bmp" and not (grey_as_colour and grey_profile):
            return
        self.icc = None
        self.space = colour.colour_of(photo.icc, photo.notes, photo.colours)
        if photo.icc:
            photo.notes.append(
                f"its ICC profile cannot be kept in {self.kind}; colours were "
                "converted to sRGB"
            )

    def _stored_strips(self):
        """(height, width) as stored, and the strips in that order."""
        rows = self.photo.pixels
        height, width, channels = rows.shape
        if self.turned == 1:
            return rows.shape, rows.strips()
        stored = orientation.orient(
            rows.array(), orientation.inverse(self.turned)
        )
        return stored.shape, (
            (top, stored[top : top + 128])
            for top in range(0, stored.shape[0], 128)
        )

    def _exif(self):
        """EXIF of the photo as it is true of the written pixels."""
        if not self.keep:
            return None
        if self.photo.format == "tiff":
            return tiff.exif_of_tags(self.photo.raw_metadata)
        return self.photo.exif and self._renewed(self.photo.exif)

    def _renewed(self, exif):
        """An EXIF block with the written orientation, a new thumbnail."""
        if self.turned != self.photo.orientation:
            exif = _with_orientation(exif, self.turned)
        return thumbnail.remade(exif, self._preview)

    @functools.cached_property
    def _preview(self):
        photo = self.photo
        return thumbnail.preview_of(photo.pixels, photo.colours, self.turned)

    def _xmp(self):
        """XMP of the photo as it is true of the written file."""
        return self._true_xmp(self.photo.xmp) if self.keep else None

    def _true_xmp(self, packet):
        packet = orientation.in_xmp(packet, self.turned)
        packet = xmp.without_gain_map(packet)
        if self.kind != "jpeg" or not self.photo.trailer:
            packet = xmp.without_video(packet)
        if self.kind != "jpeg" or self.photo.format != "jpeg":
            packet = xmp.without_extension(packet)
        return packet

    def _true_chunk(self, chunk):
        """A chunk of PNG as it is, but for what is no longer true."""
        if chunk[0] == b"eXIf":
            return b"eXIf", self._renewed(chunk[1])
        packet = png.xmp_of(chunk)
        if packet is None or self._true_xmp(packet) == packet:
            return chunk
        return png.xmp_chunk(self._true_xmp(packet))

    def _true_segment(self, segment):
        """The same for a segment of JPEG."""
        marker, body = segment
        if marker == 0xED:
            return marker, thumbnail.without_photoshops(body)
        body = jpeg.with_exif(body, self._renewed)
        return marker, jpeg.with_xmp(body, self._true_xmp)

    def _write_png(self, file):
        photo = self.photo
        if photo.format == "png":
            chunks = [
                self._true_chunk((kind, body))
                for kind, body in photo.raw_metadata
                if self.keep or kind in png.COLOUR_CHUNKS
            ]
            if photo.icc is None and not photo.code_points:
                chunks = [c for c in chunks if c[0] != b"iCCP"]
        else:
            chunks = [png.profile_chunk(self.icc)] if self.icc else []
            points = photo.code_points
            if points and not points.is_srgb:
                chunks.append((b"cICP", points.chunk()))
            exif = self._exif()
            if exif:
                chunks.append((b"eXIf", exif))
            if self._xmp():
                chunks.append(png.xmp_chunk(self._xmp()))
        if photo.pixels.dtype == np.uint8:
            buffer = io.BytesIO()
            self._image().save(buffer, "PNG", compress_level=png.COMPRESSION)
            file.write(png.insert_chunks(buffer.getvalue(), chunks))
            return
        shape, strips = self._stored_strips()
        png.write(file, shape, photo.pixels.dtype, strips, chunks)

    def _write_tiff(self, file):
        photo = self.photo
        shape, strips = self._stored_strips()
        if not self.keep:
            tags = {}
        elif photo.format == "tiff":
            tags = dict(photo.raw_metadata)
            if tiff.XMP in tags:
                kind, packet = tags[tiff.XMP]
                tags[tiff.XMP] = (kind, self._true_xmp(packet))
            if tiff.PHOTOSHOP in tags:
                kind, block = tags[tiff.PHOTOSHOP]
                block = thumbnail.without_photoshops(block)
                tags[tiff.PHOTOSHOP] = (kind, block)
        else:
            tags = tiff.tags_of_exif(photo.exif, self._xmp())
        tiff.write(
            file,
            shape,
            photo.pixels.dtype,
            strips,
            tags=tags,
            icc=photo.icc,
            orientation=self.turned,
            compress=photo.encoding.get("compress", True),
        )

    def _write_by_pillow(self, file):
        if self.kind == "jpeg":
            self._write_jpeg(file)
            return
        points = self.photo.code_points
        options = {"icc_profile": self.icc}
        said_by_boxes = points and self.kind in ("avif", "heic")
        if said_by_boxes:
            options["icc_profile"] = None
        if self.kind == "heic":
            import_extra("pillow_heif", "heic").register_heif_opener()
            if said_by_boxes:
                options["save_nclx_profile"] = True
                options["color_primaries"] = points.primaries
                options["transfer_characteristics"] = points.transfer
        elif self.kind == "bmp":
            options = {}
            self._note_bmp()
        if self.kind in ("webp", "avif", "heic"):
            options["quality"] = self.quality or QUALITY
            exif = self._exif()
            if exif:
                options["exif"] = b"Exif\0\0" + exif
            if self._xmp():
                options["xmp"] = self._xmp()
        if self.kind == "webp":
            lossless = self.photo.encoding.get("lossless", False)
            options["lossless"] = lossless and self.quality is None
            options["exact"] = True
        elif self.kind == "avif":
            options["subsampling"] = self.subsampling or "4:4:4"
        buffer = io.BytesIO()
        if self.kind == "heic" and self.photo.pixels.dtype == np.uint16:
            self._deep_heic().save(buffer, **options)
        else:
            name = formats.FORMATS[self.kind][0]
            self._image().save(buffer, name, **options)
        data = buffer.getvalue()
        file.write(cicp.in_boxes(data, points) if said_by_boxes else data)

    def _deep_heic(self):
        """An image of pillow_heif of more than 8 bits a channel."""
        plugin = import_extra("pillow_heif", "heic")
        pixels = self.photo.pixels.array()
        if pixels.shape[2] == 2:
            pixels = pixels[..., [0, 0, 0, 1]]
        height, width, channels = pixels.shape
        mode = {1: "L;16", 3: "RGB;16", 4: "RGBA;16"}[channels]
        return plugin.from_bytes(mode, (width, height), pixels.tobytes())

    def _note_bmp(self):
        """What a BMP has no place for."""
        photo = self.photo
        lost = {"alpha": photo.has_alpha}
        if self.keep:
            lost["EXIF"] = self._exif() is not None
            lost["XMP"] = photo.xmp
        lost = [name for name, there in lost.items() if there]
        if lost:
            photo.notes.append(f"{', '.join(lost)} cannot be kept in BMP")

    def _write_jpeg(self, file):
        photo = self.photo
        if photo.has_alpha:
            photo.notes.append("alpha cannot be kept in JPEG")
        options = dict(photo.encoding) if photo.format == "jpeg" else {}
        if self.quality is not None or "qtables" not in options:
            options.pop("qtables", None)
            options["quality"] = self.quality or QUALITY
        if self.subsampling is not None:
            options["subsampling"] = SUBSAMPLINGS[self.subsampling]
        options.setdefault("subsampling", 0)
        if photo.colours == 1:
            options.pop("subsampling")
        buffer = io.BytesIO()
        self._image().save(buffer, "JPEG", **options)
        if photo.format == "jpeg":
            segments = [
                self._true_segment((marker, body))
                for marker, body in photo.raw_metadata
                if self.keep or body.startswith(b"ICC_PROFILE\0")
            ]
            segments = [
                segment
                for segment in segments
                if not jpeg.is_claim(segment) and not jpeg.is_gain_map(segment)
            ]
            if photo.icc is None:
                segments = [
                    segment
                    for segment in segments
                    if not segment[1].startswith(b"ICC_PROFILE\0")
                ]
        else:
            segments, too_long = jpeg.new_segments(
                self._exif(), self._xmp(), photo.icc
            )
            for name in too_long:
                photo.notes.append(f"its {name} is too long for JPEG; not kept")
        file.write(jpeg.insert_segments(buffer.getvalue(), segments))
        if self.keep:
            file.write(photo.trailer)

    def _image(self):
        """Pillow's image of the stored pixels, 8 bits a channel."""
        from PIL import Image

        rows = self.photo.pixels
        height, width, channels = rows.shape
        if self.kind == "jpeg" or self.kind == "bmp":
            channels = self.photo.colours
        stored = orientation.upright_size(height, width, self.turned)
        image = Image.new(_MODES[channels], stored[::-1])
        for top, strip in rows.strips():
            strip = self._in_srgb(strip[..., :channels])
            if strip.dtype == np.uint16:
                strip = (
                    (strip.astype(np.uint32) * 255 + 32767) // 65535
                ).astype(np.uint8)
            box = orientation.stored_box(
                top, top + len(strip), height, width, self.turned
            )
            strip = orientation.orient(strip, orientation.inverse(self.turned))
            strip = strip[..., 0] if channels == 1 else strip
            image.paste(Image.fromarray(np.ascontiguousarray(strip)), box[:2])
        return image

    def _in_srgb(self, strip):
        if self.space.is_identity:
            return strip
        colours, top = self.photo.colours, np.iinfo(strip.dtype).max
        srgb = self.space.to_srgb(strip[..., :colours].astype(np.float32) / top)
        strip = strip.copy()
        strip[..., :colours] = np.rint(np.clip(srgb, 0, 1) * top)
        return strip

    def _note_lost(self):
        """What lies beside EXIF, XMP and ICC stays in its own format."""
        photo, lost = self.photo, []
        raw_metadata = photo.raw_metadata or ()
        if photo.format == "jpeg":
            markers = {marker for marker, _ in raw_metadata}
            names = {0xED: "IPTC", 0xFE: "the comment"}
            lost = [name for code, name in names.items() if code in markers]
            if jpeg.has_extended_xmp(raw_metadata):
                lost.append("the extended part of XMP")
            if photo.trailer:
                lost.append("the video or data behind the picture")
        elif photo.format == "png":
            if any(map(png.is_plain_text, raw_metadata)):
                lost = ["text beside XMP"]
        elif photo.format == "tiff":
            names = {tiff.IPTC: "IPTC", tiff.PHOTOSHOP: "Photoshop's data"}
            lost = [
                name for code, name in names.items() if code in raw_metadata
            ]
        if lost:
            photo.notes.append(
                f"{', '.join(lost)} cannot be kept in {self.kind}"
            )


def _with_orientation(exif, value):
    """The EXIF block with another orientation, all else byte for byte."""
    if tiff.orientation_of(exif) is None:
        return exif
    block = bytearray(exif)
    with contextlib.suppress(struct.error):  # Broken behind what was found.
        for at, tag, kind, count in tiff.entries(block):
            if tag == tiff.ORIENTATION and count == 1:
                tiff.put(block, at, kind, value)
    return bytes(block)
