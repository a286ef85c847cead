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
    (4, b"jP  ", _JPEG_2000),
    (0, b"\xff\x4f\xff\x51", _JPEG_2000),
    (0, b"8BPS", _LAYERED),
    (0, b"gimp xcf", _LAYERED),
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
    (8, b"crx ", _RAW),
    (0, b"qoif", _OTHER),
    (0, b"BPG\xfb", _OTHER),
    (0, b"\0\0\x01\0", _OTHER),
    (0, b"%PDF", "a PDF is not a photo; export its pictures first"),
)
_VIDEO_BRANDS = (b"isom", b"iso2", b"mp41", b"mp42", b"qt  ", b"M4V ", b"avc1")
_VIDEO = "videos are not read; export a frame as PNG or JPEG first"

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
    if suffix in RAW_SUFFIXES:
        raise UserError(f"{name}: {_RAW}")
    found = sniff(data)
    if found is None:
        raise UserError(f"{name}: {_why_unread(data)}")
    named = SUFFIXES.get(suffix)
    if named is not None and named != found:
        raise UserError(
            f"{name}: named {suffix} but its content is "
            f"{FORMATS[found][0]}; rename it to {FORMATS[found][1][0]}"
        )
    return found


def _why_unread(data):
    for at, magic, why in _UNREAD_MAGIC:
        if data[at : at + len(magic)] == magic:
            return why
    if data[4:8] == b"ftyp" and data[8:12] in _VIDEO_BRANDS:
        return _VIDEO
    if data[:1] == b"P" and data[1:2] in b"1234567Ff" and data[2:3].isspace():
        return _OTHER
    return f"not a photo in a known format; {ACCEPTED} are read"
