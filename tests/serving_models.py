"""One tiny trained-looking generator and its exports, for the serving tests."""

import dataclasses
import functools
import json
import pathlib
import subprocess
import sys
import tempfile

import keras
import numpy as np
import pytest
from PIL import Image

from tfexposure.blind import BlindRestorer
from tfexposure.config import (
    Config,
    DiscriminatorConfig,
    GeneratorConfig,
    LossConfig,
    RunDir,
)
from tfexposure.layers import spectral_norms
from tfexposure.paper.generator import UNetGenerator

STEP = 7
MODEL = "tfexposure"


def make_generator(**options):
    """A `UNetGenerator` whose every weight matters to the answer."""
    keras.utils.set_random_seed(3)
    generator = UNetGenerator(**{"filters": 4, **options})
    generator.build((None, None, None, 3))
    randomize(generator)
    return generator


def randomize(network):
    random = np.random.default_rng(5)
    for variable in network.weights:
        name = variable.path.split("/")[-1]
        if name in ("moving_mean", "beta", "scale", "bias"):
            variable.assign(random.normal(0, 0.3, variable.shape))
        elif name in ("moving_variance", "gamma"):
            variable.assign(random.uniform(0.5, 4, variable.shape))
        elif name == "kernel" and not spectral_norms(network):
            variable.assign(variable.value * 20)
    return network


def make_restorer():
    """A `BlindRestorer` whose every weight matters to the answer.

    Two levels only: a halo of 24 pixels, so that small photos are tiled.
    """
    keras.utils.set_random_seed(0)
    model = BlindRestorer(
        encoder_widths=(4, 4, 4, 4, 4), embedding_size=8, unet_widths=(4, 6)
    )
    model.build()
    random = np.random.default_rng(0)
    for weight in model.weights:
        # Those that start at zero would hide half of the network.
        if not np.any(weight):
            weight.assign(random.normal(0, 0.05, weight.shape))
    # Curves that are not so likely that the answer is taken in full.
    likely = model.global_branch.logits.bias
    likely.assign(np.asarray(likely) + np.eye(likely.shape[0])[0] * 1.4)
    return model


def answer(generator, image):
    """The generator's answer in Keras: the reference of all exports."""
    return np.asarray(generator(image, training=False))


def picture(height, width, count=1, seed=0):
    """Float32 pictures with edges and noise, in [0, 1]."""
    random = np.random.default_rng(seed)
    coarse = random.uniform(0, 1, (count, height // 8 + 1, width // 8 + 1, 3))
    image = coarse.repeat(8, 1).repeat(8, 2)[:, :height, :width]
    noise = random.normal(0, 0.02, image.shape)
    return np.clip(image + noise, 0, 1).astype("float32")


@functools.cache
def _run_folder():
    from tfexposure.training.checkpoints import Checkpoints
    from tfexposure.training.state import create_state

    # Kept until the process ends, so that every test module sees the same.
    holder = tempfile.TemporaryDirectory()
    run = RunDir(pathlib.Path(holder.name, "run"))
    config = dataclasses.replace(
        Config(),
        generator=GeneratorConfig(filters=4),
        discriminator=DiscriminatorConfig(filters=4),
        # VGG-19 would be downloaded.
        loss=LossConfig(perceptual_weight=0.0),
    )
    run.write_config(config)
    state = create_state(config)
    randomize(state.averaged)
    state.step.assign(STEP)
    Checkpoints(state, run.checkpoints, 1).save()
    return holder, run, state


@pytest.fixture(scope="session")
def trained():
    """(RunDir, TrainState) of a run that stopped after `STEP` steps."""
    _, run, state = _run_folder()
    return run, state


@functools.cache
def _saved_model():
    from tfexposure import runtime, serving

    _, run, _ = _run_folder()
    loaded = runtime.load_run(run.path)
    photos = run.path / "photos"
    photos.mkdir()
    for seed in range(2):
        pixels = np.round(picture(40, 60, seed=seed)[0] * 255)
        image = Image.fromarray(pixels.astype("uint8"))
        image.save(photos / f"{seed}.png")
    try:
        import tensorflow_serving.apis  # noqa: F401
    except ModuleNotFoundError:
        photos = None
    # Small tiles and a low limit, so that small pictures reach both.
    return serving.export_saved_model(
        loaded.generator,
        run.exports / "saved_model",
        loaded.step,
        run=loaded,
        max_pixels=300 * 300,
        tile=32,
        warmup_photos=photos,
    )


@pytest.fixture(scope="session")
def saved_model():
    """Folder of the run's SavedModel: tiles of 32, at most 300 x 300."""
    return _saved_model()


def start_stand_in(base, folder, log):
    """Serves a folder of versions without this package: process, ports."""
    program = pathlib.Path(__file__).with_name("serving_stand_in.py")
    process = subprocess.Popen(
        [sys.executable, program, base, MODEL],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=log,
        cwd=folder,
        text=True,
    )
    line = process.stdout.readline()
    if not line:
        log.seek(0)
        pytest.fail(log.read()[-3000:])
    return process, json.loads(line)
