"""Whole runs through the script: resuming, signals, and what a run leaves."""

import dataclasses
import json
import random
import signal

import numpy as np
import pytest
import tensorflow as tf
import training_support as support
from PIL import Image

from tfexposure.config import RunDir
from tfexposure.errors import UserError
from tfexposure.training import loop
from tfexposure.training.step_tensorflow import TensorFlowBackend

pytestmark = pytest.mark.tf_only

STEPS = 60


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    photos = support.write_photos(tmp_path_factory.mktemp("photos"), 7)
    return support.tiny_config(
        photos,
        train={
            "steps": STEPS,
            "deterministic": True,
            "checkpoint_every": 7,
            "keep_checkpoints": 2,
            "validate_every": 30,
            "sample_every": 30,
            "schedule": "cosine",
            "clip_norm": 30.0,
            "ema": 0.95,
            "seed": 5,
        },
        data={"validation_source": str(photos), "tau_max": 0.9},
    )


def cached(config):
    data = dataclasses.replace(config.data, cache="memory")
    return dataclasses.replace(config, data=data)


@pytest.fixture(scope="module")
def runs(config, tmp_path_factory):
    """One run at a stretch, and one that was killed and interrupted."""
    folder = tmp_path_factory.mktemp("runs")
    straight = support.start(folder / "straight", config)
    other = support.start(folder / "other", config)
    kill_at = random.randint(1, 30)
    support.wait_for_step(other, kill_at)
    other.kill()
    other.wait()

    # Photos may come from memory from here on.
    other = support.start(folder / "other", cached(config))
    support.wait_for_step(other, kill_at + 10)
    other.send_signal(signal.SIGTERM)
    outputs = {"interrupted": support.finish(other, code=75)}

    other = support.start(folder / "other", cached(config))
    outputs["resumed"] = support.finish(other)
    outputs["straight"] = support.finish(straight)
    print(f"killed at step {kill_at}")
    return folder, outputs


def test_interruption_says_where_and_saves(runs):
    folder, outputs = runs
    message = outputs["interrupted"][1]
    assert "interrupted: SIGTERM after step" in message
    step = int(message.split("after step ")[1].split(";")[0])
    first = outputs["resumed"][0].splitlines()[0]
    assert f"resumed at step {step};" in first


def test_resumed_trace_equals_the_straight_one(runs):
    folder, _ = runs
    straight = support.read_scalars(folder / "straight")
    other = support.read_scalars(folder / "other")
    compared = 0
    for (tag, step), value in straight.items():
        if tag.split("/")[0] in ("loss", "grad_norm", "sigma", "metrics"):
            # A killed process may not have written its last steps; they are
            # there from the one that took over.
            assert other[tag, step] == value, (tag, step)
            compared += 1
    assert compared > 9 * STEPS


def test_resumed_state_equals_the_straight_one(runs):
    folder, _ = runs
    straight = support.read_checkpoint(folder / "straight", STEPS)
    other = support.read_checkpoint(folder / "other", STEPS)
    assert straight.keys() == other.keys()
    # Networks, average, both optimisers' moments, counters.
    assert len(straight) > 300
    for name, value in straight.items():
        np.testing.assert_array_equal(other[name], value, name)


def test_checkpoints_kept(runs):
    folder, _ = runs
    names = {
        path.stem for path in RunDir(folder / "straight").checkpoints.iterdir()
    }
    assert names == {"ckpt-56", f"ckpt-{STEPS}"}


def test_folder_tells_what_the_run_was(runs, config):
    folder, _ = runs
    assert RunDir(folder / "straight").read_config() == config
    assert RunDir(folder / "other").read_config() == cached(config)
    starts = support.read_json(folder / "other" / "run.json")["starts"]
    assert len(starts) == 3
    assert starts[0]["step"] == 0 < starts[1]["step"] + 1 < starts[2]["step"]
    for start in starts:
        assert start["data"] == starts[0]["data"]
        assert f"--train.steps={STEPS}" in start["command"]
        assert set(start["versions"]) >= {"tensorflow", "keras", "tfexposure"}
    assert starts[0]["data"]["train"]["count"] == 7
    assert len(starts[0]["data"]["train"]["fingerprint"]) == 64


