"""Pixels: tiles, strength, highlights, mask, colour spaces, inspection."""

import io
import sys

import numpy as np
import pytest
from photo_fakes import Blur, Gain, Toning
from PIL import Image, ImageCms
from skimage import data

import tfexposure
from tfexposure.errors import UserError
from tfexposure.imaging.area_resize import area_resize_strips
from tfexposure.photo import correcting, inspection
from tfexposure.photo.correcting import FEATHER, Settings, correct_photo
from tfexposure.photo.io import colour, decode
from tfexposure.photo.io.photo import Photo
from tfexposure.photo.io.pixel_buffer import PixelBuffer
from tfexposure.runtime import tiling


def noise(height, width, channels=3, dtype=np.uint8, seed=0):
    high = np.iinfo(dtype).max
    random = np.random.default_rng(seed)
    return random.integers(0, high, (height, width, channels), dtype, True)


def photo_of(pixels, **fields):
    return Photo("test", PixelBuffer.of_array(pixels), "png", **fields)


def corrected(pixels, runner, want_mask=False, **settings):
    settings = {"force": True} | settings
    photo = photo_of(pixels, icc=settings.pop("icc", None))
    return correct_photo(
        photo, runner, Settings(**settings), want_mask=want_mask
    )


@pytest.mark.parametrize("size", [(1, 1), (1, 300), (257, 3), (203, 331)])
def test_tiled_equals_untiled(size):
    pixels = noise(*size)
    whole = corrected(pixels, Blur(), tile=0).pixels.array()
    for tile in (64, 100):
        tiled = corrected(pixels, Blur(), tile=tile).pixels.array()
        assert np.array_equal(tiled, whole)
    assert whole.shape == pixels.shape


def test_too_small_a_halo_is_seen_by_this_test():
    pixels = noise(203, 331)
    runner = Blur()
    runner.halo = 4
    whole = corrected(pixels, runner, tile=0).pixels.array()
    tiled = corrected(pixels, runner, tile=64).pixels.array()
    assert not np.array_equal(tiled, whole)


def test_windows_all_have_one_size_and_lie_inside():
    for length in (1, 15, 16, 17, 500, 1000, 1024, 1025):
        spans = tiling.plan(length, 128, 96, 16)
        padded = tiling.round_up(length, 16)
        assert [s.start for s in spans] == list(range(0, length, 128))[
            : len(spans)
        ]
        assert spans[-1].stop == length
        assert len({s.size for s in spans}) == 1
        for span in spans:
            assert span.window % 16 == 0
            assert 0 <= span.window and span.window + span.size <= padded
            assert span.window <= max(span.start - 96, 0)
            reach = min(span.stop + 96, padded)
            assert span.window + span.size >= reach


@pytest.mark.parametrize("size", [(40, 50), (64, 64), (150, 97)])
def test_fixed_window_models_run_on_any_size(size):
    pixels = noise(*size)
    answer = corrected(pixels, Blur(fixed_size=(64, 64))).pixels.array()
    assert answer.shape == pixels.shape
    if min(size) >= 64 and all(n % 4 == 0 for n in size):
        whole = corrected(pixels, Blur(), tile=0).pixels.array()
        assert np.array_equal(answer, whole)


def test_fixed_window_smaller_than_its_halo_is_refused():
    runner = Blur(fixed_size=(24, 24))
    with pytest.raises(UserError, match="two halos"):
        corrected(noise(100, 100), runner)


def test_large_photos_are_tiled_without_being_asked():
    runner = Gain()
    corrected(noise(1100, 1500), runner)
    assert len(runner.sizes) == 4
    assert max(max(size[:2]) for size in runner.sizes) <= tiling.TILE


