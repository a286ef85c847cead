"""Orientation said in two places: every reader sees the photo upright."""

import io

import numpy as np
import pytest
from PIL import Image, ImageOps
from test_photo_files import file_of

from tfexposure.photo.io import decode, encode, orientation, png, tiff

KINDS = ["jpeg", "png", "tiff", "webp", "avif", "heic"]


def xmp(turned, as_element=False):
    stated = f'tiff:Orientation="{turned}"/>'
    if as_element:
        stated = f"><tiff:Orientation>{turned}</tiff:Orientation></rdf:D>"
    return f'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:D {stated}'.encode()


def exif(turned):
    block = Image.Exif()
    block[0x010F] = "Maker"
    if turned:
        block[0x0112] = turned
    return block.tobytes()


def upright():
    """A smooth picture without symmetry, which lossy coding keeps."""
    y, x = np.mgrid[0:48, 0:80] / 80
    return np.stack([x, y, 1 - x], -1)


def stored(turned):
    pixels = np.rint(upright() * 255).astype(np.uint8)
    back = orientation.orient(pixels, orientation.inverse(turned))
    return Image.fromarray(np.ascontiguousarray(back))


def source(kind, in_exif, in_xmp, turned, as_element=False):
    image = stored(turned)
    packet = xmp(in_xmp, as_element) if in_xmp else None
    if kind == "tiff":
        tags = {} if packet is None else {700: packet}
        tags |= {274: in_exif} if in_exif else {}
        block = Image.Exif()
        block.update(tags)
        return file_of(image, "TIFF", exif=block)
    options = {"exif": exif(in_exif)} if in_exif is not None else {}
    if kind == "png":
        data = file_of(image, "PNG", **options)
        return png.insert_chunks(data, [png.xmp_chunk(packet)] * bool(packet))
    if packet:
        options["xmp"] = packet
    lossy = {"webp": {"lossless": True}, "jpeg": {"quality": 95}}
    return file_of(image, kind.upper(), **options, **lossy.get(kind, {}))


def shown(data):
    if data[4:8] == b"ftyp" and data[8:12] != b"avif":
        heif = pytest.importorskip("pillow_heif", reason="extra heic")
        return np.asarray(heif.open_heif(data).to_pillow().convert("RGB"))
    image = ImageOps.exif_transpose(Image.open(io.BytesIO(data)))
    return np.asarray(image.convert("RGB"))


def looks_upright(data):
    pixels = shown(data)
    if pixels.shape != (48, 80, 3):
        return False
    return np.abs(pixels / 255 - upright()).mean() < 0.03


def rewritten(data, kind):
    buffer = io.BytesIO()
    encode.write_photo(decode.read_photo(data), buffer, kind=kind)
    return buffer.getvalue()


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("kind", ["jpeg", "png", "tiff", "webp"])
@pytest.mark.parametrize("turned", [3, 5, 6])
def test_exif_and_xmp_agree_whatever_is_written(kind, target, turned):
    if target == "heic":
        pytest.importorskip("pillow_heif", reason="extra heic")
    cases = [(turned, turned), (turned, 1), (turned, 8)]
    cases += [(None, turned), (0, turned)]
    for in_exif, in_xmp in cases:
        for element in (False, True):
            data = source(kind, in_exif, in_xmp, turned, element)
            assert looks_upright(data), "the test's own input"
            out = rewritten(data, target)
            assert looks_upright(out), (in_exif, in_xmp)
            photo = decode.read_photo(out)
            stated = orientation.of_xmp(photo.xmp)
            if target != "avif":  # Its reader hands out EXIF and a box.
                assert stated == photo.orientation


def test_boxes_decide_in_avif_and_heic():
    """XMP that was never told of a turn does not turn them again."""
    heif = pytest.importorskip("pillow_heif", reason="extra heic")
    image = stored(1)
    buffer = io.BytesIO()
    heif.from_pillow(image).save(buffer, quality=95, xmp=xmp(6))
    data = [buffer.getvalue(), file_of(image, "AVIF", xmp=xmp(6))]
    for coded in data:
        before = shown_by_boxes(coded)
        pixels = decode.read_photo(coded).pixels.array()
        assert pixels.shape == before.shape
        for kind in ("png", "jpeg", "heic", "avif"):
            assert looks_upright(rewritten(coded, kind)) == (
                before.shape == (48, 80, 3)
            )


def shown_by_boxes(data):
    if data[8:12] == b"avif":
        return np.asarray(Image.open(io.BytesIO(data)))
    return shown(data)


def test_exif_behind_the_pixels_of_a_png_counts():
    data = file_of(stored(6), "PNG")
    end = data.index(b"IEND") - 4
    file = io.BytesIO()
    png._write_chunk(file, b"eXIf", exif(6).removeprefix(b"Exif\0\0"))
    data = data[:end] + file.getvalue() + data[end:]
    photo = decode.read_photo(data)
    assert photo.orientation == 6
    assert np.array_equal(
        photo.pixels.array(), np.rint(upright() * 255).astype(np.uint8)
    )
    for kind in ("png", "jpeg", "webp"):
        assert looks_upright(rewritten(data, kind))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [1, 3, 4])
def test_orientation_of_any_whole_number_type(order, kind):
    import struct

    code = {1: "B3x", 3: "HH", 4: "I"}[kind]
    value = struct.pack(order + code, *((6, 0) if kind == 3 else (6,)))
    block = (b"II" if order == "<" else b"MM") + struct.pack(
        order + "HIHHHI", 42, 8, 1, 274, kind, 1
    )
    block = block + value + bytes(4)
    data = file_of(stored(6), "JPEG", quality=95, exif=b"Exif\0\0" + block)
    assert decode.read_photo(data).orientation == 6
    out = rewritten(data, "heic") if _has_heif() else rewritten(data, "tiff")
    assert looks_upright(out)
    assert tiff.orientation_of(encode._with_orientation(block, 1)) == 1


def _has_heif():
    try:
        import pillow_heif  # noqa: F401
    except ImportError:
        return False
    return True


def test_packets_that_say_nothing_are_left_as_they_are():
    packet = b"<x:xmpmeta>no turn</x:xmpmeta>"
    assert orientation.of_xmp(packet) is orientation.of_xmp(None) is None
    assert orientation.in_xmp(packet, 3) == packet


@pytest.mark.parametrize("big", [False, True])
def test_a_deep_tiff_may_be_turned_by_xmp_alone(big):
    tifffile = pytest.importorskip("tifffile", reason="writes 16 bits")
    pixels = np.rint(upright() * 65535).astype(np.uint16)
    back = orientation.orient(pixels, orientation.inverse(6))
    buffer, packet = io.BytesIO(), xmp(6)
    tifffile.imwrite(
        buffer,
        np.ascontiguousarray(back),
        photometric="rgb",
        metadata=None,
        bigtiff=big,
        extratags=[(700, 1, len(packet), packet, True)],
    )
    photo = decode.read_photo(buffer.getvalue())
    assert np.array_equal(photo.pixels.array(), pixels)
    assert looks_upright(rewritten(buffer.getvalue(), "jpeg"))
