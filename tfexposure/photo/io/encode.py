"""From a `Photo` to a file, whole or not at all."""

import io
import os

import numpy as np

from tfexposure.errors import (
    UserError,
    import_extra,
)
from tfexposure.photo.io import (
    cicp,
    colour,
    files,
    formats,
    jpeg,
    orientation,
    png,
    tiff,
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
        had = photo.encoding.get("depth", 8 * photo.rows.dtype.itemsize)
        kept = {"png": 16, "tiff": 16, "heic": 10}.get(self.kind, 8)
        if had > kept:
            photo.notes.append(
                f"{had} bits per channel were cut to the {kept} of {self.kind}"
            )
        self._give_up_profile()
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
        rows = self.photo.rows
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
        """EXIF of the photo, its orientation that of the written pixels."""
        if not self.keep:
            return None
        if self.photo.format == "tiff":
            return tiff.exif_of_tags(self.photo.carried)
        exif = self.photo.exif
        if exif and self.turned != self.photo.orientation:
            return _with_orientation(exif, self.turned)
        return exif

    def _xmp(self):
        """XMP of the photo, its orientation that of the written pixels."""
        if not self.keep:
            return None
        return orientation.in_xmp(self.photo.xmp, self.turned)

    def _turned_chunk(self, chunk):
        """A chunk of PNG as it is, but for a wrong orientation in XMP."""
        xmp = png.xmp_of(chunk)
        if orientation.of_xmp(xmp) in (None, self.turned):
            return chunk
        return png.xmp_chunk(orientation.in_xmp(xmp, self.turned))

    def _write_png(self, file):
        photo = self.photo
        if photo.format == "png":
            chunks = [
                self._turned_chunk((kind, body))
                for kind, body in photo.carried
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
            self._note_lost_iptc()
        if photo.rows.dtype == np.uint8:
            buffer = io.BytesIO()
            self._image().save(buffer, "PNG", compress_level=png.COMPRESSION)
            file.write(png.insert_chunks(buffer.getvalue(), chunks))
            return
        shape, strips = self._stored_strips()
        png.write(file, shape, photo.rows.dtype, strips, chunks)

    def _write_tiff(self, file):
        photo = self.photo
        shape, strips = self._stored_strips()
        if not self.keep:
            tags = {}
        elif photo.format == "tiff":
            tags = dict(photo.carried)
            if photo.xmp:
                tags[tiff.XMP] = (tags[tiff.XMP][0], self._xmp())
        else:
            tags = tiff.tags_of_exif(photo.exif, self._xmp())
            self._note_lost_iptc()
        tiff.write(
            file,
            shape,
            photo.rows.dtype,
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
            self._note_lost_iptc()
        if self.kind == "webp":
            lossless = self.photo.encoding.get("lossless", False)
            options["lossless"] = lossless and self.quality is None
            options["exact"] = True
        elif self.kind == "avif":
            options["subsampling"] = self.subsampling or "4:4:4"
        buffer = io.BytesIO()
        if self.kind == "heic" and self.photo.rows.dtype == np.uint16:
            self._deep_heic().save(buffer, **options)
        else:
            name = formats.FORMATS[self.kind][0]
            self._image().save(buffer, name, **options)
        data = buffer.getvalue()
        file.write(cicp.in_boxes(data, points) if said_by_boxes else data)

    def _deep_heic(self):
        """An image of pillow_heif of more than 8 bits a channel."""
        plugin = import_extra("pillow_heif", "heic")
        pixels = self.photo.rows.array()
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
            self._note_lost_iptc()
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
                (marker, jpeg.with_orientation(body, self.turned))
                for marker, body in photo.carried
                if self.keep or body.startswith(b"ICC_PROFILE\0")
            ]
            if photo.icc is None:
                segments = [
                    segment
                    for segment in segments
                    if not segment[1].startswith(b"ICC_PROFILE\0")
                ]
        else:
            segments = jpeg.new_segments(self._exif(), self._xmp(), photo.icc)
        file.write(jpeg.insert_segments(buffer.getvalue(), segments))

    def _image(self):
        """Pillow's image of the stored pixels, 8 bits a channel."""
        from PIL import Image

        rows = self.photo.rows
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

    def _note_lost_iptc(self):
        photo = self.photo
        carried = photo.carried or ()
        if photo.format == "jpeg":
            lost = any(marker == 0xED for marker, _ in carried)
        else:
            lost = photo.format == "tiff" and 33723 in carried
        if lost and self.keep and photo.format != self.kind:
            photo.notes.append(f"IPTC cannot be kept in {self.kind}")


def _with_orientation(exif, value):
    """The EXIF block with another orientation, all else byte for byte."""
    block = bytearray(exif)
    for at, tag, kind, count in tiff.entries(block):
        if tag == tiff.ORIENTATION and count == 1:
            tiff.put(block, at, kind, value)
    return bytes(block)
