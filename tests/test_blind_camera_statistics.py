"""What single pixels tell about the camera, against NumPy."""

import numpy as np
import pytest
from keras import ops

from tfexposure.blind import (
    LEVELS,
    GlobalEncoder,
    camera_statistics,
    soft_histogram,
)

HAT = np.eye(len(LEVELS))


def _photos(count=2, seed=0):
    """A smooth picture with a blown part, so that every statistic is alive."""
    rng = np.random.default_rng(seed)
    down, across = np.mgrid[0:128, 0:128] / 127
    rows = []
    for _ in range(count):
        wave = np.sin(
            3 * down[..., None] * rng.uniform(1, 3, 3) + across[..., None]
        )
        noise = rng.normal(0, 0.03, (128, 128, 3))
        rows.append(0.65 + 0.5 * wave + noise)
    return np.clip(rows, 0, 1).astype("float32")


def _means_by(values, picture, weight=None):
    """Of one photo: sums and shares by level, from `np.interp` alone."""
    weight = np.ones_like(picture) if weight is None else weight
    shares = np.array(
        [(weight * np.interp(values, LEVELS, hat)).mean() for hat in HAT]
    )
    sums = np.array(
        [
            (weight * picture * np.interp(values, LEVELS, hat)).mean()
            for hat in HAT
        ]
    )
    return shares, sums


def _spread(shares):
    return 2 * np.sqrt(np.asarray(shares) + 1e-4)


def test_soft_histogram_shares_pixels_out_between_neighbouring_levels():
    photos = _photos()
    values, picture = photos[..., 0], photos[..., 2]
    found = ops.convert_to_numpy(soft_histogram(values, picture))
    assert found.shape == (2, 2, len(LEVELS))
    for row, value, second in zip(found, values, picture, strict=True):
        shares, sums = _means_by(value, second)
        np.testing.assert_allclose(row[0], shares, atol=2e-6)
        np.testing.assert_allclose(row[1], sums, atol=2e-6)
        np.testing.assert_allclose(row.sum(-1), [1, second.mean()], rtol=1e-4)


def test_camera_statistics_are_what_numpy_finds():
    photos = _photos()
    means = photos[:, ::-1]
    found = ops.convert_to_numpy(camera_statistics(photos, means))
    assert found.shape == (2, 314)
    for row, photo, mean in zip(found, photos, means, strict=True):
        expected = np.concatenate([*_tones(photo), *_clips(photo)])
        np.testing.assert_allclose(row[:-48], expected, atol=2e-4)
        blocks = mean.reshape(4, 32, 4, 32, 3).mean((1, 3))
        colours = 2 * blocks.ravel() - 1
        np.testing.assert_allclose(row[-48:], colours, atol=1e-5)


def _tones(photo):
    luminance = photo @ np.array([0.27, 0.67, 0.06])
    largest, smallest = photo.max(-1), photo.min(-1)
    colour = largest - smallest
    bright = _means_by(luminance, colour)
    large = _means_by(largest, colour / (largest + 0.02))
    small = _means_by(smallest, colour)
    yield from (_spread(shares) for shares, _ in (bright, large, small))
    yield from (2 * sums / (shares + 2e-3) for shares, sums in (bright, large))


def _clips(photo):
    clipped = np.clip((photo - 0.97) / 0.025, 0, 1)
    red, green, blue = np.moveaxis(clipped, -1, 0)
    joint = []
    for channels in range(1, 8):
        one = red if channels & 1 else 1 - red
        two = green if channels & 2 else 1 - green
        three = blue if channels & 4 else 1 - blue
        joint.append((one * two * three).mean())
    yield _spread(joint)
    around = np.pad(clipped, ((1, 1), (1, 1), (0, 0)))
    widest = np.max(
        [
            around[row : row + 128, column : column + 128]
            for row in range(3)
            for column in range(3)
        ],
        axis=0,
    )
    beside = (1 - clipped) * widest
    assert beside.mean() > 0.005
    for channel in range(3):
        weight = beside[..., channel]
        shares, _ = _means_by(photo[..., channel], weight, weight)
        yield _spread(shares / (weight.mean() + 1e-3))
        yield _spread([weight.mean()])


@pytest.mark.parametrize("told", [False, True])
def test_statistics_tell_how_pixels_lie(told):
    encoder = GlobalEncoder((4, 4, 4, 4, 6), 5, 0.0, told)
    samples = _photos(1)
    rng = np.random.default_rng(1)
    order = rng.permutation(128 * 128)
    shuffled = samples.reshape(1, -1, 3)[:, order].reshape(samples.shape)
    rest = np.zeros((1, 128, 128, 6), "float32")
    first, second = (
        np.concatenate([rest, part], -1) for part in (samples, shuffled)
    )
    encoder(first)
    for variable in encoder.trainable_variables:
        variable.assign(rng.normal(0, 0.3, variable.shape))
    one, other = (
        ops.convert_to_numpy(encoder(part)) for part in (first, second)
    )
    assert (np.abs(one - other).max() > 1e-3) == told


@pytest.mark.parametrize("value", [0.0, 1.0])
def test_plain_images_have_finite_statistics(value):
    photo = np.full((1, 128, 128, 3), value, "float32")
    assert np.isfinite(
        ops.convert_to_numpy(camera_statistics(photo, photo))
    ).all()