def test_spilled_rows_give_the_same_answer(monkeypatch):
    pixels = noise(203, 131)
    whole = corrected(pixels, Blur(), tile=64).pixels.array()
    monkeypatch.setattr("tfexposure.photo.io.pixel_buffer.SPILL_PIXELS", 100)
    spilled = corrected(pixels, Blur(), tile=64, want_mask=True)
    assert spilled.pixels.spilled and spilled.invented.spilled
    assert np.array_equal(spilled.pixels.array(), whole)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_strength_mixes_and_zero_is_the_input(dtype):
    pixels = noise(20, 30, dtype=dtype)
    full, half, none = (
        corrected(pixels, Gain(0.5), strength=s).pixels.array()
        for s in (1, 0.5, 0)
    )
    assert np.array_equal(full, np.rint(pixels.astype(np.float32) * 0.5))
    assert np.abs(half - pixels * 0.75).max() <= 0.51
    assert np.array_equal(none, pixels)


def test_16_bits_are_not_cut_to_8():
    pixels = np.arange(65536, dtype=np.uint16).reshape(128, 512, 1)
    pixels = np.repeat(pixels, 3, -1)
    answer = corrected(pixels, Gain(0.9)).pixels.array()
    assert len(np.unique(answer)) > 58000
    assert np.abs(answer - pixels * 0.9).max() <= 0.6


def test_alpha_and_grey_stay():
    pixels = noise(20, 30, 4)
    answer = corrected(pixels, Gain(0.5)).pixels.array()
    assert np.array_equal(answer[..., 3], pixels[..., 3])
    grey = corrected(pixels[..., :1], Gain(0.5)).pixels.array()
    assert grey.shape == (20, 30, 1)
    assert np.abs(grey - pixels[..., :1] * 0.5).max() <= 0.51


def test_ev_is_stops_of_light():
    pixels = np.full((4, 4, 3), 100, np.uint8)
    answer = corrected(pixels, Gain(1), ev=-1.0).pixels.array()
    light = ((100 / 255 + 0.055) / 1.055) ** 2.4 / 2
    expected = (1.055 * light ** (1 / 2.4) - 0.055) * 255
    assert np.abs(answer - expected).max() <= 0.51


def with_highlight():
    pixels = noise(160, 200) // 2
    pixels[70:90, 100:120] = 255
    return pixels


def test_highlights_only_changes_nothing_elsewhere():
    pixels = with_highlight()
    result = corrected(pixels, Gain(0.5), highlights_only=True, want_mask=True)
    answer, mask = result.pixels.array(), result.invented.array()[..., 0]
    rows, columns = np.mgrid[0:160, 0:200]
    away = np.maximum(
        np.maximum(70 - rows, rows - 89),
        np.maximum(100 - columns, columns - 119),
    )
    outside = away > FEATHER
    assert np.array_equal(answer[outside], pixels[outside])
    inside = away <= 0
    assert (answer[inside] == 128).all()
    border = (away > 0) & (away < FEATHER)
    assert (answer[border] != pixels[border]).any()
    assert (mask[inside] == 255).all() and (mask[~inside] == 0).all()
    for tile in (64, 100):
        tiled = corrected(pixels, Gain(0.5), highlights_only=True, tile=tile)
        assert np.array_equal(tiled.pixels.array(), answer)


def test_mask_counts_clipped_channels():
    pixels = np.full((8, 8, 3), 100, np.uint8)
    pixels[:4, :, 0] = 255
    mask = corrected(pixels, Gain(), want_mask=True).invented.array()
    assert (mask[:4] == 85).all() and (mask[4:] == 0).all()


def test_thumbnail_is_of_the_whole_photo():
    pixels = noise(90, 130)
    answer = corrected(pixels, Toning(), tile=64).pixels.array()
    means = pixels.reshape(-1, 3).mean(0)
    assert np.abs(answer - means).max() <= 1


@pytest.mark.parametrize("size", [(64, 48), (37, 101), (5, 3)])
def test_area_resize_is_tensorflows(size):
    tf = pytest.importorskip("tensorflow", reason="the reference")
    image = noise(*size).astype(np.float32) / 255
    strips = ((top, image[top : top + 7]) for top in range(0, size[0], 7))
    mine = area_resize_strips(strips, *size, 16)
    theirs = tf.image.resize(image[None], (16, 16), method="area")[0]
    assert np.abs(mine - theirs).max() < 1e-5


def test_answers_that_are_not_finite_are_refused():
    with pytest.raises(UserError, match="not finite"):
        corrected(noise(8, 8), Gain(np.nan))


