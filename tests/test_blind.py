"""The blind model: exact where nothing is clipped, exact in tiles."""

import keras
import numpy as np
import pytest
from keras import ops

from tfexposure import blind
from tfexposure.imaging.area_resize import area_resize
from tfexposure.imaging.thumbnail import (
    THUMBNAIL_CHANNELS,
    thumbnails_of,
    with_clip_share,
)


def _randomized(**arguments):
    keras.utils.set_random_seed(3)
    model = blind.BlindRestorer(**arguments)
    model.build()
    rng = np.random.default_rng(3)
    for variable in model.trainable_variables:
        if len(variable.shape) == 1:
            variable.assign(rng.uniform(0, 0.1, variable.shape))
            continue
        spread = np.sqrt(1 / np.prod(variable.shape[:-1]))
        variable.assign(rng.normal(0, spread, variable.shape))
    return model


@pytest.fixture(scope="module")
def small():
    return _randomized(
        encoder_widths=(4, 4, 4, 4, 6), embedding_size=5, unet_widths=(4, 5, 6)
    )


def _photo(height, width, seed=0):
    rng = np.random.default_rng(seed)
    photo = rng.uniform(0, 1.4, (1, height, width, 3)).clip(0, 1)
    return photo.astype("float32")


def test_default_keeps_to_its_budget():
    model = blind.BlindRestorer()
    model.build()
    assert model.count_params() <= 2_500_000
    assert model.flops_per_pixel <= 100_000


def test_an_untrained_model_invents_nothing():
    model = blind.BlindRestorer(unet_widths=(4, 4))
    model.build()
    photo = _photo(37, 50)
    slopes, _, exposure = model.encode_photo(
        model.thumbnail(ops.convert_to_tensor(photo))
    )
    slopes = ops.convert_to_numpy(slopes)
    np.testing.assert_allclose(slopes, slopes[0, 0], rtol=1e-5)
    share = ops.convert_to_numpy(exposure)[0, 0]
    darker = photo * (1 + share * (slopes[0, 0] - 1))
    np.testing.assert_allclose(model(photo), darker, atol=1e-5)


def test_unclipped_channels_follow_the_curve_alone(small):
    photo = _photo(40, 56)
    slopes, embedding, _ = small.encode_photo(small.thumbnail(photo))
    toned, correction = small.tone_and_correct(photo, slopes, embedding)
    correction = ops.convert_to_numpy(correction)
    assert (correction[photo <= 0.7] == 0).all()
    assert np.abs(correction[photo == 1]).max() > 1e-3
    # Between there and the clip all channels are lifted by one number.
    lifted = ((photo > 0.75) & (photo < 0.9)).all(axis=-1)
    lift = correction[lifted] / np.square((photo[lifted] - 0.7) / 0.29)
    assert np.ptp(lift, axis=-1).max() < 1e-4 < np.abs(lift).max()
    knots = np.array(blind.KNOTS)
    steps = ops.convert_to_numpy(slopes)[0] * np.diff(knots)
    heights = np.concatenate([[0], np.cumsum(steps)])
    expected = np.interp(photo, knots, heights)
    np.testing.assert_allclose(toned, expected, rtol=1e-4, atol=1e-6)


def test_known_stops_make_the_curve_a_line_and_clip_its_ends():
    known = _randomized(
        encoder_widths=(4, 4, 4, 4, 6),
        embedding_size=5,
        unet_widths=(4, 5),
        known_stops=1.0,
        clip=(0.98, 0.99),
        lift=0.98,
    )
    photo = _photo(40, 56)
    restored = ops.convert_to_numpy(known(photo))
    line = photo * 0.5 ** (1 / 2.2)
    below = photo <= 0.98
    np.testing.assert_allclose(restored[below], line[below], atol=1e-5)
    assert np.abs(restored - line)[photo == 1].max() > 1e-3
    mask = ops.convert_to_numpy(known.clip_mask(photo))
    assert (mask[photo >= 0.99] == 1).all() and (mask[below] == 0).all()


