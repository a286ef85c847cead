"""Every registered layer keeps its constructor's arguments, and comes back."""

import inspect

import keras
import numpy as np
import pytest
from keras import ops

from tfexposure import perceptual
from tfexposure.blind import (
    BlindRestorer,
    CurveDistribution,
    CurveExpert,
    GlobalEncoder,
    LocalUNet,
)
from tfexposure.layers import (
    BatchNormalization,
    ConvBlock,
    NoiseInjection,
    SpectralNormalization,
    constructor_arguments,
)
from tfexposure.paper.discriminator import PatchDiscriminator
from tfexposure.paper.generator import UNetGenerator

BRANCH = {"widths": (4, 5, 6, 7), "embedding_size": 3, "dropout": 0.1}
# Of every layer all arguments of its own, none at its default.
ARGUMENTS = {
    BatchNormalization: {"momentum": 0.7, "epsilon": 1e-5},
    BlindRestorer: {
        "encoder_widths": (4, 5, 6, 7),
        "embedding_size": 3,
        "unet_widths": (4, 5),
        "dropout": 0.1,
        "clip": (0.95, 0.98),
        "lift": 0.8,
        "known_stops": 1.5,
        "hypotheses": 2,
    },
    ConvBlock: {
        "layer": keras.layers.Conv2D(2, 3, use_bias=False),
        "spectral": False,
        "noise_seed": 5,
        "norm": "instance",
        "activation": "relu",
    },
    CurveDistribution: BRANCH | {"hypotheses": 2},
    CurveExpert: BRANCH,
    GlobalEncoder: BRANCH
    | {
        "use_camera_statistics": True,
        "histogram_step": 2,
    },
    LocalUNet: {"widths": (4, 5)},
    NoiseInjection: {"seed": 6},
    PatchDiscriminator: {
        "filters": 2,
        "field_of_view": 94,
        "norm": "instance",
        "spectral_normalization": False,
    },
    SpectralNormalization: {
        "layer": keras.layers.Dense(2),
        "power_iterations": 3,
    },
    UNetGenerator: {
        "filters": 2,
        "field_of_view": 47,
        "noise": "decoder",
        "norm": "instance",
        "skip": "add",
        "upsampling": "resize",
        "spectral_normalization": False,
    },
    perceptual._Preprocess: {},
}


def parameters(kind):
    return [
        name
        for name, parameter in inspect.signature(kind).parameters.items()
        if parameter.kind == parameter.POSITIONAL_OR_KEYWORD
    ]


def test_no_registered_layer_is_missing_here():
    registered = {
        kind
        for name, kind in keras.saving.get_custom_objects().items()
        if name.startswith("tfexposure>") and issubclass(kind, keras.Layer)
    }
    assert registered == set(ARGUMENTS)
    for kind, arguments in ARGUMENTS.items():
        if kind is not BatchNormalization:  # It has all of Keras's.
            assert set(arguments) == set(parameters(kind)), kind


@pytest.mark.parametrize("kind", ARGUMENTS, ids=lambda kind: kind.__name__)
def test_arguments_are_attributes_and_from_config_gives_an_equal(kind):
    layer = kind(**ARGUMENTS[kind], name="named", dtype="float32")
    for name in parameters(kind):
        assert hasattr(layer, name), name
    for name, value in ARGUMENTS[kind].items():
        assert getattr(layer, name) == value, name
    # Without Keras's name, dtype and the like.
    assert set(constructor_arguments(layer)) == set(parameters(kind))
    config = layer.get_config()
    assert config["name"] == "named"
    clone = kind.from_config(config)
    assert type(clone) is kind
    # Nor may what was given be changed.
    assert clone.get_config() == config == layer.get_config()
    through_json = keras.saving.deserialize_keras_object(
        keras.saving.serialize_keras_object(layer)
    )
    assert through_json.get_config() == config


@pytest.mark.parametrize("kind", [BlindRestorer, CurveDistribution, LocalUNet])
def test_blind_layers_have_one_data_type_and_no_mixed_one(kind):
    layer = kind(**ARGUMENTS[kind] | {"dtype": "float64"})
    policies = {inner.dtype_policy.name for inner in layer._flatten_layers()}
    assert policies == {"float64"}
    assert keras.config.dtype_policy().name == "float32"
    with pytest.raises(ValueError, match="full precision.*mixed_bfloat16"):
        kind(dtype="mixed_bfloat16")


def test_both_branches_come_back_from_a_functional_models_file(tmp_path):
    thumbnail = keras.Input((128, 128, 9))
    features = keras.Input((16, 24, 9))
    slopes, embedding = CurveExpert(**BRANCH)(thumbnail)
    coefficients = LocalUNet((4, 5))(features, embedding)
    model = keras.Model([thumbnail, features], [slopes, coefficients])
    rng = np.random.default_rng(0)
    for variable in model.weights:
        # Those that start at zero would hide half of the network.
        variable.assign(rng.normal(0, 0.1, variable.shape))
    path = tmp_path / "model.keras"
    model.save(path)
    again = keras.saving.load_model(path)
    inputs = [
        rng.uniform(0, 1, (1, *shape)).astype("float32")
        for shape in ((128, 128, 9), (16, 24, 9))
    ]
    for found, expected in zip(again(inputs), model(inputs), strict=True):
        expected = ops.convert_to_numpy(expected)
        assert np.ptp(expected) > 1e-3
        np.testing.assert_allclose(found, expected, atol=1e-6)
