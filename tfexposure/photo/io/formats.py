"""The file formats the photo tool reads and writes, told by their content."""

import pathlib

from tfexposure.errors import UserError

# name -> (Pillow's name, suffixes; the first is the one written).
FORMATS = {
    "jpeg": ("JPEG", (".jpg", ".jpeg", ".jpe", ".jfif", ".mpo")),
    "png": ("PNG", (".png",)),
    "tiff": ("TIFF", (".tif", ".tiff")),
    "webp": ("WEBP", (".webp",)),
    "avif": ("AVIF", (".avif",)),
    "heic": ("HEIF", (".heic", ".heif", ".hif")),
    "bmp": ("BMP", (".bmp", ".dib")),
}

SUFFIXES = {
    suffix: name for name, (_, known) in FORMATS.items() for suffix in known
}

# Raw files wear a TIFF header, behind which Pillow finds only a thumbnail.
RAW_SUFFIXES = frozenset(
    ".3fr .arw .cr2 .cr3 .crw .dcr .dng .erf .fff .iiq .k25 .kdc .mef .mos "
    ".mrw .nef .nrw .orf .pef .raf .raw .rw2 .rwl .sr2 .srf .srw .x3f".split()
)
_RAW = "camera raw files are not read; develop it to a 16-bit TIFF first"
_JPEG_2000 = "JPEG 2000 is not read; save it as TIFF or PNG first"
_JPEG_XL = "JPEG XL is not read; save it as PNG or JPEG first (djxl does)"
_GIF = "GIF is not read (256 colours, perhaps animated); save it as PNG first"
_LAYERED = "layered files of editors are not read; export it as TIFF or PNG"
_LIGHT = "files of light without white (HDR) are not read; tone-map it first"
_OTHER = "not a format of photos that is read; save it as TIFF or PNG first"
_VECTOR = "drawings and pages (SVG, EPS, WMF) are not photos; export it as PNG"
_PDF = "a PDF is not a photo; export its pictures first"
_VIDEO = "videos are not read; export a frame as PNG or JPEG first"
_SOUND = "a sound, not a photo"
_ARCHIVE = "an archive or document (ZIP, 7z, gzip, RAR); unpack its pictures"
_PAGE = "a page of the web, not a photo; the download went wrong"
_POINTER = "a pointer of Git LFS, not the photo; fetch it with git lfs pull"
_SIDECAR = "XMP beside a photo, not the photo"
_MAC = "what macOS keeps beside a file (AppleDouble), not the photo"
_SCIENCE = "medical and scientific pictures are not read; export it as TIFF"
_ANIMATED = "animations (MNG) are not read; save a frame as PNG first"
_IPHONE = "PNG as Xcode packs it (CgBI) is not read; unpack it by pngcrush"
_ZEROS = "begins with zeros alone: it was never written, or its disk lost it"

# Suffix -> what photos of kinds that are not read are, and what to do.
UNREAD_SUFFIXES = dict.fromkeys(RAW_SUFFIXES, _RAW) | {
    ".gif": _GIF,
    ".jp2": _JPEG_2000, ".j2k": _JPEG_2000, ".jpf": _JPEG_2000,
    ".jpx": _JPEG_2000, ".j2c": _JPEG_2000, ".jpc": _JPEG_2000,
    ".jxl": _JPEG_XL,
    ".psd": _LAYERED, ".psb": _LAYERED, ".xcf": _LAYERED, ".ora": _LAYERED,
    ".exr": _LIGHT, ".hdr": _LIGHT, ".pfm": _LIGHT, ".jxr": _LIGHT,
    ".ppm": _OTHER, ".pgm": _OTHER, ".pnm": _OTHER, ".tga": _OTHER,
    ".qoi": _OTHER, ".bpg": _OTHER, ".ico": _OTHER, ".pcx": _OTHER,
}  # fmt: skip

