"""Files of tensorflow-addons' time; see fixtures/legacy/make_fixture.py."""

import pathlib

import keras
import numpy as np
import pytest

from tfexposure.errors import UserError
from tfexposure.layers import SpectralNormalization, update_spectral_norms
from tfexposure.paper.generator import UNetGenerator
from tfexposure.paper.legacy_weights import load_legacy

pytestmark = pytest.mark.tf_only
FIXTURES = pathlib.Path(__file__).parent / "fixtures" / "legacy"
FILES = ["{}.h5", "{}.weights.h5", "{}_ckpt"]


def make_unet(**options):
    options = {"filters": 2, "field_of_view": 47, "noise": "none", **options}
    model = UNetGenerator(**options)
    model.build((None, None, None, 3))
    return model


def make_chain():
    layers = keras.layers
    return keras.Sequential(
        [
            keras.Input((6, 7, 3)),
            SpectralNormalization(
                layers.Conv2DTranspose(4, 3, strides=2, padding="same")
            ),
            layers.ReLU(),
            layers.Conv2D(5, 3, padding="same"),
            SpectralNormalization(layers.Dense(3)),
        ]
    )


@pytest.mark.parametrize("file", FILES)
@pytest.mark.parametrize("name", ["unet", "chain"])
def test_the_answer_is_that_of_tensorflow_2_15(name, file):
    model = make_unet() if name == "unet" else make_chain()
    expected = np.load(FIXTURES / f"{name}.npz")
    before = model(expected["image"])
    load_legacy(FIXTURES / file.format(name), model)
    answer = model(expected["image"])
    assert np.abs(before - expected["answer"]).max() > 1e-3
    np.testing.assert_allclose(answer, expected["answer"], atol=1e-6)


def test_a_generator_with_noise_takes_the_weights_too():
    model = make_unet(noise="all")
    load_legacy(FIXTURES / "unet.h5", model)
    expected = np.load(FIXTURES / "unet.npz")
    np.testing.assert_allclose(
        model(expected["image"]), expected["answer"], atol=1e-6
    )


def test_training_goes_on_with_a_true_spectral_norm():
    model = make_chain()
    load_legacy(FIXTURES / "chain.h5", model)
    for _ in range(30):
        update_spectral_norms(model)
    layer = model.layers[0]
    kernel = np.array(layer.normalized_kernel())
    largest = np.linalg.svd(kernel.reshape(-1, 3), compute_uv=False)[0]
    assert abs(largest - 1) < 1e-3


def test_a_model_in_a_checkpoint_is_found_by_name():
    model = make_chain()
    load_legacy(FIXTURES / "chain_ckpt", model, root="generator")
    with pytest.raises(UserError, match="holds no critic.*generator"):
        load_legacy(FIXTURES / "chain_ckpt", model, root="critic")


@pytest.mark.parametrize("file", FILES)
def test_another_model_s_file_is_refused_and_changes_nothing(file):
    model = make_chain()
    before = [np.array(weight) for weight in model.weights]
    with pytest.raises(UserError, match="unet"):
        load_legacy(FIXTURES / file.format("unet"), model)
    for old, weight in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(old, weight)
    with pytest.raises(UserError, match="shape|layers"):
        load_legacy(FIXTURES / file.format("unet"), make_unet(filters=3))


def test_files_of_no_kind_are_refused(tmp_path):
    with pytest.raises(UserError, match="expected a .h5 file"):
        load_legacy(tmp_path / "nothing", make_chain())
    (tmp_path / "text.h5").write_text("hello")
    with pytest.raises(UserError, match="not a readable HDF5 file"):
        load_legacy(tmp_path / "text.h5", make_chain())
