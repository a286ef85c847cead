"""The blind model's objective, against NumPy."""

import keras
import numpy as np
import pytest
from skimage import data

from tfexposure.blind import BlindRestorer, camera
from tfexposure.blind import objective as objectives
from tfexposure.config import BlindLossConfig
from tfexposure.data.packed import draw_view


@pytest.fixture(scope="module")
def batch():
    """Three photos, exposed."""
    recipe = camera.Recipe(tau_fixed=0.4, jpeg_share=0.0)
    rng = np.random.default_rng((1, 0))
    views = np.stack([draw_view(data.astronaut(), rng, 128) for _ in range(3)])
    drawn = camera.draw_cameras(rng, views, recipe)
    crop = np.zeros(2, "int32")
    return objectives.expose_batch({"photos": views, "crop": crop, **drawn})


def make_restorer(**arguments):
    keras.utils.set_random_seed(2)
    model = BlindRestorer((4, 4, 4, 4, 6), 5, (4, 5), 0.0, **arguments)
    model.build()
    return model


def draw_weights(model):
    rng = np.random.default_rng(2)
    for variable in model.weights:
        if variable.path.split("/")[-1] in ("kernel", "bias"):
            variable.assign(rng.normal(0, 0.1, variable.shape))


def test_curve_terms_follow_their_definition(batch):
    """Against NumPy; without crops there are no others."""
    model = make_restorer(known_stops=1.0)
    weights = BlindLossConfig(curve_log=0.5, shape_log=0.25)
    terms = objectives.blind_losses(model, batch, weights, 64, 0)
    terms = {k: float(np.asarray(value)) for k, value in terms.items()}
    assert sorted(terms) == ["curve", "curve_log", "loss", "shape", "shape_log"]
    exposed, target = (
        np.asarray(batch[name])[:, ::4, ::4]
        for name in ("overexposed", "target")
    )
    # The line that undoes the exposure, whatever the photo.
    toned = exposed * 0.5 ** (1 / 2.2)
    open_share = 1 - np.clip((exposed - 0.9) / 0.09, 0, 1)
    gain = (open_share * toned * target).sum((1, 2, 3)) + 1e-3
    gain /= (open_share * toned**2).sum((1, 2, 3)) + 1e-3
    gain = np.clip(gain, 0.5, 2).reshape(-1, 1, 1, 1)
    for name, image in (("curve", toned), ("shape", toned * gain)):
        error = open_share * np.abs(image - target)
        square = (error**2).mean((1, 2, 3)) / (
            open_share.mean((1, 2, 3)) + 0.02
        )
        np.testing.assert_allclose(terms[name], error.mean(), rtol=1e-3)
        expected = np.log(square + 3e-4).mean()
        np.testing.assert_allclose(terms[f"{name}_log"], expected, rtol=1e-3)
    total = 2 * terms["curve"] + 4 * terms["shape"]
    total += 0.5 * terms["curve_log"] + 0.25 * terms["shape_log"]
    np.testing.assert_allclose(terms["loss"], total, rtol=1e-5)
