"""The discriminator: patches, field of view, files."""

import keras
import numpy as np
import pytest
from keras import ops

from tfexposure.layers import spectral_norms
from tfexposure.paper.discriminator import PatchDiscriminator
from tfexposure.paper.field_of_view import field_of_view

RNG = np.random.default_rng(0)


def pair(size, batch=1):
    return tuple(
        RNG.random((batch, size, size, 3)).astype("float32") for _ in range(2)
    )


@pytest.mark.parametrize(("preset", "layers"), [(70, 5), (94, 5), (140, 6)])
def test_presets(preset, layers):
    model = PatchDiscriminator(filters=2, field_of_view=preset)
    logits = ops.convert_to_numpy(model(pair(256)))
    side = 256 // 2**layers
    assert logits.shape == (1, side, side, 1)
    assert field_of_view(model) == preset
    assert len(spectral_norms(model)) == layers


@pytest.mark.parametrize("preset", [70, 94, 140])
def test_field_of_view_by_brute_force(preset):
    model = PatchDiscriminator(filters=2, field_of_view=preset, norm="none")
    first, second = (photo[:, :64] for photo in pair(320))
    inputs = np.repeat(second, 321, axis=0)
    for column in range(320):
        inputs[column + 1, :, column] = RNG.random((64, 3))
    logits = ops.convert_to_numpy(
        model((np.repeat(first, 321, axis=0), inputs))
    )
    middle = logits.shape[2] // 2
    seen = np.flatnonzero(np.any(logits[1:] != logits[:1], (1, 3))[:, middle])
    assert seen.max() - seen.min() + 1 == preset


def test_it_judges_the_pair():
    model = PatchDiscriminator(filters=4)
    first, second = pair(64)
    logits = ops.convert_to_numpy(model((first, second)))
    swapped = ops.convert_to_numpy(model((second, first)))
    assert not np.allclose(logits, swapped)


def test_width_doubles_up_to_eight_times():
    model = PatchDiscriminator(filters=4, field_of_view=140)
    widths = [block.layer.filters for block in model.blocks]
    assert widths == [4, 8, 16, 32, 32, 1]
    norms = [block.norm for block in model.blocks]
    assert norms == ["none"] + ["batch"] * 4 + ["none"]


def test_keras_file(tmp_path):
    model = PatchDiscriminator(filters=4, field_of_view=94)
    inputs = pair(64)
    logits = ops.convert_to_numpy(model(inputs))
    model.save(tmp_path / "discriminator.keras")
    loaded = keras.models.load_model(tmp_path / "discriminator.keras")
    np.testing.assert_array_equal(ops.convert_to_numpy(loaded(inputs)), logits)
    assert loaded.get_config()["field_of_view"] == 94


def test_unknown_field_of_view_is_refused():
    with pytest.raises(ValueError, match="70, 94, 140.*71"):
        PatchDiscriminator(field_of_view=71)
