"""Photos seen at reduced size and corrected at full size."""

import numpy as np
import photo_fakes
import pytest

from tfexposure.photo.correcting import Settings, correct_photo
from tfexposure.photo.io.photo import Photo
from tfexposure.photo.io.pixel_buffer import PixelBuffer
from tfexposure.runtime import coefficient_grid
from tfexposure.runtime.model import Model

KNOTS = (0.0, 0.5, 0.9, 1.0)
SLOPES = np.array([0.5, 0.8, 0.3], np.float32)
SPEC = coefficient_grid.GridSpec(KNOTS, (0.9, 0.95), 0.7)


class FakeModel(Model):
    """Darkens by a known curve, lifts whites, fills what is clipped."""

    thumbnail = 8
    grid_spec = SPEC

    def __init__(self, offset=0.25, slopes=SLOPES, lift=0.0, share=1.0):
        self.offset, self.lift, self.share = offset, lift, share
        self.slopes, self.seen = slopes, []

    def encode_photo(self, thumbnail):
        exposure = np.array([self.share, 0.7, 0.2], np.float32)
        return self.slopes, np.zeros(2, np.float32), exposure

    def affine_coefficients(self, image, slopes, embedding):
        self.seen.append(image)
        height, width = (-(-side // 4) * 2 for side in image.shape[:2])
        field = np.zeros((height, width, 13), np.float32)
        field[..., 3:12:4] = self.offset
        field[..., 12] = self.lift
        return field


def picture(height, width, seed=0):
    random = np.random.default_rng(seed)
    return random.uniform(0, 1.2, (height, width, 3)).clip(0, 1)


def corrected(pixels, model, **settings):
    levels = np.rint(pixels * 255).astype(np.uint8)
    photo = Photo("test", PixelBuffer.of_array(levels), "png")
    settings = Settings(**{"force": True} | settings)
    answer = correct_photo(photo, model, settings)
    return levels, answer.pixels.array()


def by_hand(levels, offset, lift=0.0):
    image = levels / 255
    heights = np.concatenate([[0], np.cumsum(SLOPES * np.diff(KNOTS))])
    mask = np.clip((image - 0.9) / 0.05, 0, 1)
    near_white = np.clip((image - 0.7) / 0.25, 0, 1) ** 2
    filled = np.interp(image, KNOTS, heights) + mask * offset
    return (filled + near_white * lift).clip(0, 1) * 255


@pytest.mark.parametrize("size", [(1, 1), (7, 300), (260, 33)])
def test_answer_is_curve_and_masked_field(size):
    levels, answer = corrected(picture(*size), FakeModel())
    assert np.abs(answer - by_hand(levels, 0.25)).max() <= 0.51
    levels, answer = corrected(picture(*size), FakeModel(lift=0.1))
    assert np.abs(answer - by_hand(levels, 0.25, 0.1)).max() <= 0.51


def test_large_photos_are_seen_small_and_corrected_at_full_size(monkeypatch):
    monkeypatch.setattr(coefficient_grid, "MAX_PIXELS", 2500)
    model = FakeModel()
    levels, answer = corrected(picture(301, 203), model)
    (seen,) = model.seen
    assert seen.shape == (61, 41, 3)
    block = levels[5:10, 10:15].mean(axis=(0, 1)) / 255
    np.testing.assert_allclose(seen[1, 2], block, atol=1e-5)
    last = levels[300:, 200:].mean(axis=(0, 1)) / 255
    np.testing.assert_allclose(seen[-1, -1], last, atol=1e-5)
    assert np.abs(answer - by_hand(levels, 0.25)).max() <= 0.51


def test_network_sees_no_more_than_the_limit():
    for height, width in ((1, 1), (1024, 1024), (1025, 1024), (3, 10**7)):
        factor = coefficient_grid.reduction(height, width)
        assert height * width / factor**2 <= coefficient_grid.MAX_PIXELS
        assert factor == 1 or height * width > coefficient_grid.MAX_PIXELS


def test_field_is_linear_between_its_values():
    # A ramp stays a ramp, away from the border: value = column / step - 0.5.
    field = np.zeros((4, 6, 13), np.float32)
    field[..., 3:12:4] = np.arange(6)[:, None] * 0.06
    field[..., 12] = np.arange(6) * 0.04
    slopes = np.full(3, 1e-6, np.float32)
    grid = coefficient_grid.CoefficientGrid(
        coefficient_grid.Curve(KNOTS, slopes), SPEC, field, 3
    )
    answer = grid.apply(0, np.ones((24, 36, 3), np.float32))
    expected = ((np.arange(36) + 0.5) / 6 - 0.5) * 0.1
    inner = slice(3, 33)
    for row in (0, 11, 23):
        np.testing.assert_allclose(
            answer[row, inner, 0], expected[inner], atol=1e-5
        )


def test_strips_join_exactly():
    random = np.random.default_rng(1)
    field = random.normal(0, 0.3, (20, 16, 13)).astype(np.float32)
    grid = coefficient_grid.CoefficientGrid(
        coefficient_grid.Curve(KNOTS, SLOPES), SPEC, field, 2
    )
    image = picture(75, 61).astype(np.float32)
    whole = grid.apply(0, image)
    parts = [grid.apply(top, image[top : top + 7]) for top in range(0, 75, 7)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_the_model_says_how_much_of_its_answer_is_mixed_in(share):
    model = FakeModel(share=share)
    pixels = picture(40, 50)
    levels, answer = corrected(pixels, model, force=False)
    wanted = levels + share * (by_hand(levels, 0.25) - levels)
    assert np.abs(answer - wanted).max() <= 0.51
    # Where there is none, the network is not even asked for more.
    assert bool(model.seen) == (share > 0)
    _, forced = corrected(pixels, model)
    assert np.abs(forced - by_hand(levels, 0.25)).max() <= 0.51


@pytest.mark.parametrize(
    ("share", "verdict"),
    [(0.0, "well exposed"), (0.3, "needs invention")],
)
def test_the_model_says_how_far_a_photo_is_overexposed(share, verdict):
    levels = np.rint(picture(40, 50) * 255).astype(np.uint8)
    photo = Photo("test", PixelBuffer.of_array(levels), "png")
    before = correct_photo(photo, FakeModel(share=share), Settings()).before
    assert before.stops == pytest.approx(0.7)
    assert before.stops_spread == pytest.approx(0.2)
    assert before.tau == pytest.approx(2**-0.7)
    assert before.verdict == verdict


def test_stops_take_the_place_of_the_guess():
    pixels = picture(30, 40) * 0.8
    levels, answer = corrected(pixels, FakeModel(), stops=1.5, force=False)
    # Eq. (10), undone: light times 2 ** -1.5.
    expected = ((levels / 255) ** 2.2 * 2**-1.5) ** (1 / 2.2) * 255
    assert np.abs(answer - expected).max() <= 0.51


def test_a_model_without_a_curve_cannot_be_told_the_stops():
    from tfexposure.errors import UserError

    with pytest.raises(UserError, match="cannot be told the stops"):
        corrected(picture(20, 20), photo_fakes.Gain(0.5), stops=1.0)


def test_nonsense_from_the_network_is_refused():
    from tfexposure.errors import UserError

    with pytest.raises(UserError, match="not finite"):
        corrected(picture(20, 20), FakeModel(offset=np.nan))
