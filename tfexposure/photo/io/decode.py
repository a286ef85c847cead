"""From a file to a `Photo`, for files that cannot be trusted."""

import contextlib
import importlib
import io
import os
import pathlib
import re
import struct
import warnings

import numpy as np

from tfexposure.errors import UserError, import_extra
from tfexposure.imaging.files import DEFLATED_PER_BYTE, JPEG_PIXELS_PER_BYTE
from tfexposure.photo.io import (
    cicp,
    colour,
    deep_tiff,
    formats,
    jpeg,
    orientation,
    png,
    tiff,
    xmp,
)
from tfexposure.photo.io.photo import Limits, Photo
from tfexposure.photo.io.pixel_buffer import PixelBuffer

_PLUGINS = {
    "jpeg": ("JpegImagePlugin", "JpegImageFile"),
    "png": ("PngImagePlugin", "PngImageFile"),
    "tiff": ("TiffImagePlugin", "TiffImageFile"),
    "webp": ("WebPImagePlugin", "WebPImageFile"),
    "avif": ("AvifImagePlugin", "AvifImageFile"),
    "bmp": ("BmpImagePlugin", "BmpImageFile"),
}

# What an alpha plane of AVIF or HEIC is called.
_ALPHA = (b"auxiliary:alpha", b"aux:alpha", b"hevc:2015:auxid:1\0")
# What marks content credentials in any format: the UUID of their box.
_CREDENTIALS = b"c2pa\x00\x11\x00\x10\x80\x00\x00\xaa\x00\x38\x9b\x71"

_END_MARKER = b"\xff\xd9"

# What libraries say of codings that they do not know.
_NOT_READ = re.compile(
    "unsupported|not supported|not implemented|no decod|cannot handle|"
    "unknown (pixel|comp)",
    re.IGNORECASE,
)
# What Pillow, which wraps them, passes on of Python's own errors.
_OF_PYTHON = re.compile(
    "unpack|operand|instances? of|object|index out of range|"
    r"format requires|too large|could not convert|^-?\d+$"
)
# Pillow mode -> mode of the kept pixels. Others are refused.
_MODES = {
    "1": "L",
    "L": "L",
    "LA": "LA",
    "La": "LA",
    "P": "RGB",
    "PA": "RGBA",
    "RGB": "RGB",
    "RGBX": "RGB",
    "RGBA": "RGBA",
    "RGBa": "RGBA",
    "CMYK": "RGB",
    "YCbCr": "RGB",
    "I;16": "I;16",
    "I;16L": "I;16",
    "I;16B": "I;16",
}
_CHANNELS = {"L": 1, "LA": 2, "RGB": 3, "RGBA": 4, "I;16": 1}


def read_photo(source, limits=None, name=None):
    """Decodes a photo with all it carries.

    Args:
        source: path, or bytes of a file.
        limits: `Limits`; `None` for the defaults.
        name: what to call it in messages; the path if `None`.

    Returns:
        a `Photo` with upright pixels.

    Raises:
        UserError: one line naming the file and what is wrong with it.
    """
    limits = limits or Limits()
    path = None
    if isinstance(source, bytes):
        name, data = name or "input", source
        _check_bytes(name, len(data), limits)
    else:
        name = name or os.fspath(source)
        path = pathlib.Path(source)
        data = _read_file(path, name, limits)
    kind = formats.identify(data, name)
    # Without this every broken file would print Pillow's own warnings.
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            photo = _decode_or_mend(data, kind, name, limits)
            photo.path = path
            return photo
        except UserError as error:
            if name in str(error):
                raise
            raise UserError(f"{name}: {error}") from error
        except MemoryError as error:
            raise UserError(f"{name}: not enough memory") from error
        except Exception as error:  # A stranger's bytes fail in many ways.
            raise UserError(f"{name}: {_why(error, kind)}") from error


