"""Named weights, and that shipped models answer as they always did."""

import json
import sys

import keras
import numpy as np
import pytest
from keras import layers, ops

from tfexposure import pretrained
from tfexposure.errors import UserError
from tfexposure.weights import named_weights, pack_weights, read_weights


class Network(keras.Model):
    """Layers in an attribute, a list of pairs and a dict."""

    def __init__(self, width=2):
        super().__init__()
        self.pairs = [(layers.Dense(3), layers.Dense(3))]
        self.by_level = {2: layers.BatchNormalization()}
        self.head = layers.Dense(width)
        self.again = self.head
        self(np.zeros((1, 3), "float32"))

    def call(self, inputs):
        for first, second in self.pairs:
            inputs = second(first(inputs))
        return self.head(self.by_level[2](inputs))


@pytest.fixture
def packed(tmp_path):
    network = Network()
    rng = np.random.default_rng(0)
    network.set_weights(
        [rng.integers(-4, 5, w.shape) / 4.0 for w in network.weights]
    )
    path = tmp_path / "weights.npz"
    path.write_bytes(pack_weights(network))
    return network, path


def test_names_are_the_attributes_that_lead_to_the_weights(packed):
    names = set(named_weights(packed[0]))
    assert {"pairs.0.1.kernel", "by_level.2.gamma", "head.bias"} <= names
    assert len(names) == len(packed[0].weights) == 10


def test_weights_come_back_by_name_whatever_their_order(packed):
    network, path = packed
    with np.load(path) as file:
        arrays = dict(file)
    np.savez(path, **dict(reversed(arrays.items())))
    other = Network()
    read_weights(other, path)
    for mine, theirs in zip(other.weights, network.weights, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_packing_twice_gives_the_same_bytes(packed):
    assert pack_weights(packed[0]) == packed[1].read_bytes()


def test_other_files_are_refused_and_nothing_is_assigned(packed, tmp_path):
    _, path = packed
    other = Network(width=5)
    before = other.get_weights()
    with pytest.raises(UserError, match=r"head\.(kernel|bias) has shape"):
        read_weights(other, path)
    with np.load(path) as file:
        arrays = dict(file)
    arrays["tail.bias"] = arrays.pop("head.bias")
    np.savez(path, **arrays)
    with pytest.raises(UserError, match=r"lacks 1 .*such as head\.bias"):
        read_weights(other, path)
    path.write_bytes(b"PK\x03\x04 no zip")
    with pytest.raises(UserError, match="expected an .npz of named weights"):
        read_weights(other, path)
    for mine, old in zip(other.get_weights(), before, strict=True):
        np.testing.assert_array_equal(mine, old)


def test_hidden_layers_are_an_error():
    class Hidden(Network):
        def __init__(self):
            self._hidden = layers.Dense(3)
            super().__init__()

        def call(self, inputs):
            return super().call(self._hidden(inputs))

    with pytest.raises(ValueError, match="unreachable"):
        named_weights(Hidden())


@pytest.mark.parametrize("name", pretrained.names())
def test_shipped_models_answer_as_before(name, repository):
    """Moves and new names change nothing; see fixtures/make_golden.py."""
    if name == "paper_random" and keras.backend.backend() == "jax":
        pytest.skip("the network of `paper`, whose other weights say no more")
    folder = repository / "tests" / "fixtures"
    sys.path.insert(0, str(folder))
    try:
        from make_golden import overexposed_image
    finally:
        sys.path.remove(str(folder))
    answer = pretrained.load_pretrained(name)(overexposed_image())
    # Rounding alone: kernels for other processors differ by 3e-7, JAX by 1e-6.
    limit = 1e-6 if keras.backend.backend() == "tensorflow" else 3e-6
    with np.load(folder / "golden.npz") as golden:
        np.testing.assert_allclose(
            ops.convert_to_numpy(answer), golden[name], rtol=0, atol=limit
        )


@pytest.mark.parametrize("name", pretrained.names())
def test_manifests_are_strict_and_their_settings_parse(name):
    from tfexposure.blind.camera import Recipe
    from tfexposure.config import BlindLossConfig, Config, LossConfig

    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    text = (pretrained.FOLDER / f"{name}.json").read_text()
    settings = json.loads(text, parse_constant=refuse)["settings"]
    if "task" in settings:
        Config.from_dict(settings).validate()
        return
    # Lamps were painted into photos then.
    recipe = {k: v for k, v in settings["recipe"].items() if k != "glow"}
    Recipe(**recipe)
    loss = {"paper": LossConfig, "natural": BlindLossConfig}[settings["model"]]
    loss(**settings["weights"])
