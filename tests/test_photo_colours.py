"""Colour spaces survive, by whatever means a format says them."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms
from test_photo_files import adobe_like_profile, file_of, smooth
from test_photo_pixels import grey_profile

from tfexposure.errors import UserError
from tfexposure.photo.io import cicp, colour, decode, encode, png

P3 = cicp.CodePoints(12, 13)
KINDS = ["jpeg", "png", "tiff", "webp", "avif", "heic"]


def coded(kind, points):
    """A file whose colours are said by numbers alone."""
    y, x = np.mgrid[0:48, 0:64] / 64  # Smooth, for 4:2:0.
    pixels = np.stack([0.3 + 0.6 * x, 0.3 + 0.4 * y, 0.6 - 0.4 * x], -1)
    image = Image.fromarray(np.rint(pixels * 255).astype(np.uint8))
    if kind == "png":
        chunk = (b"cICP", points.chunk())
        return png.insert_chunks(file_of(image, "PNG"), [chunk])
    if kind == "avif":
        data = file_of(image, "AVIF", quality=95, subsampling="4:4:4")
        return cicp.in_boxes(data, points)
    heif = pytest.importorskip("pillow_heif", reason="extra heic is absent")
    buffer = io.BytesIO()
    heif.from_pillow(image).save(buffer, quality=95, save_nclx_profile=True)
    return cicp.in_boxes(buffer.getvalue(), points)


def rewritten(data, kind):
    photo, buffer = decode.read_photo(data), io.BytesIO()
    encode.write_photo(photo, buffer, kind=kind)
    return decode.read_photo(buffer.getvalue()), buffer.getvalue(), photo


def in_srgb(photo):
    space = colour.colour_of(photo.icc, photo.notes, photo.colours)
    return space.to_srgb(photo.pixels.array().astype(np.float32) / 255)


@pytest.mark.parametrize("target", KINDS)
@pytest.mark.parametrize("kind", ["png", "avif", "heic"])
def test_display_p3_stays_display_p3(kind, target):
    if target == "heic":
        pytest.importorskip("pillow_heif", reason="extra heic is absent")
    again, data, photo = rewritten(coded(kind, P3), target)
    before, after = in_srgb(photo), in_srgb(again)
    assert np.abs(before - photo.pixels.array() / 255).max() > 0.03
    assert np.abs(before - after).mean() < 0.02
    assert not any("ICC" in note for note in photo.notes)
    if target in ("png", "avif", "heic"):
        assert again.code_points == P3
        boxes = cicp.of_boxes(data)
        assert boxes == (None if target == "png" else P3)


def test_made_profiles_are_understood_by_littlecms():
    icc = P3.profile()
    pixels = smooth() // 2 + 64
    transform = ImageCms.buildTransform(
        ImageCms.ImageCmsProfile(io.BytesIO(icc)),
        ImageCms.createProfile("sRGB"),
        "RGB",
        "RGB",
        ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    shown = ImageCms.applyTransform(Image.fromarray(pixels), transform)
    mine = colour.colour_of(icc, []).to_srgb(pixels.astype(np.float32) / 255)
    mine = np.clip(np.rint(mine * 255), 0, 255)
    assert np.abs(mine - np.asarray(shown)).max() <= 2
    # Display P3's published red in XYZ under D50.
    space = colour._adapted_columns(cicp._PRIMARIES[12])
    assert space[:, 0] == pytest.approx([0.51512, 0.2412, -0.00105], abs=2e-4)
    assert cicp.CodePoints(1, 13).profile() is None


@pytest.mark.parametrize("kind", ["png", "avif", "heic"])
@pytest.mark.parametrize("transfer", [16, 18])
def test_hdr_is_refused_by_name(kind, transfer):
    with pytest.raises(UserError, match=r"HDR photos \((PQ|HLG)\)"):
        decode.read_photo(coded(kind, cicp.CodePoints(9, transfer)))


def test_unknown_numbers_are_kept_and_noted():
    odd = cicp.CodePoints(22, 13)
    again, _, photo = rewritten(coded("avif", odd), "avif")
    assert again.code_points == odd
    assert any("unknown kind" in note for note in photo.notes)


def test_strip_keeps_the_colour_space():
    photo, buffer = decode.read_photo(coded("png", P3)), io.BytesIO()
    encode.write_photo(photo, buffer, metadata="strip")
    assert decode.read_photo(buffer.getvalue()).code_points == P3


def test_grey_profiles_do_not_go_into_colour_files():
    grey = Image.fromarray(smooth(channels=1)[..., 0])
    data = file_of(grey, "PNG", icc_profile=grey_profile(1.0))
    again, _, photo = rewritten(data, "webp")
    assert again.icc is None
    assert any("converted to sRGB" in note for note in photo.notes)
    assert np.abs(in_srgb(photo) - again.pixels.array() / 255).mean() < 0.03
    for kind in ("png", "tiff", "jpeg"):
        again, _, _ = rewritten(data, kind)
        assert again.icc == grey_profile(1.0)
        assert again.pixels.shape[2] == 1
    # And one that is there already goes, with a note.
    data = file_of(Image.fromarray(smooth()), "JPEG", icc_profile=photo.icc)
    again, _, photo = rewritten(data, "jpeg")
    assert again.icc is None and any("GRAY" in n for n in photo.notes)


def test_bmp_holds_no_profile_so_colours_are_converted():
    image = Image.fromarray(smooth())
    data = file_of(image, "PNG", icc_profile=adobe_like_profile())
    again, _, photo = rewritten(data, "bmp")
    expected = np.clip(in_srgb(photo), 0, 1) * 255
    assert np.abs(again.pixels.array() - expected).max() <= 0.51
    assert any("converted to sRGB" in note for note in photo.notes)


@pytest.mark.parametrize("profile", [None, adobe_like_profile()])
@pytest.mark.parametrize("lossless", [False, True])
def test_webp_stays_lossless_whatever_it_carries(profile, lossless):
    image = Image.fromarray(smooth())
    data = file_of(image, "WEBP", lossless=lossless, icc_profile=profile)
    again, out, photo = rewritten(data, "webp")
    assert (b"VP8L" in out) == lossless
    if lossless:
        assert np.array_equal(again.pixels.array(), photo.pixels.array())


@pytest.mark.parametrize("channels", [1, 2, 3, 4])
def test_ten_bits_of_heic_stay_ten_bits(channels):
    pytest.importorskip("pillow_heif", reason="extra heic is absent")
    ramp = np.linspace(0, 65535, 320).astype(np.uint16)
    pixels = np.repeat(np.tile(ramp, (64, 1))[..., None], channels, -1)
    source = io.BytesIO()
    png.write(source, pixels.shape, np.uint16, [(0, pixels)])
    again, data, photo = rewritten(source.getvalue(), "heic")
    assert any("16 bits per channel were cut to the 10" in n
               for n in photo.notes)  # fmt: skip
    rows = again.pixels.array()
    assert rows.dtype == np.uint16 and rows.max() == 65535
    expected = pixels if channels != 2 else pixels[..., [0, 0, 0, 1]]
    assert np.abs(rows.astype(int) - expected).max() < 900
    assert len(np.unique(rows[..., 0])) > 256
    third, _, photo = rewritten(data, "heic")
    assert not photo.notes
    assert np.abs(third.pixels.array().astype(int) - rows).max() < 900


def test_ten_bits_of_avif_are_cut_with_a_note():
    """Pillow reads and writes 8; the header says what was there."""
    data = bytearray(coded("avif", P3))
    data[data.index(b"av1C") + 6] |= 0x40
    assert decode._avif_depth(bytes(data)) == 10
    assert decode._avif_depth(coded("avif", P3)) == 8
