"""Photos read as plain pixels."""

import io

import numpy as np
import pytest
from PIL import Image

from tfexposure.errors import UserError
from tfexposure.imaging.files import read_rgb


def saved(pixels, path, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def test_a_path_and_its_bytes_are_the_same_photo(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    path = saved(pixels, tmp_path / "a.png")
    np.testing.assert_array_equal(read_rgb(path), pixels)
    np.testing.assert_array_equal(read_rgb(path.read_bytes()), pixels)


def test_a_turned_photo_is_read_upright(tmp_path):
    pixels = np.random.default_rng(0).integers(0, 256, (5, 7, 3), np.uint8)
    exif = Image.Exif()
    exif[0x0112] = 6  # To be turned clockwise.
    path = saved(pixels, tmp_path / "a.png", exif=exif)
    np.testing.assert_array_equal(read_rgb(path), np.rot90(pixels, -1))


def test_grey_of_16_bits_keeps_its_scale(tmp_path):
    levels = np.array([[0, 255, 256, 32768, 65535]], np.uint16)
    pixels = read_rgb(saved(levels, tmp_path / "a.png"))
    assert pixels.shape == (1, 5, 3)
    np.testing.assert_array_equal(pixels[0, :, 2], [0, 0, 1, 128, 255])


def test_alpha_is_left_out(tmp_path):
    pixels = np.full((2, 3, 4), (10, 20, 30, 0), np.uint8)
    answer = read_rgb(saved(pixels, tmp_path / "a.png"))
    np.testing.assert_array_equal(answer, pixels[..., :3])


def test_what_is_no_photo_is_named(tmp_path):
    path = tmp_path / "a.jpg"
    path.write_text("no photo")
    with pytest.raises(UserError, match="a.jpg: not a readable photo"):
        read_rgb(path)
    with pytest.raises(UserError, match="^answer: not a readable photo"):
        read_rgb(b"no photo", "answer")
    buffer = io.BytesIO()
    Image.fromarray(np.zeros((2, 2), np.float32)).save(buffer, "TIFF")
    with pytest.raises(UserError, match="no known white"):
        read_rgb(buffer.getvalue())
