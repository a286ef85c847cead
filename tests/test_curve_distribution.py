"""The distribution of tone curves, against NumPy."""

import keras
import numpy as np
import pytest
from keras import ops

from tfexposure.blind import KNOTS, BlindRestorer, CurveDistribution
from tfexposure.blind import objective as objectives
from tfexposure.blind.curve_distribution import CurveErrors
from tfexposure.config import BlindLossConfig
from tfexposure.imaging.thumbnail import thumbnails_of

PIECES = len(KNOTS) - 1


def curve(image, slopes):
    """One tone curve, by NumPy's own interpolation."""
    heights = np.concatenate([[0], np.cumsum(slopes * np.diff(KNOTS))])
    return np.interp(image, KNOTS, heights)


def images(count=2, size=16, seed=0):
    rng = np.random.default_rng(seed)
    return rng.uniform(0, 1, (count, size, size, 3)).astype("float32")


def some_slopes(count=2, hypotheses=3, seed=1):
    rng = np.random.default_rng(seed)
    return rng.uniform(0.3, 1.2, (count, hypotheses, PIECES)).astype("float32")


@pytest.fixture(scope="module")
def branch():
    keras.utils.set_random_seed(2)
    branch = CurveDistribution((4, 4, 4, 4, 6), 5, 0.0, hypotheses=3)
    branch.build((None, 128, 128, 9))
    return branch


@pytest.fixture(scope="module")
def thumbnail():
    return ops.convert_to_numpy(thumbnails_of(images(2, 256)))


def test_curve_errors_follow_their_definition():
    image, target, weight = images(), images(seed=3), images(seed=4)
    slopes = some_slopes()
    errors = CurveErrors(image, target, weight)
    square = ops.convert_to_numpy(errors.square(slopes))
    best = ops.convert_to_numpy(errors.square_best_gain(slopes))
    for n in range(2):
        w = weight[n] / (weight[n].sum() + 0.02 * weight[n].size)
        for k in range(3):
            toned = curve(image[n], slopes[n, k])
            wanted = (w * (toned - target[n]) ** 2).sum()
            np.testing.assert_allclose(square[n, k], wanted + 3e-4, rtol=1e-4)
            own, both = (w * toned**2).sum(), (w * toned * target[n]).sum()
            gain = np.clip((both + 1e-3) / (own + 1e-3), 0.5, 2)
            wanted = (w * (gain * toned - target[n]) ** 2).sum()
            np.testing.assert_allclose(best[n, k], wanted + 3e-4, rtol=1e-4)


def test_the_first_hypothesis_leaves_the_photo_alone(branch, thumbnail):
    slopes, logits, embedding = branch.distribution(thumbnail)
    assert slopes.shape == (2, 4, PIECES) and logits.shape == (2, 4)
    assert embedding.shape == (2, 5)
    slopes = ops.convert_to_numpy(slopes)
    assert (slopes[:, 0] == 1).all()
    # The others begin apart from each other, each darker than the last.
    assert (np.diff(slopes.mean(axis=2), axis=1) < 0).all()


@pytest.mark.parametrize("sure", range(4))
def test_the_surest_hypothesis_is_chosen(branch, thumbnail, sure):
    slopes = np.ones((2, 4, PIECES), "float32")
    slopes[:, 1:] = np.array([0.8, 0.5, 0.3])[:, None]
    logits = np.full((2, 4), -4.0, "float32")
    logits[:, sure] = 4
    chosen, share = map(
        ops.convert_to_numpy, branch.choose(slopes, logits, thumbnail)
    )
    if sure:
        np.testing.assert_allclose(chosen, slopes[:, sure], rtol=0.02)
        assert (share > 0.99).all()
    else:
        assert (share < 0.01).all() and (chosen > 0.7).all()


