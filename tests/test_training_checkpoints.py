"""Checkpoints against crashes, broken files and full disks."""

import os
import pathlib
import subprocess

import numpy as np
import pytest
import training_support as support

from tfexposure.errors import UserError
from tfexposure.training.checkpoints import Checkpoints, existing_checkpoints
from tfexposure.training.state import create_state

pytestmark = pytest.mark.tf_only


@pytest.fixture(scope="module")
def state():
    return create_state(support.tiny_config())


def first_weight(state):
    return state.networks["generator"].trainable_variables[0]


def set_step(state, step):
    """Makes a state that tells its step."""
    state.step.assign(step)
    first_weight(state).assign(np.full(first_weight(state).shape, step / 100))


def assert_step(state, step):
    assert int(state.step) == step
    first = first_weight(state).numpy()
    np.testing.assert_array_equal(first, np.float32(step / 100))


def save(state, folder, *steps, keep=3):
    checkpoints = Checkpoints(state, folder, keep)
    for step in steps:
        set_step(state, step)
        checkpoints.save()
    return checkpoints


def steps(folder):
    return [
        int(pathlib.Path(path).stem.split("-")[1])
        for path in existing_checkpoints(folder)
    ]


def test_newest_is_restored_and_only_some_are_kept(state, tmp_path):
    save(state, tmp_path, 5, 10, 15, 20)
    assert steps(tmp_path) == [10, 15, 20]
    set_step(state, 99)
    restored = Checkpoints(state, tmp_path, 3).restore()
    assert restored.endswith("ckpt-20.npz")
    assert_step(state, 20)
    # A run that goes on keeps counting the old ones.
    save(state, tmp_path, 25)
    assert steps(tmp_path) == [15, 20, 25]


def test_old_ones_some_hours_apart_are_kept(state, tmp_path):
    save(state, tmp_path, *range(1, 9), keep=8)
    for step in range(1, 9):
        # Forty minutes between two.
        os.utime(tmp_path / f"ckpt-{step}.npz", (2400 * step, 2400 * step))
    checkpoints = Checkpoints(state, tmp_path, 2, hours=1.5)
    set_step(state, 9)
    checkpoints.save()
    assert steps(tmp_path) == [1, 4, 7, 8, 9]
    set_step(state, 10)
    checkpoints.save()
    assert steps(tmp_path) == [1, 4, 7, 9, 10]


def test_nothing_to_restore(state, tmp_path):
    assert Checkpoints(state, tmp_path / "new", 3).restore() is None


def flip(contents):
    middle = len(contents) // 2
    return (
        contents[:middle]
        + bytes(byte ^ 0xFF for byte in contents[middle : middle + 64])
        + contents[middle + 64 :]
    )


@pytest.mark.parametrize(
    "damage",
    [flip, lambda c: c[: len(c) // 2], lambda c: b""],
    ids=["flipped", "truncated", "empty"],
)
def test_broken_newest_falls_back(state, tmp_path, caplog, damage):
    save(state, tmp_path, 5, 10)
    file = tmp_path / "ckpt-10.npz"
    file.write_bytes(damage(file.read_bytes()))
    set_step(state, 99)
    assert Checkpoints(state, tmp_path, 3).restore().endswith("ckpt-5.npz")
    assert_step(state, 5)
    assert "ckpt-10.npz cannot be read" in caplog.text


def test_another_networks_checkpoint_is_told(state, tmp_path):
    save(state, tmp_path, 5)
    other = create_state(support.tiny_config(generator={"filters": 5}))
    with pytest.raises(UserError, match="has shape"):
        Checkpoints(other, tmp_path, 3).restore()


def test_earlier_versions_checkpoints_are_refused(state, tmp_path):
    (tmp_path / "ckpt-5.index").write_bytes(b"")
    with pytest.raises(UserError, match="of an earlier version"):
        Checkpoints(state, tmp_path, 3).restore()


def test_all_broken_is_an_error(state, tmp_path):
    save(state, tmp_path, 5)
    (tmp_path / "ckpt-5.npz").write_bytes(b"")
    with pytest.raises(UserError, match="none of the 1 checkpoints"):
        Checkpoints(state, tmp_path, 3).restore()


def test_left_overs_of_a_crash_are_swept(state, tmp_path, monkeypatch):
    save(state, tmp_path, 5)
    with monkeypatch.context() as patch:
        # As if killed before that is cleared away.
        patch.setattr(pathlib.Path, "unlink", lambda *_, **__: None)
        patch.setattr("os.replace", lambda *_: None)
        save(state, tmp_path, 10)
    (left,) = tmp_path.glob(".*")
    assert Checkpoints(state, tmp_path, 3).restore().endswith("ckpt-5.npz")
    assert not left.exists()


def test_full_disk_leaves_old_checkpoints_alone(state, tmp_path):
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(folder)]
    try:
        done = subprocess.run(mount, capture_output=True, text=True)
    except OSError as error:
        pytest.skip(f"no mount: {error}")
    if done.returncode:
        pytest.skip(f"no tmpfs may be mounted: {done.stderr.strip()}")
    try:
        with pytest.raises(UserError, match="(?s)could not save.*intact"):
            save(state, folder, *range(1, 20), keep=50)
        left = steps(folder)
        assert left == list(range(1, len(left) + 1))
        assert left
        set_step(state, 99)
        Checkpoints(state, folder, 3).restore()
        assert_step(state, left[-1])
    finally:
        subprocess.run(["umount", str(folder)], check=True)