def test_tiles_with_the_halo_equal_the_whole(small):
    step, halo = small.multiple, small.halo
    height, width = 12 * step + 2 * halo, 4 * step
    photo = _photo(height, width)
    thumbnail = small.thumbnail(photo)
    whole = ops.convert_to_numpy(small((photo, thumbnail)))
    top = 4 * step
    window = photo[:, top : top + 2 * halo + 2 * step]
    part = ops.convert_to_numpy(small((window, thumbnail)))
    inner = slice(halo, halo + 2 * step)
    expected = whole[:, top + halo : top + halo + 2 * step]
    np.testing.assert_allclose(part[:, inner], expected, atol=1e-6)


def test_halo_covers_the_support_and_is_not_idle(small):
    halo, side = small.halo, 2 * small.halo + 2 * small.multiple
    first, second = np.full((2, 1, side, side, 3), 0.99, "float32")
    centre = side // 2
    second[:, centre, centre] = 0.0
    thumbnail = np.zeros((1, 128, 128, 9), "float32")
    encoded = small.encode_photo(thumbnail)[:2]
    # Before the clip to [0, 1], which would hide most of it.
    one, other = (
        sum(
            ops.convert_to_numpy(part)
            for part in small.tone_and_correct(x, *encoded)
        )
        for x in (first, second)
    )
    change = np.abs(one - other)
    rows = np.flatnonzero(change.max((0, 2, 3)))
    reach = max(centre - rows.min(), rows.max() - centre)
    assert halo / 3 < reach <= halo


@pytest.mark.parametrize("size", [(256, 128), (200, 333), (90, 40), (1, 1)])
def test_area_resize_shares_pixels_by_area(size):
    photo = _photo(*size)
    ours = ops.convert_to_numpy(area_resize(ops.convert_to_tensor(photo), 128))[
        0
    ]
    # Independent: repeat every pixel 128 times, then average whole blocks.
    rows = np.repeat(photo[0].mean(1), 128, axis=0)
    expected = rows.reshape(128, -1, 3).mean(1)
    np.testing.assert_allclose(ours.mean(1), expected, atol=1e-5)
    columns = np.repeat(photo[0].mean(0), 128, axis=0)
    expected = columns.reshape(128, -1, 3).mean(1)
    np.testing.assert_allclose(ours.mean(0), expected, atol=1e-5)


@pytest.mark.parametrize("size", [(256, 256), (512, 768), (300, 173)])
def test_thumbnails_hold_means_shares_and_single_pixels(size):
    photo = _photo(*size)
    tensor = ops.convert_to_tensor(photo)
    thumbnail = ops.convert_to_numpy(thumbnails_of(tensor))[0]
    assert thumbnail.shape == (128, 128, THUMBNAIL_CHANNELS)
    view = ops.convert_to_numpy(area_resize(tensor, 256))[0]
    if size == (256, 256):
        np.testing.assert_array_equal(view, photo[0])
    elif size == (512, 768):
        blocks = photo[0].reshape(256, 2, 256, 3, 3)
        np.testing.assert_allclose(view, blocks.mean((1, 3)), atol=1e-6)
    corners = [view[row::2, column::2] for row in (0, 1) for column in (0, 1)]
    shares = [np.clip((corner - 0.97) / 0.025, 0, 1) for corner in corners]
    np.testing.assert_allclose(
        thumbnail[..., :3], np.mean(corners, 0), atol=1e-6
    )
    np.testing.assert_allclose(
        thumbnail[..., 3:6], np.mean(shares, 0), atol=1e-4
    )
    np.testing.assert_array_equal(thumbnail[..., 6:], corners[-1])


def test_clip_share_counts_what_is_nearly_white():
    image = np.array([[[[0.5, 250 / 255, 1.0]]]], "float32")
    share = ops.convert_to_numpy(with_clip_share(image))[0, 0, 0]
    np.testing.assert_allclose(share[:3], image[0, 0, 0])
    np.testing.assert_allclose(share[3], 0)
    assert 0.2 < share[4] < 0.6
    np.testing.assert_allclose(share[5], 1)


def test_saves_and_loads(small, tmp_path):
    path = tmp_path / "model.keras"
    small.save(path)
    photo = _photo(30, 45)
    again = keras.models.load_model(path)
    np.testing.assert_allclose(again(photo), small(photo), atol=1e-6)
