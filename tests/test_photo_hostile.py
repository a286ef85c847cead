"""Files that are broken or mean harm: one line, no half-written output."""

import io
import random
import struct
import time
import zlib

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from photo_fakes import Gain
from PIL import Image

from tfexposure.errors import UserError
from tfexposure.photo import batch
from tfexposure.photo.correcting import Settings
from tfexposure.photo.io import decode, encode, png
from tfexposure.photo.io.photo import Limits

PIXELS = np.random.default_rng(0).integers(150, 256, (13, 17, 3), np.uint8)
PIXELS[:5] = 255


def file_of(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def exif():
    block = Image.Exif()
    block[0x010F], block[0x0112] = "Maker", 6
    block[0x8769] = {0x829A: 0.01}
    loaded = Image.Exif()
    loaded.load(block.tobytes())
    return loaded


def deep_png():
    buffer = io.BytesIO()
    pixels = PIXELS.astype(np.uint16) * 257
    png.write(buffer, pixels.shape, np.uint16, [(0, pixels)])
    return buffer.getvalue()


def deep_tiff():
    buffer = io.BytesIO()
    photo = decode.read_photo(deep_png())
    encode.write_photo(photo, buffer, kind="tiff")
    return buffer.getvalue()


def samples():
    image = Image.fromarray(PIXELS)
    icc = b"\0" * 36 + b"acsp" + b"\0" * 100
    return {
        "baseline.jpg": file_of(image, "JPEG", exif=exif(), icc_profile=icc),
        "progressive.jpg": file_of(image, "JPEG", progressive=True),
        "cmyk.jpg": file_of(image.convert("CMYK"), "JPEG"),
        "rgb.png": file_of(image, "PNG", exif=exif()),
        "palette.png": file_of(image.convert("P"), "PNG"),
        "deep.png": deep_png(),
        "plain.tif": file_of(image, "TIFF", exif=exif()),
        "lzw.tif": file_of(image, "TIFF", compression="tiff_lzw"),
        "deep.tif": deep_tiff(),
        "lossy.webp": file_of(image, "WEBP", exif=exif()),
        "lossless.webp": file_of(image, "WEBP", lossless=True),
        "a.avif": file_of(image, "AVIF", exif=exif()),
        "a.bmp": file_of(image, "BMP"),
    }


SAMPLES = samples()
# Other load on the machine makes data come late.
SLOW_IS_FINE = [HealthCheck.too_slow]


def attempt(data, suffix, folder):
    """Runs the whole tool on bytes; checks its promises; the result."""
    source, target = folder / f"in{suffix}", folder / f"out{suffix}"
    source.write_bytes(data)
    target.unlink(missing_ok=True)
    limits = Limits(pixels=1_000_000, bytes=10_000_000)
    work = batch.Batch(
        Gain(0.7), Settings(force=True), batch.Output(), limits, debug=False
    )
    [result] = work.run([(source, target)])
    if result.error is None:
        # A whole file, of the format its name says.
        decode.read_photo(target, limits)
    else:
        assert not target.exists()
        assert "\n" not in result.error and str(source) in result.error
        assert "Traceback" not in result.error
    assert {path.name for path in folder.iterdir()} <= {
        source.name,
        target.name,
    }
    return result


@pytest.mark.parametrize("name", SAMPLES)
def test_the_samples_themselves_are_fine(name, tmp_path):
    suffix = "." + name.split(".")[1]
    assert attempt(SAMPLES[name], suffix, tmp_path).status == "corrected"


@pytest.mark.parametrize("name", SAMPLES)
def test_fuzz(name, tmp_path):
    """Cuts at every n-th byte and flipped bits: 13 formats x 160 inputs."""
    data, suffix = SAMPLES[name], "." + name.split(".")[1]
    chance = random.Random(name)
    inputs = [data[: len(data) * n // 80] for n in range(80)]
    for _ in range(80):
        broken = bytearray(data)
        for _ in range(chance.choice((1, 1, 2, 8))):
            broken[chance.randrange(len(data))] ^= 1 << chance.randrange(8)
        inputs.append(bytes(broken))
    assert len(inputs) * len(SAMPLES) >= 2000
    slowest, failed = 0.0, 0
    for broken in inputs:
        start = time.process_time()
        failed += attempt(broken, suffix, tmp_path).status == "failed"
        slowest = max(slowest, time.process_time() - start)
    assert failed >= 20
    # Seconds of this process alone; one of these takes milliseconds.
    assert slowest < 5


@settings(max_examples=80, deadline=None, suppress_health_check=SLOW_IS_FINE)
@given(data=st.binary(max_size=200), magic=st.sampled_from(sorted(SAMPLES)))
def test_any_bytes_behind_any_magic(data, magic):
    head = SAMPLES[magic][:16]
    try:
        decode.read_photo(head + data, Limits(pixels=100_000))
    except UserError as error:
        assert "\n" not in str(error)


@settings(max_examples=60, deadline=None, suppress_health_check=SLOW_IS_FINE)
@given(
    height=st.integers(1, 40),
    width=st.integers(1, 40),
    channels=st.integers(1, 4),
    deep=st.booleans(),
    kind=st.sampled_from(["png", "tiff"]),
    seed=st.integers(0, 9),
)
def test_any_size_and_depth_survives(height, width, channels, deep, kind, seed):
    dtype = np.uint16 if deep else np.uint8
    pixels = np.random.default_rng(seed).integers(
        0, np.iinfo(dtype).max, (height, width, channels), dtype, True
    )
    buffer = io.BytesIO()
    png.write(buffer, pixels.shape, dtype, [(0, pixels)])
    photo = decode.read_photo(buffer.getvalue())
    again = io.BytesIO()
    encode.write_photo(photo, again, kind=kind)
    read = decode.read_photo(again.getvalue()).pixels.array()
    assert read.dtype == dtype and np.array_equal(read, pixels)


def chunk(kind, body):
    crc = struct.pack(">I", zlib.crc32(kind + body))
    return struct.pack(">I", len(body)) + kind + body + crc


def bomb(depth=8, width=60_000, height=60_000):
    head = struct.pack(">IIBBBBB", width, height, depth, 2, 0, 0, 0)
    body = zlib.compress(b"\0" * 1_000_000)
    return (
        png.SIGNATURE
        + chunk(b"IHDR", head)
        + chunk(b"IDAT", body)
        + chunk(b"IEND", b"")
    )


@pytest.mark.parametrize("kind", ["jpeg", "png"])
def test_a_header_cannot_promise_more_than_its_file_holds(kind):
    data = bomb(width=9000, height=9000)
    if kind == "jpeg":
        data = file_of(Image.fromarray(PIXELS), "JPEG") + bytes(11_000)
        at = data.index(b"\xff\xc0") + 5
        data = data[:at] + struct.pack(">HH", 9000, 9000) + data[at + 4 :]
    with pytest.raises(UserError, match="claims 9000 x 9000 .* can hold"):
        decode.read_photo(data)


def gif(frames):
    images = [Image.new("P", (8, 8), n) for n in range(frames)]
    return file_of(images[0], "GIF", save_all=True, append_images=images[1:])


def animated(kind):
    images = [Image.new("RGB", (8, 8), (n * 80, 0, 0)) for n in range(3)]
    return file_of(images[0], kind, save_all=True, append_images=images[1:])


def dng():
    block = Image.Exif()
    block[50706] = b"\1\4\0\0"
    return file_of(Image.fromarray(PIXELS), "TIFF", exif=block)


@pytest.mark.parametrize(
    "name, data, reason",
    [
        ("a.jpg", b"", "empty"),
        ("a.jpg", b"hello", "not a photo in a known format"),
        ("a.jpg", SAMPLES["rgb.png"], "named .jpg but its content is PNG"),
        ("a.gif", gif(3), "GIF is not read"),
        ("a.gif", gif(1), "GIF is not read"),
        ("a.webp", animated("WEBP"), "holds 3 pictures"),
        ("a.png", animated("PNG"), "holds 3 pictures"),
        ("a.tif", animated("TIFF"), "holds 3 pictures"),
        ("a.avif", animated("AVIF"), "holds 3 pictures"),
        ("a.png", bomb(), "60000 x 60000 pixels, more than"),
        ("a.png", bomb(16), "60000 x 60000 pixels, more than"),
        ("a.png", bomb(16, 0, 5), "0 x 5"),
        ("a.dng", dng(), "camera raw"),
        ("a.tif", dng(), "camera raw"),
        ("a.nef", SAMPLES["plain.tif"], "camera raw"),
        ("a.tif", file_of(Image.new("F", (4, 4)), "TIFF"), "floating point"),
    ],
)
def test_refused_with_a_reason(tmp_path, name, data, reason):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UserError, match=reason) as caught:
        decode.read_photo(path)
    assert name in str(caught.value)


def test_byte_limit_is_checked_before_reading(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_bytes(SAMPLES["baseline.jpg"])
    with pytest.raises(UserError, match="--max_bytes"):
        decode.read_photo(path, Limits(bytes=100))


def test_folders_and_missing_files_are_named(tmp_path):
    with pytest.raises(UserError, match="cannot be read"):
        decode.read_photo(tmp_path / "none.jpg")
    with pytest.raises(UserError, match="cannot be read"):
        decode.read_photo(tmp_path)


def test_a_bomb_costs_no_memory(tmp_path):
    """36 megapixels are allowed here, but their data is not there."""
    import tracemalloc

    tracemalloc.start()
    with pytest.raises(UserError, match="ends inside its pixels"):
        decode.read_photo(bomb(16, 6000, 6000))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 40_000_000


@pytest.mark.parametrize("size", [(1, 1), (1, 10000), (10000, 1)])
@pytest.mark.parametrize("kind", ["JPEG", "PNG", "TIFF", "WEBP", "AVIF"])
def test_extreme_shapes(tmp_path, size, kind):
    image = Image.fromarray(np.full((*size, 3), 255, np.uint8))
    suffix = {"JPEG": ".jpg", "TIFF": ".tif"}.get(kind, f".{kind.lower()}")
    result = attempt(file_of(image, kind), suffix, tmp_path)
    assert result.status == "corrected", result.error
    answer = Image.open(tmp_path / f"out{suffix}")
    assert answer.size == size[::-1]


@pytest.mark.parametrize("block", [b"Exif\0\0junk", b"Exif\0\0II*\0\xff\xff"])
def test_broken_exif_is_carried_along(tmp_path, block):
    data = file_of(Image.fromarray(PIXELS), "JPEG", exif=block)
    assert attempt(data, ".jpg", tmp_path).status == "corrected"
    assert block in (tmp_path / "out.jpg").read_bytes()


def test_broken_profile_is_noted_and_carried_along(tmp_path):
    data = file_of(Image.fromarray(PIXELS), "PNG", icc_profile=b"x" * 200)
    result = attempt(data, ".png", tmp_path)
    assert any("ICC profile is unusable" in note for note in result.notes)
    answer = Image.open(tmp_path / "out.png")
    assert answer.info["icc_profile"] == b"x" * 200


def test_unwritable_output_is_one_line(tmp_path):
    source = tmp_path / "in.png"
    source.write_bytes(SAMPLES["rgb.png"])
    (tmp_path / "file").write_text("in the way")
    work = batch.Batch(Gain(), Settings(force=True), batch.Output())
    [result] = work.run([(source, tmp_path / "file" / "out.png")])
    assert result.status == "failed"
    assert "cannot be written" in result.error
