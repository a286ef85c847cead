"""What a file carries survives: pixels, depth, tags, profiles, coding."""

import io
import struct

import numpy as np
import pytest
from PIL import Image, ImageCms

from tfexposure.errors import UserError
from tfexposure.photo.io import decode, encode, jpeg, orientation, png

RANDOM = np.random.default_rng(3)
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><a>label</a></x:xmpmeta>'
IPTC = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\x08\x1c\x02\x78\0\x03cat"


def smooth(height=24, width=36, channels=3, maximum=255):
    """A picture that compresses well and has no symmetry."""
    y, x = np.mgrid[0:height, 0:width]
    planes = [
        (y * (3 + c) + x * (7 - c)) % 97 / 97 * maximum for c in range(channels)
    ]
    return np.stack(planes, -1).astype(
        np.uint8 if maximum == 255 else np.uint16
    )


def exif(turned=1):
    block = Image.Exif()
    block[0x010F] = "Maker"
    block[0x0112] = turned
    block[0x8769] = {0x829A: 0.01, 0x927C: b"private maker note"}
    block[0x8825] = {1: "N", 2: (48.0, 51.0, 29.0)}
    return block.tobytes()


def adobe_like_profile():
    """A matrix profile of gamma 2.2 with wider primaries than sRGB."""
    profile = bytearray(
        ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    )
    (count,) = struct.unpack_from(">I", profile, 128)
    for at in range(132, 132 + 12 * count, 12):
        name, offset, _ = struct.unpack_from(">4sII", profile, at)
        if name == b"rXYZ":
            struct.pack_into(">3i", profile, offset + 8, 39960, 20389, 1276)
        elif name == b"gXYZ":
            struct.pack_into(">3i", profile, offset + 8, 13453, 41002, 3985)
        elif name == b"bXYZ":
            struct.pack_into(">3i", profile, offset + 8, 9771, 4145, 48811)
    return bytes(profile)