def wide_profile():
    from test_photo_files import adobe_like_profile

    return adobe_like_profile()


def test_colour_is_converted_as_littlecms_does():
    space = colour.colour_of(wide_profile(), notes := [])
    assert not space.is_identity and not notes
    pixels = noise(32, 32)
    transform = ImageCms.buildTransform(
        io.BytesIO(wide_profile()),
        ImageCms.createProfile("sRGB"),
        "RGB",
        "RGB",
        renderingIntent=ImageCms.Intent.RELATIVE_COLORIMETRIC,
    )
    theirs = ImageCms.applyTransform(Image.fromarray(pixels), transform)
    mine = space.to_srgb(pixels.astype(np.float32) / 255)
    levels = np.clip(np.rint(mine * 255), 0, 255)
    assert np.abs(levels - np.asarray(theirs)).max() <= 2


def test_colours_outside_srgb_survive():
    pixels = noise(32, 32, dtype=np.uint16)
    answer = corrected(pixels, Gain(1.0), icc=wide_profile()).pixels.array()
    assert np.abs(answer.astype(int) - pixels).max() <= 64  # Of 65,535.


def test_profiles_of_tables_go_through_littlecms():
    profile = ImageCms.createProfile("sRGB")
    space = colour.TableColour(ImageCms.ImageCmsProfile(profile))
    values = noise(8, 8).astype(np.float32) / 255
    for convert in (space.to_srgb, space.from_srgb):
        assert np.abs(convert(values) - values).max() <= 2 / 255


def test_srgb_profile_costs_nothing():
    icc = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    assert colour.colour_of(icc, []).is_identity


@pytest.mark.parametrize("icc", [b"x", b"\0" * 200, None])
def test_broken_profiles_are_noted_not_fatal(icc):
    if icc is None:
        icc = wide_profile()[:300]
    notes = []
    space = colour.colour_of(icc, notes)
    assert space.is_identity and "ICC" in notes[0]


def overexposed(stops):
    photo = data.coffee() / 255
    light = np.minimum(photo**2.2 * 2.0**stops, 1)
    return np.rint(light ** (1 / 2.2) * 255).astype(np.uint8)


def test_verdicts():
    found = [tfexposure.inspect(overexposed(stops)) for stops in (0, 1, 2)]
    assert found[0].verdict == inspection.WELL_EXPOSED
    assert found[2].verdict == inspection.INVENTION
    assert found[0].stops < found[1].stops < found[2].stops
    assert found[2].tau == pytest.approx(2.0 ** -found[2].stops)
    expected = (overexposed(2) >= 250).mean((0, 1))
    assert found[2].clipped_channels == pytest.approx(expected)
    assert found[2].histogram.sum(1) == pytest.approx([400 * 600] * 3)


@pytest.mark.tf_only
def test_networks_are_judged_for_without_litert(monkeypatch):
    monkeypatch.setitem(sys.modules, "ai_edge_litert", None)
    monkeypatch.setitem(sys.modules, "ai_edge_litert.interpreter", None)
    correcting._judge.cache_clear()
    assert corrected(overexposed(2), Gain(0.5), force=False).changed
    assert not corrected(overexposed(0), Gain(0.5), force=False).changed
    correcting._judge.cache_clear()


def test_well_exposed_photos_are_left_alone_unless_forced():
    pixels = overexposed(0)
    runner = Gain(0.5)
    left = corrected(pixels, runner, force=False)
    assert not left.changed and not runner.sizes
    assert np.array_equal(left.pixels.array(), pixels)
    assert corrected(pixels, runner, force=True).changed


def test_clean_samples_come_out_practically_unchanged(shared):
    """Clean by the rule of curation: at most 1 % of pixels clipped."""
    checked = 0
    for path in sorted((shared / "photos" / "samples").glob("*.jpg")):
        if path.stat().st_size > 1_000_000:
            continue
        photo = decode.read_photo(path)
        if (photo.pixels.array().max(-1) >= 250).mean() > 0.01:
            continue
        result = correct_photo(photo, Gain(0.5), Settings())
        change = result.pixels.array().astype(int) - photo.pixels.array()
        assert np.abs(change).mean() <= 2, path.name
        checked += 1
    assert checked >= 5


