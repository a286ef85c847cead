"""Frames, pages and cut-outs: white that no exposure made."""

import io

import numpy as np
import pytest
from photo_fakes import Gain
from PIL import Image

from tfexposure.photo import api, inspection, surround
from tfexposure.photo.correcting import Settings, correct_photo
from tfexposure.photo.io import decode
from tfexposure.photo.io.photo import Photo
from tfexposure.photo.io.pixel_buffer import PixelBuffer


def bright(height=120, width=150):
    """An overexposed photo: a slope into white, darker towards its corners."""
    y, x = np.mgrid[-1 : 1 : height * 1j, -1 : 1 : width * 1j]
    levels = np.clip(1.35 - 0.5 * (y**2 + x**2), 0.1, 1)
    return np.rint(levels[..., None] * (250, 255, 245)).astype(np.uint8)


def dark(height=120, width=150):
    random = np.random.default_rng(0)
    return random.integers(10, 150, (height, width, 3), np.uint8)


def framed(photo, above=10, below=10, left=10, right=10):
    margins = ((above, below), (left, right), (0, 0))
    white = np.iinfo(photo.dtype).max
    return np.pad(photo, margins, constant_values=white)


def found(pixels):
    return surround.find_surround(
        PixelBuffer.of_array(pixels), min(pixels.shape[2], 3)
    )


def page():
    pixels = np.full((200, 150, 3), 255, np.uint8)
    pixels[20:180:12, 15:130] = 20
    pixels[24:180:12, 15:130:3] = 90
    return pixels


@pytest.mark.parametrize(
    "margins",
    [(10, 10, 10, 10), (30, 20, 0, 0), (0, 0, 12, 9), (3, 40, 5, 6)],
)
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_a_frame_is_found_to_the_pixel(margins, dtype):
    photo = dark().astype(dtype) * (1 if dtype == np.uint8 else 257)
    around = found(framed(photo, *margins))
    above, _, left, _ = margins
    assert around == surround.Surround(
        (above, above + 120, left, left + 150), True
    )


def test_through_jpeg_too():
    pixels = framed(dark(400, 500), 40, 40, 40, 40)
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=85)
    around = found(decode.read_photo(buffer.getvalue()).pixels.array())
    assert around.is_frame
    assert np.abs(np.subtract(around.box, (40, 440, 40, 540))).max() <= 16


def test_what_is_none():
    assert found(bright()) is None and found(dark()) is None
    assert found(np.full((50, 60, 3), 255, np.uint8)) is None
    # A sky blown out to its borders; white above and on the left.
    assert found(framed(dark(), 40, 0, 0, 0)) is None
    assert found(framed(dark(), 40, 0, 30, 0)) is None
    sky = framed(dark(), 40, 0, 30, 30)
    sky[45:, 25:40] = 255  # White on three sides, but no frame.
    assert found(sky) is None
    # White that is not pure; one line of it.
    assert found(np.minimum(framed(dark()), 252)) is None
    assert found(framed(dark(), 1, 1, 1, 1)) is None
    # Soft edges, as light has: neither a frame nor white all around.
    y = np.abs(np.linspace(-1, 1, 200))[:, None, None]
    blown = np.rint(np.clip(0.3 + y, 0, 1) * np.full((1, 90, 3), 255))
    assert found(blown.astype(np.uint8)) is None
    # Where alpha says what counts, nothing else does.
    alpha = np.full((140, 170, 1), 255, np.uint8)
    assert found(np.concatenate([framed(dark()), alpha], -1)) is None


def test_pages_and_cut_outs_are_no_frames():
    assert not found(page()).is_frame
    assert not found(page()[:165]).is_frame  # Cut off below.
    assert found(page()[20:177]) is None
    disc = np.full((200, 220, 3), 255, np.uint8)
    y, x = np.mgrid[:200, :220]
    disc[(y - 100) ** 2 + (x - 110) ** 2 < 70**2] = (90, 40, 60)
    assert not found(disc).is_frame


@pytest.mark.parametrize("spill", [False, True])
def test_a_photo_in_a_frame_is_corrected_as_if_alone(spill):
    photo, whole = bright(), framed(bright(), 20, 30, 15, 25)
    buffer = PixelBuffer(*whole.shape, np.uint8, spill=spill)
    buffer.write(0, whole)
    settings = Settings(force=True)
    answers = [
        correct_photo(source, Gain(0.7), settings, want_mask=True)
        for source in (
            Photo("a", PixelBuffer.of_array(photo), "png"),
            Photo("b", buffer, "png"),
        )
    ]
    alone, inside = (answer.pixels.array() for answer in answers)
    assert np.array_equal(inside[20:140, 15:165], alone)
    assert (alone != photo).any()
    inside = inside.copy()
    inside[20:140, 15:165] = 255
    assert (inside == 255).all()
    assert answers[0].before == answers[1].before
    mask = answers[1].invented.array()
    assert np.array_equal(mask[20:140, 15:165], answers[0].invented.array())
    assert not mask[:20].any() and not mask[:, 165:].any()


def test_a_page_is_left_alone_unless_one_insists():
    assert api.inspect(page()).verdict == inspection.ON_WHITE
    assert api.inspect(page()).stops == 0
    source = Photo("page", PixelBuffer.of_array(page()), "png")
    model = Gain(0.7)
    answer = correct_photo(source, model, Settings())
    assert not answer.changed and not model.sizes
    assert "page" in source.notes[0]
    forced = correct_photo(source, model, Settings(force=True))
    assert forced.changed and (forced.pixels.array()[0] < 200).all()


def test_windows_of_spilled_pixels():
    pixels = np.random.default_rng(1).integers(0, 256, (300, 40, 3), np.uint8)
    buffer = PixelBuffer(*pixels.shape, np.uint8, spill=True)
    buffer.write(0, pixels)
    part = buffer.window(5, 290, 3, 30)
    assert np.array_equal(part.array(), pixels[5:290, 3:30])
    inverted = PixelBuffer.of_array(255 - pixels[5:290, 3:30])
    changed = pixels.copy()
    changed[5:290, 3:30] = 255 - changed[5:290, 3:30]
    assert np.array_equal(buffer.with_window(5, 3, inverted).array(), changed)
    assert np.array_equal(buffer.array(), pixels)