def file_of(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def rewritten(data, **options):
    """Decodes and encodes without the shortcut for unchanged photos."""
    buffer = io.BytesIO()
    photo = decode.read_photo(data)
    encode.write_photo(photo, buffer, **options)
    return buffer.getvalue(), photo


@pytest.mark.parametrize("turned", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF", "WEBP", "JPEG", "AVIF"])
def test_orientation_is_applied_inside_and_kept_outside(kind, turned):
    stored = smooth()
    options = {"lossless": True} if kind == "WEBP" else {}
    if kind in ("JPEG", "AVIF"):
        options = {"quality": 100, "subsampling": "4:4:4"}
    if kind == "TIFF":
        block = Image.Exif()
        block[0x0112] = turned
        options["exif"] = block
    else:
        options["exif"] = exif(turned)
    data = file_of(Image.fromarray(stored), kind, **options)
    out, photo = rewritten(data)
    # Pillow's own idea of upright is the reference.
    from PIL import ImageOps

    upright = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    tolerance = 6 if kind in ("JPEG", "AVIF") else 0
    seen = photo.pixels.array().astype(int)
    assert np.abs(seen - np.asarray(upright)).max() <= tolerance
    again = ImageOps.exif_transpose(Image.open(io.BytesIO(out)))
    assert np.abs(np.asarray(again).astype(int) - seen).max() <= 4 * tolerance
    if kind != "AVIF":  # libavif hands out the upright size itself.
        assert decode.read_photo(out).orientation == turned


def test_orient_and_its_inverse_and_boxes():
    stored = smooth(5, 7)
    for turned in range(1, 9):
        upright = orientation.orient(stored, turned)
        back = orientation.orient(upright, orientation.inverse(turned))
        assert np.array_equal(back, stored)
        height, width = upright.shape[:2]
        left, upper, right, lower = orientation.stored_box(
            1, 4, height, width, turned
        )
        part = orientation.orient(stored[upper:lower, left:right], turned)
        assert np.array_equal(part, upright[1:4])


def jpeg_with_everything():
    image = Image.fromarray(smooth(64, 80))
    data = file_of(
        image,
        "JPEG",
        quality=83,
        subsampling="4:2:2",
        exif=exif(6),
        icc_profile=adobe_like_profile(),
        xmp=XMP,
        comment=b"a comment",
        progressive=True,
    )
    return jpeg.insert_segments(data, [(0xED, IPTC)])


def test_jpeg_keeps_every_segment_tables_and_subsampling():
    data = jpeg_with_everything()
    out, _ = rewritten(data)
    before = jpeg.kept_segments(jpeg.read_segments(data))
    after = jpeg.kept_segments(jpeg.read_segments(out))
    assert sorted(before) == sorted(after)
    kinds = {marker for marker, _ in after}
    assert {0xE1, 0xE2, 0xED, 0xFE} <= kinds
    first, second = (Image.open(io.BytesIO(x)) for x in (data, out))
    assert first.quantization == second.quantization
    assert first.layer == second.layer
    assert second.info["progressive"]
    assert second.info["icc_profile"] == adobe_like_profile()
    assert dict(second.getexif().get_ifd(0x8825)) == dict(
        first.getexif().get_ifd(0x8825)
    )


def test_jpeg_quality_and_subsampling_can_be_chosen():
    out, _ = rewritten(jpeg_with_everything(), quality=50, subsampling="4:4:4")
    reference = Image.open(
        io.BytesIO(file_of(Image.new("RGB", (8, 8)), "JPEG", quality=50))
    )
    image = Image.open(io.BytesIO(out))
    assert image.quantization == reference.quantization
    assert [layer[1:3] for layer in image.layer] == [(1, 1)] * 3


def test_strip_leaves_pixels_and_profile_upright():
    out, photo = rewritten(jpeg_with_everything(), metadata="strip")
    image = Image.open(io.BytesIO(out))
    assert image.size == photo.pixels.shape[1::-1] == (64, 80)
    assert not image.getexif() and "xmp" not in image.info
    assert image.info["icc_profile"] == adobe_like_profile()
    assert b"cat" not in out and b"comment" not in out


@pytest.mark.parametrize("kind", ["PNG", "WEBP", "TIFF", "AVIF"])
def test_other_formats_keep_exif_xmp_and_profile(kind):
    profile = adobe_like_profile()
    options = {"exif": exif(), "icc_profile": profile}
    if kind == "PNG":
        from PIL import PngImagePlugin

        info = PngImagePlugin.PngInfo()
        info.add_itxt("XML:com.adobe.xmp", XMP.decode())
        info.add_text("Title", "a title")
        options["pnginfo"] = info
    elif kind == "TIFF":
        block = Image.Exif()
        block.load(exif())
        block[700] = XMP
        block[33723] = b"\x1c\x02\x78\0\x03cat"
        options["exif"] = block
    else:
        options["xmp"] = XMP
    data = file_of(Image.fromarray(smooth()), kind, **options)
    out, _ = rewritten(data)
    first, second = (Image.open(io.BytesIO(x)) for x in (data, out))
    for image in (first, second):
        tags = image.getexif()
        assert tags[0x010F] == "Maker"
        assert tags.get_ifd(0x8769)[0x927C] == b"private maker note"
        assert tags.get_ifd(0x8825)[1] == "N"
        assert image.info["icc_profile"] == profile
    found = decode.read_photo(out)
    if kind == "TIFF":
        assert bytes(second.tag_v2[700]) == XMP
        assert bytes(second.tag_v2[33723]).endswith(b"cat")
    else:
        assert found.xmp == XMP
    if kind == "PNG":
        assert second.text["Title"] == "a title"


@pytest.mark.parametrize("target", ["png", "tiff", "webp", "avif"])
def test_change_of_format_takes_exif_and_profile_along(target):
    out, photo = rewritten(jpeg_with_everything(), kind=target)
    again = decode.read_photo(out)
    assert again.icc == photo.icc
    assert again.pixels.shape == photo.pixels.shape
    image = Image.open(io.BytesIO(out))
    assert image.getexif()[0x010F] == "Maker"
    assert any("IPTC" in note for note in photo.notes)
    if target in ("png", "tiff"):
        assert np.array_equal(again.pixels.array(), photo.pixels.array())


def test_tiff_becomes_jpeg_with_its_tags():
    block = Image.Exif()
    block.load(exif(6))
    data = file_of(Image.fromarray(smooth()), "TIFF", exif=block)
    out, photo = rewritten(data, kind="jpeg")
    image = Image.open(io.BytesIO(out))
    assert image.getexif()[0x010F] == "Maker"
    assert image.getexif().get_ifd(0x8825)[1] == "N"
    # Upright now, and no tag that says otherwise.
    assert image.size == photo.pixels.shape[1::-1]
    assert image.getexif().get(0x0112, 1) == 1


def write_with_pypng(path, pixels, **options):
    pypng = pytest.importorskip("png", reason="pypng is the reference")
    height, width, channels = pixels.shape
    writer = pypng.Writer(
        width,
        height,
        greyscale=channels <= 2,
        alpha=channels in (2, 4),
        bitdepth=16,
        **options,
    )
    with open(path, "wb") as file:
        writer.write(file, pixels.reshape(height, -1))


def read_with_pypng(path):
    pypng = pytest.importorskip("png", reason="pypng is the reference")
    width, height, rows, info = pypng.Reader(filename=str(path)).read()
    dtype = np.uint16 if info["bitdepth"] == 16 else np.uint8
    pixels = np.array([np.asarray(row, dtype) for row in rows])
    return pixels.reshape(height, width, info["planes"])


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_png_of_16_bits_both_ways_against_pypng(tmp_path, channels):
    pixels = RANDOM.integers(0, 65536, (150, 13, channels), np.uint16)
    write_with_pypng(tmp_path / "in.png", pixels)
    photo = decode.read_photo(tmp_path / "in.png")
    assert np.array_equal(photo.pixels.array(), pixels)
    encode.write_photo(photo, tmp_path / "out.png")
    assert np.array_equal(read_with_pypng(tmp_path / "out.png"), pixels)


def test_png_of_16_bits_interlaced(tmp_path):
    pixels = RANDOM.integers(0, 65536, (11, 13, 3), np.uint16)
    write_with_pypng(tmp_path / "in.png", pixels, interlace=True)
    photo = decode.read_photo(tmp_path / "in.png")
    assert np.array_equal(photo.pixels.array(), pixels)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_png_filters_against_pillow(dtype):
    """Smooth pictures make the writer choose all of its filters."""
    pixels = smooth(200, 60, 3, np.iinfo(dtype).max)
    pixels[50:90] = 0
    buffer = io.BytesIO()
    png.write(
        buffer, pixels.shape, dtype, [(0, pixels[:77]), (77, pixels[77:])]
    )
    read = np.asarray(Image.open(io.BytesIO(buffer.getvalue())))
    shift = 8 if dtype == np.uint16 else 0
    assert np.array_equal(read, pixels >> shift)
    if dtype == np.uint16:
        strips = png.read_deep(buffer.getvalue())[1]
        read = np.concatenate([rows for _, rows in strips])
        assert np.array_equal(read, pixels)


def test_png_average_filter():
    """Average is the filter our writer never chooses."""
    import zlib

    pixels = smooth(6, 5, 3, 65535)
    plain = pixels.astype(">u2").view(np.uint8).reshape(6, -1)
    coded = bytearray()
    for row in range(6):
        above = plain[row - 1] if row else np.zeros_like(plain[0])
        left = np.concatenate((np.zeros(6, np.uint8), plain[row, :-6]))
        mean = (left.astype(int) + above) // 2
        coded += (
            bytes([3]) + ((plain[row] - mean) % 256).astype(np.uint8).tobytes()
        )
    buffer = io.BytesIO()
    png.write(buffer, pixels.shape, np.uint16, [(0, pixels)])
    data = buffer.getvalue()
    start, end = data.index(b"IDAT") - 4, data.index(b"IEND") - 4
    body = b"IDAT" + zlib.compress(bytes(coded))
    chunk = struct.pack(">I", len(body) - 4) + body
    chunk += struct.pack(">I", zlib.crc32(body))
    strips = png.read_deep(data[:start] + chunk + data[end:])[1]
    assert np.array_equal(next(strips)[1], pixels)


@pytest.mark.parametrize("channels", [1, 3, 4])
@pytest.mark.parametrize(
    "coding", ["none", "deflate", "predictor", "tiles", "both", "big"]
)
def test_tiff_of_16_bits_against_tifffile(tmp_path, channels, coding):
    tifffile = pytest.importorskip("tifffile", reason="the reference")
    pixels = RANDOM.integers(0, 65536, (70, 33, channels), np.uint16)
    options = {
        "none": {},
        "deflate": {"compression": "zlib", "rowsperstrip": 16},
        "predictor": {"compression": "zlib", "predictor": 2},
        "tiles": {"tile": (16, 16)},
        "both": {"tile": (16, 16), "compression": "zlib", "predictor": 2},
        "big": {"byteorder": ">"},
    }[coding]
    kind = "minisblack" if channels == 1 else "rgb"
    if channels == 4:
        options["extrasamples"] = ["unassalpha"]
    image = pixels[..., 0] if channels == 1 else pixels
    tifffile.imwrite(tmp_path / "in.tif", image, photometric=kind, **options)
    photo = decode.read_photo(tmp_path / "in.tif")
    assert photo.pixels.dtype == np.uint16
    assert np.array_equal(photo.pixels.array(), pixels)
    encode.write_photo(photo, tmp_path / "out.tif")
    with tifffile.TiffFile(tmp_path / "out.tif") as out:
        page = out.pages[0]
        assert np.array_equal(page.asarray(), image)
        assert page.extrasamples == ((2,) if channels == 4 else ())
        assert (page.compression == 1) == (coding in ("none", "tiles", "big"))


@pytest.mark.parametrize("mode", ["L", "LA", "RGBA", "P", "1"])
def test_grey_alpha_and_palette(mode):
    image = Image.fromarray(smooth(channels=4))
    if mode == "P":  # From RGBA the palette would be transparent.
        image = image.convert("RGB")
    data = file_of(image.convert(mode), "PNG")
    out, photo = rewritten(data)
    expected = {"P": "RGB", "1": "L"}.get(mode, mode)
    again = Image.open(io.BytesIO(out))
    assert again.mode == expected
    reference = Image.open(io.BytesIO(data)).convert(expected)
    assert np.array_equal(np.asarray(again), np.asarray(reference))
    assert any("palette" in note for note in photo.notes) == (mode == "P")


def test_transparent_colour_becomes_alpha():
    image = Image.fromarray(smooth(channels=1)[..., 0])
    data = file_of(image, "PNG", transparency=0)
    photo = decode.read_photo(data)
    pixels = photo.pixels.array()
    assert pixels.shape[2] == 2
    assert np.array_equal(pixels[..., 1] == 0, pixels[..., 0] == 0)


def test_cmyk_becomes_rgb_and_says_so():
    image = Image.new("CMYK", (16, 16), (0, 200, 200, 10))
    out, photo = rewritten(file_of(image, "JPEG", quality=95))
    again = Image.open(io.BytesIO(out))
    assert again.mode == "RGB"
    red, green, blue = again.getpixel((8, 8))
    assert red > 200 and green < 100 and blue < 100
    assert any("CMYK" in note for note in photo.notes)


def test_16_bits_to_jpeg_says_what_is_lost(tmp_path):
    pixels = smooth(maximum=65535)
    buffer = io.BytesIO()
    png.write(buffer, pixels.shape, np.uint16, [(0, pixels)])
    out, photo = rewritten(buffer.getvalue(), kind="bmp")
    levels = np.asarray(Image.open(io.BytesIO(out)))
    assert np.abs(levels - pixels / 257.0).max() <= 0.5
    assert any("16 bits" in note for note in photo.notes)


def test_heic_round_trip():
    heif = pytest.importorskip("pillow_heif", reason="extra heic is absent")
    image = heif.from_pillow(Image.fromarray(smooth(64, 80)))
    buffer = io.BytesIO()
    image.save(buffer, quality=95, exif=exif())
    out, photo = rewritten(buffer.getvalue())
    assert photo.pixels.shape == (64, 80, 3)
    assert np.abs(photo.pixels.array().astype(int) - smooth(64, 80)).mean() < 20
    again = decode.read_photo(out)
    assert again.exif and b"Maker" in again.exif


def test_a_failed_write_leaves_the_old_file(tmp_path):
    target = tmp_path / "out.jpg"
    target.write_bytes(b"old")
    photo = decode.read_photo(file_of(Image.fromarray(smooth()), "PNG"))
    photo.icc = b"\0" * 20_000_000  # More pieces than JPEG can number.
    with pytest.raises(UserError, match="cannot be written as jpeg"):
        encode.write_photo(photo, target, kind="jpeg")
    assert target.read_bytes() == b"old"
    assert [path.name for path in tmp_path.iterdir()] == ["out.jpg"]