def _why(error, kind):
    """Says in one line why a file of a known format could not be decoded."""
    reason = str(error).strip().split("\n")[0]
    reason = "".join(c if c.isprintable() else "?" for c in reason)
    if type(error).__name__ == "DecompressionBombError":
        return f"more pixels than Pillow opens: {reason}"
    known = isinstance(error, (OSError, RuntimeError, SyntaxError))
    if isinstance(error, NotImplementedError) or (
        known and _NOT_READ.search(reason)
    ):
        return (
            f"{formats.FORMATS[kind][0]} of a kind that is not read "
            f"({reason}); save it as PNG or TIFF first"
        )
    if not reason or _is_of_python(error, reason):
        reason = "its parts contradict each other"
    return f"damaged or cut short, cannot be decoded: {reason}"


def _is_of_python(error, reason):
    """Whether an error's words are about a program rather than a file."""
    program = (
        struct.error, LookupError, TypeError, AttributeError, ArithmeticError,
        AssertionError,
    )  # fmt: skip
    return isinstance(error, program) or bool(_OF_PYTHON.search(reason))


def _read_file(path, name, limits):
    try:
        if path.is_file():
            _check_bytes(name, path.stat().st_size, limits)
        return path.read_bytes()
    except OSError as error:
        raise UserError(f"{name}: cannot be read: {error.strerror}") from error


def _check_bytes(name, size, limits):
    if size > limits.bytes:
        raise UserError(
            f"{name}: {size:,} bytes, more than the {limits.bytes:,} allowed "
            "(--max_bytes)"
        )


def _check_size(name, width, height, limits):
    if width < 1 or height < 1:
        raise UserError(f"{name}: claims a size of {width} x {height} pixels")
    if width * height > limits.pixels:
        raise UserError(
            f"{name}: {width} x {height} pixels, more than the "
            f"{limits.pixels:,} allowed (--max_pixels)"
        )


def _check_possible(name, kind, width, height, size):
    """Refuses a header that promises more than so few bytes can hold."""
    if kind == "jpeg":
        most = JPEG_PIXELS_PER_BYTE * size
    elif kind == "png":
        # A pixel takes a bit at least.
        most = 8 * DEFLATED_PER_BYTE * size
    else:
        return
    if width * height > most:
        raise UserError(
            f"{name}: claims {width} x {height} pixels, more than {size:,} "
            "bytes can hold"
        )


def _decode_or_mend(data, kind, name, limits):
    """Decodes; a PNG of which only what lies beside pixels is damaged, too."""
    try:
        return _decode(data, kind, name, limits)
    except (SyntaxError, ValueError, OSError):
        if kind != "png":
            raise
        for alone in (False, True):
            mended = png.without_damage(data, alone)
            if mended is None:
                break
            with contextlib.suppress(SyntaxError, ValueError, OSError):
                photo = _decode(mended, kind, name, limits)
                photo.data = data
                photo.losses.append(
                    "damaged parts beside its pixels were not kept"
                )
                return photo
        raise