@pytest.mark.parametrize(
    "dtype", [np.uint8, np.uint16, np.float16, np.float32, np.float64]
)
@pytest.mark.parametrize("shape", [(9, 7), (9, 7, 1), (9, 7, 3), (9, 7, 4)])
def test_arrays_come_back_as_they_went(dtype, shape):
    high = 1 if np.dtype(dtype).kind == "f" else np.iinfo(dtype).max
    array = (np.random.default_rng(0).uniform(0, 1, shape) * high).astype(dtype)
    if shape[2:] == (4,):  # Hidden pixels stay as they are.
        array[..., 3] = np.maximum(array[..., 3], high / 255)
    before = array.copy()
    answer = tfexposure.correct(array, model=Gain(0.5), force=True)
    assert answer.dtype == dtype and answer.shape == shape
    colours = answer[..., :3] if len(shape) == 3 else answer
    expected = array[..., :3] if len(shape) == 3 else array
    assert np.allclose(
        colours.astype(float), expected.astype(float) / 2, atol=high / 500
    )
    assert np.array_equal(array, before)
    none = tfexposure.correct(array, model=Gain(0.5), strength=0)
    assert np.array_equal(none, array) and none is not array


@pytest.mark.parametrize("mode", ["L", "LA", "RGB", "RGBA", "I;16"])
def test_images_come_back_as_images(mode):
    image = Image.fromarray(noise(9, 7, 4)).convert("RGBA")
    if mode == "I;16":
        image = Image.fromarray(noise(9, 7, 1, np.uint16)[..., 0])
    else:
        image = image.convert(mode)
    image.info["icc_profile"] = b"kept"
    block = image.getexif()
    block[0x0112] = 6
    answer = tfexposure.correct(image, model=Gain(0.5), force=True)
    assert answer.mode == mode and answer.size == image.size
    assert answer.info["icc_profile"] == b"kept"
    assert answer.getexif()[0x0112] == 6
    assert np.asarray(answer).max() <= np.asarray(image).max()


@pytest.mark.parametrize(
    "wrong",
    [
        np.zeros((4, 4, 5), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
        np.zeros((4, 4, 3), np.int32),
        np.full((4, 4, 3), 2.0),
        np.full((4, 4, 3), np.nan),
        [[1, 2]],
        Image.new("P", (4, 4)),
    ],
)
def test_other_things_are_refused(wrong):
    with pytest.raises(ValueError, match="Received|converted"):
        tfexposure.correct(wrong, model=Gain())


@pytest.mark.parametrize(
    "settings", [{"strength": 2}, {"ev": 9}, {"tile": 5}, {"tile": -1}]
)
def test_settings_out_of_range(settings):
    with pytest.raises(ValueError, match="Received"):
        Settings(**settings)


def test_paths_come_back_as_paths(tmp_path):
    path = tmp_path / "a.png"
    Image.fromarray(overexposed(2)).save(path)
    out = tfexposure.correct(path, model=Gain(0.5))
    assert out == tmp_path / "a_corrected.png"
    text = tfexposure.correct(str(path), str(tmp_path / "b.jpg"), model=Gain())
    assert isinstance(text, str) and Image.open(text).format == "JPEG"
    with pytest.raises(ValueError, match="itself"):
        tfexposure.correct(path, path, model=Gain())


def test_the_shipped_model_is_the_default():
    """It lowers an overexposed photo and keeps its order of greys."""
    pytest.importorskip("ai_edge_litert", reason="extra lite is absent")
    pixels = overexposed(2)
    answer = tfexposure.correct(pixels)
    assert answer.mean() < 0.9 * pixels.mean()
    inside = (pixels < 200).all(-1)
    order = np.corrcoef(pixels[inside].mean(-1), answer[inside].mean(-1))
    assert order[0, 1] > 0.9


def test_networks_whose_tiles_do_not_join_get_the_whole_photo():
    runner = Gain()
    runner.exact_tiles = False
    corrected(noise(1100, 1500), runner)
    assert runner.sizes == [(1100, 1500, 3)]