_AVIF_BRANDS = {b"avif", b"avis"}
_HEIC_BRANDS = {b"heic", b"heix", b"heim", b"heis", b"hevc", b"mif1", b"msf1"}
# First bytes (offset, bytes) of kinds that are not read.
_UNREAD_MAGIC = (
    (0, b"GIF8", _GIF),
    (0, b"\xff\x0a", _JPEG_XL),
    (4, b"JXL ", _JPEG_XL),
    (4, b"JXS ", "JPEG XS is not read; save it as TIFF or PNG first"),
    (4, b"jP  ", _JPEG_2000),
    (0, b"\xff\x4f\xff\x51", _JPEG_2000),
    (0, b"8BPS", _LAYERED),
    (0, b"gimp xcf", _LAYERED),
    (0, b"Paint Shop Pro Im", _LAYERED),
    (0, b"\x76\x2f\x31\x01", _LIGHT),
    (0, b"#?RADIANCE", _LIGHT),
    (0, b"#?RGBE", _LIGHT),
    (0, b"II\xbc\x01", _LIGHT),
    (0, b"FUJIFILMCCD-RAW", _RAW),
    (0, b"IIU\0", _RAW),
    (0, b"IIRO", _RAW),
    (0, b"IIRS", _RAW),
    (0, b"MMOR", _RAW),
    (0, b"FOVb", _RAW),
    (0, b"\0MRM", _RAW),
    (6, b"HEAPCCDR", _RAW),
    (4, b"ftypcrx ", _RAW),
    (0, b"qoif", _OTHER),
    (0, b"BPG\xfb", _OTHER),
    (0, b"FLIF", _OTHER),
    (0, b"\0\0\x01\0", _OTHER),
    (0, b"icns", _OTHER),
    (0, b"DDS ", _OTHER),
    (0, b"\x01\xda", _OTHER),  # SGI.
    (0, b"\x59\xa6\x6a\x95", _OTHER),  # Sun raster.
    (0, b"FORM", _OTHER),  # Amiga's IFF.
    (0, b"AT&TFORM", "DjVu is not read; export its pictures first"),
    (0, b"\x8aMNG", _ANIMATED),
    (0, b"\x8bJNG", _OTHER),
    (0, b"SIMPLE  =", _SCIENCE),
    (128, b"DICM", _SCIENCE),
    (0, b"\x89HDF", _SCIENCE),
    (0, b"%PDF", _PDF),
    (0, b"%!PS", _VECTOR),
    (0, b"\xc5\xd0\xd3\xc6", _VECTOR),  # EPS with a preview.
    (0, b"\xd7\xcd\xc6\x9a", _VECTOR),
    (40, b" EMF", _VECTOR),
    (8, b"AVI ", _VIDEO),
    (8, b"WAVE", _SOUND),
    (0, b"\x1aE\xdf\xa3", _VIDEO),  # Matroska, WebM.
    (0, b"FLV\x01", _VIDEO),
    (0, b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", _VIDEO),  # WMV.
    (0, b"\0\0\x01\xba", _VIDEO),  # MPEG.
    (0, b"\0\0\x01\xb3", _VIDEO),
    (4, b"moov", _VIDEO),
    (4, b"mdat", _VIDEO),
    (4, b"wide", _VIDEO),
    (0, b"OggS", _SOUND),
    (0, b"ID3", _SOUND),
    (0, b"fLaC", _SOUND),
    (0, b"PK\x03\x04", _ARCHIVE),
    (0, b"\x1f\x8b", _ARCHIVE),
    (0, b"Rar!", _ARCHIVE),
    (0, b"7z\xbc\xaf", _ARCHIVE),
    (0, b"\xd0\xcf\x11\xe0", _ARCHIVE),  # Old Office documents.
    (0, b"version https://git-lfs", _POINTER),
    (0, b"\0\x05\x16\x07", _MAC),
)
# Text -> what it is, wherever it stands near the beginning.
_UNREAD_TEXT = (
    (b"<!doctype html", _PAGE),
    (b"<html", _PAGE),
    (b"<svg", _VECTOR),
    (b"<x:xmpmeta", _SIDECAR),
)

ACCEPTED = "JPEG, PNG, TIFF, WebP, AVIF, HEIC and BMP"


def sniff(data):
    """Names the format of a file's first bytes, or `None`."""
    if data[:3] == b"\xff\xd8\xff":
        return "jpeg"
    if data[:8] == b"\x89PNG\r\n\x1a\n":
        return "png"
    if data[:4] in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        return "tiff"
    if data[:4] == b"RIFF" and data[8:12] == b"WEBP":
        return "webp"
    if data[4:8] == b"ftyp":
        brands = {data[i : i + 4] for i in range(8, min(len(data), 64), 4)}
        if brands & _AVIF_BRANDS:
            return "avif"
        if brands & _HEIC_BRANDS:
            return "avif" if b"av01" in data[:4096] else "heic"
    if data[:2] == b"BM":
        return "bmp"
    return None


def identify(data, name):
    """Names the format of a photo, or says why it is refused.

    Args:
        data: bytes of the file.
        name: file name, of which only the suffix counts.

    Returns:
        a key of `FORMATS`.

    Raises:
        UserError: empty, unknown or refused format, or a suffix that names
            another format than the content.
    """
    if not data:
        raise UserError(f"{name}: the file is empty (0 bytes)")
    suffix = pathlib.PurePath(name).suffix.lower()
    found = sniff(data)
    if found is None:
        raise UserError(f"{name}: {_why_unread(data, suffix)}")
    if found == "tiff" and (suffix in RAW_SUFFIXES or data[8:10] == b"CR"):
        raise UserError(f"{name}: {_RAW}")
    if found == "png" and data[12:16] == b"CgBI":
        raise UserError(f"{name}: {_IPHONE}")
    named = SUFFIXES.get(suffix)
    raw = suffix in RAW_SUFFIXES
    if raw or (named is not None and named != found):
        raise UserError(
            f"{name}: named {suffix} but its content is "
            f"{FORMATS[found][0]}; rename it to {FORMATS[found][1][0]}"
        )
    return found


def _why_unread(data, suffix):
    """What a file is by its first bytes, else by its name, and what to do."""
    for at, magic, why in _UNREAD_MAGIC:
        if data[at : at + len(magic)] == magic:
            return why
    if data[4:8] == b"ftyp":
        return _SOUND if data[8:11] in (b"M4A", b"M4B") else _VIDEO
    if data[:1] == b"P" and data[1:2] in b"1234567Ff" and data[2:3].isspace():
        return _OTHER
    start = data[:1024].lower()
    for text, why in _UNREAD_TEXT:
        if text in start:
            return why
    if not data.strip(b"\0"):
        return _ZEROS
    # Some kinds begin with nothing of their own.
    known = UNREAD_SUFFIXES.get(suffix)
    return known or f"not a photo in a known format; {ACCEPTED} are read"
