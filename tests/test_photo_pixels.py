"""Pixels of rarer files: what is read is what is seen."""

import io
import struct

import numpy as np
import pytest
from photo_fakes import Blur, Gain, Toning
from PIL import Image, ImageCms
from test_photo_files import adobe_like_profile, smooth

import tfexposure
from tfexposure.errors import UserError
from tfexposure.photo import inspection
from tfexposure.photo.correcting import Settings, correct_photo
from tfexposure.photo.io import colour, decode, encode
from tfexposure.photo.io.photo import Photo
from tfexposure.photo.io.pixel_buffer import PixelBuffer

tifffile = pytest.importorskip("tifffile", reason="writes the rarer TIFFs")


def tiff_of(pixels, **options):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, pixels, metadata=None, **options)
    return buffer.getvalue()


def read(data):
    photo = decode.read_photo(data)
    return photo.pixels.array(), photo


def written_tiff(photo):
    buffer = io.BytesIO()
    encode.write_photo(photo, buffer)
    buffer.seek(0)
    return tifffile.TiffFile(buffer).pages[0]


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("big", [False, True])
@pytest.mark.parametrize("coding", [None, "zlib"])
def test_grey_whose_0_is_white_is_no_negative(order, bits, big, coding):
    top = 2**bits - 1
    grey = smooth(channels=1, maximum=255).astype(f"u{bits // 8}")[..., 0]
    grey *= top // 255
    options = {} if coding is None else {"predictor": True}
    data = tiff_of(
        top - grey,
        photometric="miniswhite",
        byteorder=order,
        bigtiff=big,
        compression=coding,
        **options,
    )
    pixels, photo = read(data)
    assert np.array_equal(pixels[..., 0], grey)
    page = written_tiff(photo)
    assert int(page.photometric) == 1
    assert np.array_equal(page.asarray(), grey)


@pytest.mark.parametrize("order", "<>")
@pytest.mark.parametrize("bits", [8, 16])
def test_bigtiff_is_read_in_full(order, bits):
    pixels = smooth(maximum=2**bits - 1)
    data = tiff_of(
        pixels,
        photometric="rgb",
        bigtiff=True,
        byteorder=order,
        tile=(16, 16),
        extratags=[(315, 2, 0, "A Photographer", True), (274, 3, 1, 6, True)],
    )
    upright, photo = read(data)
    assert photo.orientation == 6
    assert np.array_equal(upright, np.rot90(pixels, -1))
    page = written_tiff(photo)
    assert np.array_equal(page.asarray(), pixels)
    assert page.tags[315].value == "A Photographer"


def test_bigtiff_of_endless_directories_is_refused():
    data = bytearray(tiff_of(smooth(), photometric="rgb", bigtiff=True))
    (first,) = struct.unpack_from("<Q", data, 8)
    (count,) = struct.unpack_from("<Q", data, first)
    struct.pack_into("<Q", data, first + 8 + 20 * count, first)
    with pytest.raises(UserError, match="circles"):
        decode.read_photo(bytes(data))