def _decode(data, kind, name, limits):
    if kind == "png" and png.is_deep(data):
        return _decode_deep_png(data, name, limits)
    original = stored = data
    if kind == "jpeg" and jpeg.kind_not_read(data):
        raise UserError(
            f"{name}: {jpeg.kind_not_read(data)} is not read; save it as PNG "
            "or plain JPEG first"
        )
    if kind == "tiff":
        if 43 in data[2:4]:
            stored = data = tiff.classic_copy(data)
        data, deep = deep_tiff.ready_for_pillow(data, name)
    else:
        deep = None
    image = _open_tiff(data, name) if kind == "tiff" else _open(kind, data)
    width, height = (deep.width, deep.height) if deep else image.size
    _check_size(name, width, height, limits)
    _check_possible(name, kind, width, height, len(data))
    # A JPEG's further pictures are previews or the other eye.
    if kind != "jpeg" and getattr(image, "n_frames", 1) > 1:
        raise UserError(
            f"{name}: holds {image.n_frames} pictures (animation or pages); "
            "only files of one picture are corrected"
        )
    photo = Photo(name, None, kind, data=original)
    _read_metadata(photo, image, stored)
    if kind == "tiff":
        stated = tiff.orientation_of(stored)
        photo.orientation = stated or orientation.of_xmp(photo.xmp) or 1
        _note_extra_samples(photo, image, stored, deep)
    if deep:
        _load_tiff(image, stored)
        strips = deep_tiff.strips(image, deep)
        shape = (deep.height, deep.width, deep.channels)
        photo.pixels = _stored_rows(strips, shape, photo.orientation)
        return photo
    if kind == "heic" and image.info.get("bit_depth", 8) > 8:
        return _with_deep_heic(photo, image.info["bit_depth"])
    mode = _kept_mode(image, name)
    if image.mode == "CMYK":
        photo.losses.append("was CMYK; written as RGB")
    elif image.mode in ("P", "PA"):
        photo.losses.append("had a palette; written in full colour")
    if kind == "jpeg":
        image = _loaded_jpeg(image, photo)
    elif kind == "tiff":
        _load_tiff(image, stored)
    else:
        _load(image)
    if kind == "tiff" and mode == "I;16":
        photo.encoding["bits"] = deep_tiff.bits_of(stored)
    photo.pixels = _image_rows(image, mode, photo)
    if image.mode == "CMYK":
        photo.icc = None
    _drop_foreign_profile(photo)
    return photo


def _with_deep_heic(photo, depth):
    """Reads more than 8 bits per channel, stretched to 16."""
    plugin = import_extra("pillow_heif", "heic")
    image = plugin.open_heif(
        photo.data, convert_hdr_to_8bit=False, hdr_to_16bit=True
    )
    pixels = np.asarray(image)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    white = (2**depth - 1) << (16 - depth)
    photo.encoding["depth"] = depth
    photo.pixels = PixelBuffer(*pixels.shape, np.uint16)
    for top in range(0, len(pixels), 256):
        strip = pixels[top : top + 256] * (65535 / white)
        photo.pixels.write(top, np.rint(strip).astype(np.uint16))
    _drop_foreign_profile(photo)
    return photo


def _drop_foreign_profile(photo):
    """A grey profile says nothing of colours; left where it is, it lies."""
    if photo.colours == 3 and colour.describes(photo.icc) not in ("", "RGB"):
        kind = colour.describes(photo.icc)
        photo.losses.append(f"its ICC profile was for {kind} data; not kept")
        photo.icc = None


def _open(kind, data):
    """Opens by the one plugin meant, past Pillow's global pixel limit."""
    if kind == "heic":
        plugin = import_extra("pillow_heif", "heic")
        return plugin.HeifImageFile(io.BytesIO(data))
    module, name = _PLUGINS[kind]
    plugin = importlib.import_module(f"PIL.{module}")
    if kind == "avif" and not plugin.SUPPORTED:
        raise UserError(
            "this Pillow was built without AVIF; Pillow 11.3 or newer from "
            "PyPI has it"
        )
    return getattr(plugin, name)(io.BytesIO(data))


def _open_tiff(data, name):
    try:
        return _open("tiff", data)
    except (SyntaxError, KeyError) as error:
        raise UserError(
            f"{name}: a TIFF of a kind that is not read "
            f"({deep_tiff.kind_of(data)}); save it as a plain TIFF of 8 or 16 "
            "bits first"
        ) from error


def _load_tiff(image, data):
    """Loads it, or names its compression if that may be why it fails."""
    try:
        _load(image)
    except OSError as error:
        if name := deep_tiff.rare_compression(data):
            raise UserError(
                f"damaged, or compressed in a way that is not read ({name}); "
                "save it uncompressed or with LZW first"
            ) from error
        raise


def _loaded_jpeg(image, photo):
    """Loads a JPEG; one that lacks nothing but its end marker, too."""
    try:
        _load(image)
        return image
    except OSError:
        whole = _open("jpeg", photo.data + _END_MARKER)
        _load(whole)
        if not _reaches_its_corner(photo.data):
            raise
        photo.notes.append(
            "its end marker is missing, and perhaps some of its last block"
        )
        return whole


