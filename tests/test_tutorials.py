"""Both tutorials, as users run them, at small size."""

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.tf_only


def _run(repository, tmp_path, name, **settings):
    done = subprocess.run(
        [sys.executable, str(repository / "examples" / name)],
        cwd=repository,
        env={**os.environ, "TUTORIAL_WORK": str(tmp_path), **settings},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_training_tutorial(repository, tmp_path):
    told = _run(repository, tmp_path, "train_your_own.py", TUTORIAL_STEPS="3")
    assert "'keep': 7" in told
    assert "mean error" in told and "after 3 steps" in told
    assert (tmp_path / "run" / "config.json").exists()


def test_serving_tutorial(repository, tmp_path):
    told = _run(repository, tmp_path, "correct_serve_ship.py")
    assert "changed: True" in told and ".tflite" in told
    for name in ("corrected.jpg", "served.jpg"):
        assert (tmp_path / name).stat().st_size > 10_000


@pytest.mark.parametrize("name", ["train_your_own.py", "correct_serve_ship.py"])
def test_tutorials_are_cells(repository, name):
    """In the percent format, which jupytext turns into notebooks."""
    text = (repository / "examples" / name).read_text()
    cells = text.split("# %%")[1:]
    assert text.startswith("# %% [markdown]")
    for cell in cells:
        head, *lines = cell.splitlines()
        if "[markdown]" in head:
            assert all(line.startswith("#") for line in lines if line)
        else:
            compile("\n".join(lines), name, "exec")