def test_tensorboard_scalars(runs):
    scalars = support.read_scalars(runs[0] / "straight")
    tags = {tag for tag, step in scalars if step == STEPS}
    assert tags >= {
        "loss/generator",
        "loss/discriminator",
        "loss/adversarial",
        "loss/content",
        "grad_norm/generator",
        "grad_norm/discriminator",
        "sigma/generator_max",
        "sigma/discriminator_max",
        "metrics/discriminator_accuracy",
        "metrics/psnr",
        "metrics/ssim",
        "metrics/l1",
        "metrics/psnr_best_gain",
        "metrics/score",
        "perf/images_per_second",
        "perf/peak_memory_gib",
        "optimizer/learning_rate",
    }
    # Cosine over the second half of the steps.
    # Of the step itself, which began after one step less.
    rates = [scalars["optimizer/learning_rate", s] for s in (10, 31, 46, 60)]
    expected = [2e-4, 2e-4, 1e-4, 1e-4 * (1 - np.cos(np.pi / 30))]
    np.testing.assert_allclose(rates, expected, atol=1e-9)


def test_hparams(runs):
    hparams = support.read_hparams(runs[0] / "straight")
    assert hparams["generator.filters"] == 4
    assert hparams["train.schedule"] == "cosine"
    assert hparams["train.deterministic"] is True
    assert hparams["data.tau_max"] == 0.9


def test_progress_line(runs):
    lines = runs[1]["straight"][0].splitlines()
    line = next(line for line in lines if line.startswith("step 40/60"))
    for word in ("generator", "discriminator", "images/s", "ETA 0:00", "GiB"):
        assert word in line


def test_image_grid(runs):
    folder = RunDir(runs[0] / "straight").samples
    grids = sorted(folder.iterdir())
    assert [grid.name for grid in grids] == [
        "step-00000030.png",
        "step-00000060.png",
    ]
    # All seven photos, one below the other: overexposed, restored, target (tau
    # is random, so there is no column for the inverse).
    pixels = np.asarray(Image.open(grids[0])).astype(float)
    crop = support.CROP
    assert pixels.shape == (7 * crop, 3 * crop, 3)
    columns = np.split(pixels, 3, axis=1)
    later = np.split(np.asarray(Image.open(grids[1])).astype(float), 3, axis=1)
    np.testing.assert_array_equal(columns[0], later[0])
    np.testing.assert_array_equal(columns[2], later[2])
    assert np.abs(columns[1] - later[1]).mean() > 0.1
    assert columns[0].mean() > columns[2].mean() + 5


def test_best_weights(runs):
    folder = RunDir(runs[0] / "straight").best
    best = support.read_json(folder / "metrics.json")
    scalars = support.read_scalars(runs[0] / "straight")
    psnr = {s: scalars["metrics/psnr", s] for s in (30, 60)}
    assert best["step"] == max(psnr, key=psnr.get)
    assert best["psnr"] == pytest.approx(max(psnr.values()), rel=1e-5)
    assert (folder / "generator.weights.h5").stat().st_size > 100_000


def test_other_settings_do_not_resume(runs, config):
    folder, _ = runs
    changed = json.loads(config.to_json())
    changed["generator"]["filters"] = 5
    with pytest.raises(UserError, match="generator.filters: 5, not 4"):
        loop.train(
            type(config).from_dict(changed),
            folder / "straight",
            TensorFlowBackend(tf.distribute.get_strategy()),
        )


def test_missing_photos_are_one_line(config, tmp_path):
    changed = json.loads(config.to_json())
    changed["data"]["source"] = str(tmp_path / "nowhere")
    process = support.start(tmp_path / "run", type(config).from_dict(changed))
    _, err = support.finish(process, code=1)
    assert "error: data source" in err and "nowhere" in err
    assert "Traceback" not in err
    assert not (tmp_path / "run").exists()