def test_two_near_guesses_outweigh_one_far_away(branch, thumbnail):
    slopes = np.ones((2, 4, PIECES), "float32")
    slopes[:, 1:] = np.array([0.3, 0.79, 0.8])[:, None]
    logits = np.log([[1e-3, 0.4, 0.3, 0.3]] * 2).astype("float32")
    chosen, _ = branch.choose(slopes, logits, thumbnail)
    np.testing.assert_allclose(chosen, 0.795, rtol=0.03)


def test_stops_and_their_spread(branch):
    grey = ops.convert_to_numpy(
        thumbnails_of(np.full((1, 256, 256, 3), 0.5, "float32"))
    )
    slopes = np.ones((1, 4, PIECES), "float32")
    slopes[:, 1] = 2.0 ** (-2 / 2.2)
    logits = np.array([[0.0, 0.0, -60.0, -60.0]], "float32")
    mean, spread = branch.stops(slopes, logits, grey)
    np.testing.assert_allclose([mean[0], spread[0]], [1.0, 1.0], rtol=1e-3)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(3)
    model = BlindRestorer((4, 4, 4, 4, 6), 5, (4, 5), 0.0, hypotheses=2)
    model.build()
    return model


def test_losses_are_the_surprise(model):
    photos = images(3, 256)
    batch = {
        "overexposed": photos,
        "target": photos * np.float32(0.7),
        "thumbnail": thumbnails_of(photos),
    }
    weights = BlindLossConfig(surprise=0.5, likelihood_power=2.0)
    found = objectives.blind_losses(model, batch, weights, 64, 0)
    found = {name: float(value) for name, value in found.items()}
    slopes, logits, _ = map(
        ops.convert_to_numpy,
        model.global_branch.distribution(batch["thumbnail"]),
    )
    seen, wanted = photos[:, ::4, ::4], batch["target"][:, ::4, ::4]
    weight = 1 - ops.convert_to_numpy(model.clip_mask(seen))
    errors = CurveErrors(seen, wanted, weight)
    square, best = (
        np.log(ops.convert_to_numpy(each))
        for each in (errors.square(slopes), errors.square_best_gain(slopes))
    )
    probable = np.exp(logits) / np.exp(logits).sum(axis=1, keepdims=True)
    density = (probable * np.exp(-2 * (square + 0.3 * best))).sum(axis=1)
    surprise = -np.log(density).mean()
    np.testing.assert_allclose(found["surprise"], surprise, rtol=1e-4)
    np.testing.assert_allclose(found["loss"], 0.5 * surprise, rtol=1e-4)
    np.testing.assert_allclose(found["best"], square.min(axis=1).mean(), 1e-4)


def test_a_photo_that_needs_nothing_stays(model):
    photo = images(1, 64)
    layer = model.global_branch.logits
    layer.bias.assign([9.0, -9.0, -9.0])
    same = ops.convert_to_numpy(model(photo))
    np.testing.assert_allclose(same, photo, atol=0.01)
    layer.bias.assign([-9.0, -9.0, 9.0])
    assert ops.convert_to_numpy(model(photo)).mean() < 0.6 * photo.mean()


def test_real_pairs_are_taken_as_they_are():
    rng = np.random.default_rng(4)
    photos, over = rng.integers(0, 256, (2, 2, 32, 32, 3), "uint8")
    from tfexposure.blind import camera

    drawn = camera.draw_cameras(rng, photos, camera.Recipe())
    batch = {
        "photos": photos,
        "over": over,
        "pair": np.array([1, 0], "float32"),
        "crop": np.zeros(2, "int32"),
        **drawn,
    }
    found = objectives.expose_batch(batch)
    overexposed = ops.convert_to_numpy(found["overexposed"])
    target = ops.convert_to_numpy(found["target"])
    np.testing.assert_allclose(overexposed[0], over[0] / 255, atol=1e-6)
    np.testing.assert_allclose(target[0], photos[0] / 255, atol=1e-6)
    assert np.abs(overexposed[1] - over[1] / 255).max() > 0.1