def _reaches_its_corner(data):
    """Whether a JPEG without end marker has its last block.

    Blocks that are missing are decoded as a flat grey of 128. Scans of
    progressive ones each go over the whole picture: there the last bytes of
    the last scan have to matter to the last block.
    """
    image = _open("jpeg", data + _END_MARKER)
    if image.mode not in ("L", "RGB"):
        return False
    progressive = image.info.get("progressive")
    if not progressive:
        image.draft("L", image.size)  # Colours reach over blocks' borders.
    corner = _last_block(image)
    if not progressive:
        return corner.getextrema() != (128, 128)
    before = _last_block(_open("jpeg", data[:-3] + _END_MARKER))
    return jpeg.has_all_scans(data) and corner.tobytes() != before.tobytes()


def _last_block(image):
    _load(image)
    width, height = image.size
    corner = ((width - 1) // 8 * 8, (height - 1) // 8 * 8, width, height)
    return image.crop(corner)


def _load(image):
    image.load()
    if not image.im:
        raise ValueError("it holds no picture")


def _kept_mode(image, name):
    if image.mode not in _MODES:
        raise UserError(
            f"{name}: pixels of kind {image.mode} are not handled; 8 or 16 "
            "bits per channel, grey, RGB, CMYK or palette are"
        )
    mode = _MODES[image.mode]
    if "transparency" in image.info and mode in ("L", "RGB"):
        return {"L": "LA", "RGB": "RGBA"}[mode]
    return mode


def _image_rows(image, mode, photo):
    """Moves Pillow's pixels, upright, into `PixelBuffer`, strip by strip."""
    height, width = orientation.upright_size(
        image.height, image.width, photo.orientation
    )
    dtype = np.uint16 if mode == "I;16" else np.uint8
    convert = _converter(image, mode, photo)
    rows = PixelBuffer(height, width, _CHANNELS[mode], dtype)
    for top in range(0, height, 256):
        bottom = min(top + 256, height)
        box = orientation.stored_box(
            top, bottom, height, width, photo.orientation
        )
        strip = np.asarray(convert(image.crop(box)))
        strip = strip.reshape(*strip.shape[:2], -1)
        rows.write(top, orientation.orient(strip, photo.orientation))
    image.close()
    return rows


def _converter(image, mode, photo):
    bits = photo.encoding.pop("bits", 16)
    if bits != 16:
        factor = 65535 / (2**bits - 1)
        return lambda part: np.rint(np.asarray(part) * factor).astype(np.uint16)
    if image.mode == mode:
        return lambda part: part
    if image.mode == "CMYK" and photo.icc:
        try:
            from PIL import ImageCms

            transform = ImageCms.buildTransform(
                io.BytesIO(photo.icc),
                ImageCms.createProfile("sRGB"),
                "CMYK",
                "RGB",
            )
            return lambda part: ImageCms.applyTransform(part, transform)
        except Exception as error:  # The profile is a stranger's, too.
            photo.notes.append(f"its ICC profile is unusable ({error})")
    if image.mode.startswith("I;16"):
        return lambda part: np.asarray(part).astype(np.uint16)
    if mode == "LA" and image.mode in ("1", "L"):
        # Pillow knows a transparent grey only by way of colour.
        return lambda part: np.asarray(part.convert("RGBA"))[..., [0, 3]]
    return lambda part: part.convert(mode)


def _read_metadata(photo, image, stored=None):
    info = image.info
    photo.icc = info.get("icc_profile") or None
    exif = info.get("exif")
    if exif:
        photo.exif = exif.removeprefix(b"Exif\0\0") or None
    packet = info.get("xmp")
    if packet:
        photo.xmp = packet.encode() if isinstance(packet, str) else packet
    if _CREDENTIALS in photo.data:
        photo.losses.append("content credentials (C2PA) do not hold; removed")
    if photo.format == "tiff":
        try:
            photo.raw_metadata = tiff.read_tags(stored)
        except (ValueError, struct.error):
            photo.losses.append("its tags are damaged and were not kept")
            photo.raw_metadata = {}
        # Pillow was told that it is upright; the file may say otherwise.
        _, photo.xmp = photo.raw_metadata.get(tiff.XMP, (None, photo.xmp))
        _note_tiff_tags(photo)
        photo.encoding["compress"] = info.get("compression") != "raw"
        return
    if photo.format == "png":
        _read_png_chunks(photo, info)
    elif photo.format in ("avif", "heic"):
        _read_boxes(photo, info)
    if photo.code_points:
        photo.code_points.check(photo.name)
    photo.orientation = _orientation(photo)
    if photo.format == "jpeg":
        _read_jpeg_coding(photo, image)
    elif photo.format == "webp":
        photo.encoding["lossless"] = _is_lossless_webp(photo.data)


def _read_jpeg_coding(photo, image):
    from PIL import JpegImagePlugin

    segments = jpeg.read_segments(photo.data)
    if jpeg.misses(segments, photo.exif, photo.xmp, photo.icc):
        # Pillow reads on behind a damaged one.
        segments, _ = jpeg.new_segments(photo.exif, photo.xmp, photo.icc)
        photo.losses.append(
            "a segment is damaged; only EXIF, XMP and the ICC profile were kept"
        )
    photo.raw_metadata = jpeg.kept_segments(segments)
    pictures, photo.trailer = jpeg.trailer(photo.data)
    if xmp.has_gain_map(photo.xmp) or any(map(jpeg.is_gain_map, segments)):
        photo.losses.append("its gain map (HDR) was not kept")
    elif pictures or image.info.get("mp"):
        photo.losses.append("pictures behind the first were not kept")
    if image.info.get("jfif_unit") in (1, 2):
        photo.encoding["dpi"] = image.info.get("dpi", (0, 0))
    if image.mode == "CMYK":
        return  # Its tables are for four inks.
    photo.encoding["qtables"] = image.quantization
    photo.encoding["progressive"] = bool(image.info.get("progressive"))
    subsampling = JpegImagePlugin.get_sampling(image)
    if subsampling >= 0:
        photo.encoding["subsampling"] = subsampling


def _is_lossless_webp(data):
    """Whether the pixels lie in a VP8L chunk, whatever lies before them."""
    at = 12
    while at + 8 <= len(data):
        kind, size = struct.unpack_from("<4sI", data, at)
        if kind in (b"VP8L", b"VP8 "):
            return kind == b"VP8L"
        at += 8 + size + size % 2
    return False


def _read_boxes(photo, info):
    """Colours and depth of an AVIF or HEIC; a profile outranks numbers."""
    further = [info.get(name) for name in ("aux", "depth_images")]
    alpha = sum(map(photo.data.count, _ALPHA))
    if any(further) or photo.data.count(b"auxC") > alpha:
        photo.losses.append(
            "pictures beside the first (gain map, depth) were not kept"
        )
    if b"mpvd" in photo.data:
        photo.losses.append("its video was not kept")
    if not photo.icc:
        photo.code_points = cicp.of_boxes(photo.data)
        if photo.code_points:
            photo.icc = photo.code_points.profile()
            _note_unknown_colours(photo)
    depth = _avif_depth(photo.data) if photo.format == "avif" else 8
    if depth > 8:
        photo.losses.append(f"had {depth} bits per channel; cut to 8")


def _note_unknown_colours(photo):
    points = photo.code_points
    if not points.is_srgb and photo.icc is None:
        photo.notes.append(
            f"its colours are of an unknown kind (primaries {points.primaries},"
            f" transfer {points.transfer}); taken for sRGB"
        )


def _avif_depth(data):
    """Bits per channel by the first av1C box; 8 if there is none."""
    at = data.find(b"av1C")
    if at < 0 or len(data) < at + 7:
        return 8
    flags = data[at + 6]
    return (12 if flags & 0x20 else 10) if flags & 0x40 else 8


def _read_png_chunks(photo, info):
    """EXIF and XMP of a PNG, which may lie behind its pixels."""
    photo.raw_metadata = png.ancillary_chunks(photo.data)
    for kind, body in photo.raw_metadata:
        if kind == b"eXIf":
            photo.exif = body.removeprefix(b"Exif\0\0") or None
    raw = info.get("Raw profile type exif")  # As ImageMagick used to write.
    if raw and not photo.exif:
        try:
            block = bytes.fromhex("".join(raw.split("\n")[3:]))
            photo.exif = block.removeprefix(b"Exif\0\0") or None
        except ValueError:
            photo.notes.append("its EXIF block is damaged; carried along")
    for kind, body in photo.raw_metadata:
        if kind == b"cICP" and cicp.of_chunk(body):  # Outranks a profile.
            photo.code_points = cicp.of_chunk(body)
            photo.icc = photo.code_points.profile()
            _note_unknown_colours(photo)
    packets = filter(None, map(png.xmp_of, photo.raw_metadata))
    photo.xmp = next(packets, photo.xmp)


def _orientation(photo):
    """Of the stored pixels: EXIF's word, else that of XMP.

    AVIF and HEIC say it in boxes of their own, which their readers put into
    the EXIF block; XMP does not count there.
    """
    if photo.exif and _is_broken(photo.exif):
        photo.notes.append("its EXIF block is damaged; carried along")
    stated = tiff.orientation_of(photo.exif) if photo.exif else None
    if stated is None and photo.format not in ("avif", "heic"):
        stated = orientation.of_xmp(photo.xmp)
    return stated or 1


def _is_broken(exif):
    try:
        return exif[:2] not in (b"II", b"MM") or not list(tiff.entries(exif))
    except (ValueError, struct.error):
        return True


def _note_tiff_tags(photo):
    """Layers would go on showing the old photo; maker notes have moved."""
    if photo.raw_metadata.pop(tiff.LAYERS, None):
        photo.losses.append("its layers were not kept, only the whole picture")
    _, exif = photo.raw_metadata.get(tiff.EXIF_IFD, (0, {}))
    if tiff.MAKER_NOTE in exif:
        photo.losses.append(
            "its maker note was moved; not all programs can read it there"
        )


def _note_extra_samples(photo, image, data, deep):
    """Says what becomes of channels beside colours and alpha."""
    extra = deep_tiff.extra_samples(data)
    if deep:
        dropped = deep.samples - deep.channels
    else:
        kept = {"RGBX": 3}.get(image.mode, len(image.getbands()))
        colours = kept - (image.mode in ("LA", "La", "PA", "RGBA", "RGBa"))
        dropped = max(len(extra) - (kept - colours), 0)
    if dropped:
        photo.losses.append(
            f"had {dropped} channel(s) beside colours and alpha; not kept"
        )
    if extra[:1] == [deep_tiff.ASSOCIATED]:
        photo.losses.append(
            "colours were stored multiplied by alpha; written without"
        )


def _decode_deep_png(data, name, limits):
    width, height, *_ = png.header(data)
    _check_size(name, width, height, limits)
    channels, strips = png.read_deep(data)
    photo = Photo(name, None, "png", data=data)
    # Opening reads what lies before the pixels and leaves those alone.
    _read_metadata(photo, _open("png", data))
    photo.pixels = _stored_rows(
        strips, (height, width, channels), photo.orientation
    )
    return photo


def _stored_rows(strips, shape, turned):
    """Collects strips in stored order into upright `PixelBuffer` of 16 bits."""
    height, width, channels = shape
    rows = PixelBuffer(height, width, channels, np.uint16)
    if turned == 1:
        for top, strip in strips:
            rows.write(top, strip)
        return rows
    stored = np.empty(shape, np.uint16)
    for top, strip in strips:
        stored[top : top + len(strip)] = strip
    upright = orientation.orient(stored, turned)
    return PixelBuffer.of_array(np.ascontiguousarray(upright))
