"""A run that cannot save: one line, an exit code, and nothing lost."""

import dataclasses
import pathlib
import resource
import subprocess

import numpy as np
import pytest
import tensorflow as tf
import training_support as support

from tfexposure.config import RunDir
from tfexposure.training import loop
from tfexposure.training.checkpoints import Checkpoints, existing_checkpoints
from tfexposure.training.state import create_state
from tfexposure.training.step_tensorflow import TensorFlowBackend

pytestmark = pytest.mark.tf_only


@pytest.fixture(scope="module")
def config(tmp_path_factory):
    photos = support.write_photos(tmp_path_factory.mktemp("photos"), 7)
    train = {"steps": 3, "checkpoint_every": 1, "keep_checkpoints": 50}
    plain = {"noise": "none", "spectral_normalization": False}
    return support.tiny_config(
        photos,
        train=train,
        generator=plain,
        discriminator={"spectral_normalization": False},
    )


@pytest.fixture
def run_dir(config, tmp_path):
    """A run that saved its steps 1 to 3."""
    run = RunDir(tmp_path / "run")
    run.write_config(config)
    state = create_state(config)
    checkpoints = Checkpoints(state, run.checkpoints, keep=50)
    for step in (1, 2, 3):
        state.step.assign(step)
        checkpoints.save()
    return run.path


def until(config, steps):
    train = dataclasses.replace(config.train, steps=steps)
    return dataclasses.replace(config, train=train)


def saved_steps(run_dir):
    return [
        int(pathlib.Path(path).stem.split("-")[1])
        for path in existing_checkpoints(RunDir(run_dir).checkpoints)
    ]


def assert_one_line(error, reason):
    assert error.startswith("error: could not save a checkpoint to ")
    assert f"{reason}. Older" in error
    assert "{{" not in error
    assert error.endswith("Older checkpoints are intact.\n")
    assert error.count("\n") == 1


def limit_files(size):
    """Makes writing beyond `size` bytes of a file fail, as a quota does."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))


def test_file_limit_while_saving(config, run_dir):
    assert saved_steps(run_dir) == [1, 2, 3]
    before = support.read_checkpoint(run_dir, 3)

    process = support.start(
        run_dir, until(config, 6), preexec_fn=lambda: limit_files(100_000)
    )
    out, error = support.finish(process, code=1)
    assert "resumed at step 3" in out
    assert_one_line(error, "File too large")
    assert saved_steps(run_dir) == [1, 2, 3]
    after = support.read_checkpoint(run_dir, 3)
    for name, value in before.items():
        np.testing.assert_array_equal(after[name], value, name)


def test_no_room_for_anything(config, tmp_path):
    run_dir = tmp_path / "run"
    process = support.start(
        run_dir, config, preexec_fn=lambda: limit_files(1000)
    )
    _, error = support.finish(process, code=1)
    assert error == (
        f"error: could not write to {run_dir}: File too large. The same "
        "command goes on from the newest checkpoint.\n"
    )


@pytest.fixture
def small_disk(tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=8m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no mount: {error}")
    if done.returncode:
        pytest.skip(f"no tmpfs may be mounted: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def test_full_disk_while_saving(config, small_disk, capsys):
    run_dir = small_disk / "run"
    process = support.start(run_dir, until(config, 100))
    _, error = support.finish(process, code=1)
    assert_one_line(error, "No space left on device")
    left = saved_steps(run_dir)
    assert left and left == list(range(1, len(left) + 1))

    # With room again, the same command goes on.
    for path in RunDir(run_dir).checkpoints.glob("ckpt-1.npz"):
        path.unlink()
    config = until(config, left[-1] + 1)
    backend = TensorFlowBackend(tf.distribute.get_strategy())
    loop.train(config, run_dir, backend)
    assert f"resumed at step {left[-1]}" in capsys.readouterr().out
    assert saved_steps(run_dir)[-1] == left[-1] + 1