def test_twelve_bits_are_stretched_to_sixteen():
    levels = np.arange(64, dtype=np.uint16).reshape(4, 16) * 65
    bits = "".join(f"{v:012b}" for v in levels.ravel())
    body = int(bits, 2).to_bytes(len(bits) // 8, "big")
    tags = [
        (256, 16), (257, 4), (258, 12), (259, 1), (262, 1), (273, 8),
        (277, 1), (278, 4), (279, len(body)),
    ]  # fmt: skip
    ifd = b"".join(struct.pack("<HHII", t, 4, 1, v) for t, v in tags)
    head = struct.pack("<2sHI", b"II", 42, 8 + len(body))
    data = head + body + struct.pack("<H", len(tags)) + ifd + bytes(4)
    pixels, _ = read(data)
    assert np.abs(pixels[..., 0] - levels * (65535 / 4095)).max() <= 0.5


@pytest.mark.parametrize("maximum", [255, 65535])
@pytest.mark.parametrize("colours", [1, 3])
def test_extra_channels_are_alpha_only_if_they_say_so(maximum, colours):
    seen = smooth(channels=colours, maximum=maximum)
    fourth = smooth(channels=1, maximum=maximum) // 2 + maximum // 3
    pixels = np.concatenate((seen, fourth), -1)
    kind = "rgb" if colours == 3 else "minisblack"

    def of(meaning, stored=pixels):
        data = tiff_of(
            stored,
            photometric=kind,
            planarconfig="contig",
            extrasamples=[meaning],
        )
        got, photo = read(data)
        assert not photo.notes  # True of the file as it is.
        encode.write_photo(photo, io.BytesIO())
        return got, photo.notes

    got, notes = of("unspecified")
    assert np.array_equal(got, seen) and "beside colours" in notes[0]
    got, notes = of("unassalpha")
    assert np.array_equal(got, pixels) and not notes
    # Stored multiplied by alpha: the same picture, to the rounding.
    share = fourth / maximum
    multiplied = pixels.copy()
    multiplied[..., :-1] = np.rint(seen * share)
    got, notes = of("assocalpha", multiplied)
    assert np.array_equal(got[..., -1:], fourth)
    assert np.abs(got[..., :-1].astype(float) - seen).max() <= 3.1
    assert "multiplied" in notes[0]


@pytest.mark.parametrize(
    "pixels, options, reason",
    [
        (smooth().astype("f4"), {"photometric": "rgb"}, "floating point"),
        (smooth().astype("f2"), {"photometric": "rgb"}, "floating point"),
        (smooth()[..., 0].astype("f8"), {}, "floating point"),
        (smooth()[..., 0].astype("i2"), {}, "signed"),
        ((smooth() // 2).astype("i1"), {"photometric": "rgb"}, "signed"),
        (smooth().astype("u4"), {"photometric": "rgb"}, "32 bits"),
        (smooth()[..., :2], {"photometric": "miniswhite",
         "planarconfig": "contig"}, "kind that is not read"),
    ],
)  # fmt: skip
def test_intact_tiffs_of_other_kinds_are_not_called_damaged(
    pixels, options, reason
):
    with pytest.raises(UserError, match=reason) as caught:
        decode.read_photo(tiff_of(pixels, **options))
    assert "damaged" not in str(caught.value)


def grey_profile(gamma):
    """A profile of ICC.1 for grey data, one curve of a pure gamma."""
    curve = b"curv" + bytes(4) + struct.pack(">IHxx", 1, round(gamma * 256))
    white = b"XYZ \0\0\0\0" + struct.pack(">3i", 63190, 65536, 54061)
    tags = [(b"wtpt", white), (b"kTRC", curve)]
    at, table, body = 132 + 12 * len(tags), b"", b""
    for name, payload in tags:
        table += struct.pack(">4sII", name, at + len(body), len(payload))
        body += payload
    size = at + len(body)
    head = bytearray(128)
    struct.pack_into(">I", head, 0, size)
    head[8:12] = bytes((4, 0x30, 0, 0))
    head[12:24] = b"mntrGRAYXYZ "
    head[36:40] = b"acsp"
    struct.pack_into(">3i", head, 68, 63190, 65536, 54061)
    return bytes(head) + struct.pack(">I", len(tags)) + table + body


def test_grey_profiles_count():
    """A grey photo is as bright as LittleCMS shows it.

    Near black its tables of 8 bits are coarse.
    """
    icc = grey_profile(1.8)
    grey = np.arange(256, dtype=np.uint8).reshape(8, 32)
    space = colour.colour_of(icc, notes := [], 1)
    transform = ImageCms.buildTransform(
        io.BytesIO(icc), ImageCms.createProfile("sRGB"), "L", "RGB"
    )
    shown = ImageCms.applyTransform(Image.fromarray(grey), transform)
    mine = space.to_srgb(grey[..., None].astype(np.float32) / 255)
    assert not notes
    change = np.abs(mine * 255 - np.asarray(shown)[..., :1])
    assert change[1:].max() <= 2
    assert np.abs(space.from_srgb(mine) * 255 - grey[..., None]).max() <= 1


def test_grey_profiles_count_in_inspection_and_correction():
    y, x = np.mgrid[0:60, 0:80]
    light = (0.3 + 0.2 * np.sin(x / 9) * np.cos(y / 7)).astype(np.float32)
    stored = {
        1.0: np.rint(light * 65535).astype(np.uint16)[..., None],
        2.2: np.rint(light ** (1 / 2.2) * 65535).astype(np.uint16)[..., None],
    }
    stops, answers = [], []
    for gamma, pixels in stored.items():
        photo = Photo("a", PixelBuffer.of_array(pixels), "png")
        photo.icc = grey_profile(gamma)
        done = correct_photo(photo, Gain(0.5), Settings(force=True))
        stops.append(done.before.stops)
        answers.append((done.pixels.array() / 65535.0) ** gamma)
    assert stops[0] == pytest.approx(stops[1], abs=0.02)
    assert np.abs(answers[0] - answers[1]).max() < 2e-3


def test_what_alpha_hides_decides_nothing():
    random = np.random.default_rng(0)
    seen = random.integers(150, 256, (60, 80, 3), np.uint8)
    rows, columns = np.mgrid[0:60, 0:80]
    alpha = 255 * (np.hypot(rows - 30, columns - 40) < 25).astype(np.uint8)
    runners = (Gain(0.6), Blur(), Toning())
    for runner in runners:
        for settings in (Settings(force=True), Settings(highlights_only=True,
                         force=True)):  # fmt: skip
            answers = []
            for hidden in (0, 255):
                pixels = np.dstack((seen, alpha))
                pixels[alpha == 0, :3] = hidden
                photo = Photo("a", PixelBuffer.of_array(pixels), "png")
                done = correct_photo(photo, runner, settings, want_mask=True)
                answer = done.pixels.array()
                assert (answer[alpha == 0, :3] == hidden).all()
                assert not done.invented.array()[alpha == 0].any()
                answers.append(answer[alpha > 0])
            assert np.array_equal(*answers)
            assert not np.array_equal(answers[0][:, :3], seen[alpha > 0])


def test_a_picture_of_nothing_is_well_exposed():
    found = tfexposure.inspect(np.zeros((4, 5, 4), np.uint8))
    assert found.verdict == inspection.WELL_EXPOSED and found.clipped == 0


def test_big_endian_arrays_are_pixels_too():
    pixels = smooth(maximum=65535)
    answers = [
        tfexposure.correct(pixels.astype(kind), model=Gain(0.5), force=True)
        for kind in ("<u2", ">u2")
    ]
    assert np.array_equal(*answers) and answers[1].dtype == np.dtype(">u2")


def test_the_photo_of_a_wide_profile_is_still_converted():
    assert not colour.colour_of(adobe_like_profile(), [], 3).is_identity
    assert colour.colour_of(adobe_like_profile(), [], 1).is_identity
