"""Restoring a run and folding its generator."""

import dataclasses
import json
import shutil

import numpy as np
import pytest
from serving_models import (
    STEP,
    answer,
    make_generator,
    picture,
    trained,  # noqa: F401
)

from tfexposure import runtime
from tfexposure.errors import UserError
from tfexposure.layers import spectral_norms

pytestmark = pytest.mark.tf_only


@pytest.mark.parametrize(
    "options",
    [
        dict(),
        dict(norm="none", skip="add"),
        dict(norm="instance", field_of_view=47),
        dict(upsampling="resize", field_of_view=70, noise="decoder"),
        dict(spectral_normalization=False, noise="none"),
    ],
    ids=str,
)
def test_a_folded_generator_answers_the_same(options):
    generator = make_generator(**options)
    folded = runtime.fold(generator)
    image = picture(33, 50, count=2)
    expected = answer(generator, image)
    assert expected.std() > 0.02  # Not a flat answer that anything equals.
    np.testing.assert_allclose(answer(folded, image), expected, atol=1e-5)
    model = runtime.KerasModel(generator)
    restored = [model.restore(one) for one in image]
    np.testing.assert_allclose(restored, expected, atol=1e-5)


def test_a_folded_generator_has_only_convolutions():
    generator = make_generator()
    folded = runtime.fold(generator)
    assert spectral_norms(generator) and not spectral_norms(folded)
    # A kernel and a bias for every convolution.
    assert len(folded.weights) == 2 * len(folded.blocks())


def test_folding_leaves_the_generator_alone():
    generator = make_generator()
    before = [np.array(weight) for weight in generator.weights]
    runtime.KerasModel(generator)
    for old, weight in zip(before, generator.weights, strict=True):
        np.testing.assert_array_equal(old, weight)


def test_tiles_of_instance_normalisation_are_not_called_exact():
    model = runtime.KerasModel(make_generator(norm="instance"))
    assert not model.exact_tiles
    assert runtime.make_manifest(model)["exact_tiles"] is False
    assert runtime.KerasModel(make_generator()).halo == 96


@pytest.mark.parametrize("weights", ["averaged", "live"])
def test_a_run_is_restored(trained, weights):  # noqa: F811
    run, state = trained
    loaded = runtime.load_run(run.path, weights)
    assert (loaded.step, loaded.weights) == (STEP, weights)
    source = (
        state.averaged if weights == "averaged" else state.networks["generator"]
    )
    for ours, theirs in zip(
        loaded.generator.weights, source.weights, strict=True
    ):
        np.testing.assert_array_equal(ours, theirs)


def test_a_run_without_averaging_gives_its_live_weights(
    trained,  # noqa: F811
    tmp_path,
):
    run, state = trained
    shutil.copytree(run.path, tmp_path / "run")
    path = tmp_path / "run" / "config.json"
    config = json.loads(path.read_text())
    config["train"]["ema"] = 0.0
    path.write_text(json.dumps(config))
    loaded = runtime.load_run(tmp_path / "run")
    assert loaded.weights == "live"
    np.testing.assert_array_equal(
        loaded.generator.weights[0], state.networks["generator"].weights[0]
    )


def test_a_run_that_cannot_be_restored_says_why(trained, tmp_path):  # noqa: F811
    run, _ = trained
    with pytest.raises(UserError, match="not the folder of a run"):
        runtime.load_run(tmp_path)
    with pytest.raises(UserError, match="no checkpoint of step 8; there are 7"):
        runtime.load_run(run.path, step=8)
    with pytest.raises(ValueError, match="`weights`"):
        runtime.load_run(run.path, weights="best")
    config = run.read_config()
    wider = dataclasses.replace(
        config, generator=dataclasses.replace(config.generator, filters=8)
    )
    shutil.copytree(run.path, tmp_path / "run")
    (tmp_path / "run" / "config.json").write_text(wider.to_json())
    with pytest.raises(UserError, match="does not hold the generator"):
        runtime.load_run(tmp_path / "run")
    shutil.rmtree(tmp_path / "run" / "checkpoints")
    with pytest.raises(UserError, match="no checkpoint"):
        runtime.load_run(tmp_path / "run")
