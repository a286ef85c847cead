"""From photos to corrected photos, through the real scripts."""

import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

from tfexposure import cli
from tfexposure.config import RunDir
from tfexposure.training import loop
from tfexposure.training.step_tensorflow import TensorFlowBackend

pytestmark = pytest.mark.tf_only

STEPS = 2
TRAINING = (
    "--run_dir=run",
    "--data.source=manifest.jsonl",
    "--data.crop_size=32",
    "--generator.filters=4",
    "--generator.field_of_view=47",
    "--discriminator.filters=4",
    "--loss.perceptual_weight=0",
    f"--train.steps={STEPS}",
    "--train.global_batch_size=2",
    "--train.log_every=1",
)


@pytest.fixture(scope="module")
def work(tmp_path_factory):
    folder = tmp_path_factory.mktemp("work")
    photos = folder / "photos"
    photos.mkdir()
    rng = np.random.default_rng(0)
    for index in range(5):
        # Soft shapes with a bright and a dark side, as photos have.
        coarse = Image.fromarray(rng.integers(20, 230, (6, 8, 3), "uint8"))
        smooth = coarse.resize((80, 61), Image.Resampling.BICUBIC)
        smooth.save(photos / f"photo_{index}.jpg")
    Image.new("RGB", (64, 64), "white").save(photos / "white.jpg")
    (photos / "broken.jpg").write_bytes(b"not a photo")
    return folder


@pytest.fixture(scope="module")
def script(repository, work):
    def run(path, *arguments):
        done = subprocess.run(
            [sys.executable, repository / path, *arguments],
            cwd=work,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout + done.stderr

    return run


@pytest.fixture(scope="module")
def manifest(script, work):
    script("trainers/curate.py", "--folder=photos", "--manifest=manifest.jsonl")
    return work / "manifest.jsonl"


@pytest.fixture(scope="module")
def run_dir(script, work, manifest):
    output = script(
        "trainers/train_gan.py",
        *TRAINING,
    )
    assert "step 2/2" in output and "images/s" in output and "ETA" in output
    return work / "run"


@pytest.fixture(scope="module")
def exports(script, run_dir):
    # The SavedModel: tests/test_export_scripts.py
    script("export/export_tflite.py", "--run_dir=run")
    folder = run_dir / "exports"
    return {
        "tflite": folder / f"generator-{STEPS}.tflite",
        "run": run_dir,
    }


def test_curation_names_what_it_leaves_out(manifest):
    text = manifest.read_text()
    assert text.count('"keep"') == 5
    assert '"unreadable"' in text and '"overexposed"' in text


def test_a_run_leaves_what_it_should(run_dir):
    assert (run_dir / "config.json").exists()
    assert (run_dir / "checkpoints" / f"ckpt-{STEPS}.npz").exists()
    assert list((run_dir / "logs").glob("events.*"))
    with Image.open(run_dir / "samples" / f"step-{STEPS:08d}.png") as grid:
        # Overexposed, inverse, restored, target.
        assert grid.size[0] == 4 * 32


def _checkpoint_times(run_dir):
    found = sorted((run_dir / "checkpoints").glob("ckpt-*.npz"))
    assert found
    return [path.stat().st_mtime_ns for path in found]


def test_a_finished_run_is_not_trained_again(
    run_dir, work, monkeypatch, capsys
):
    """In this process: test_training_runs.py starts a run's script again."""
    before = _checkpoint_times(run_dir)
    monkeypatch.chdir(work)
    backend = TensorFlowBackend(tf.distribute.get_strategy())
    loop.train(RunDir(run_dir).read_config(), run_dir, backend)
    output = capsys.readouterr().out
    assert f"resumed at step {STEPS}" in output and "step 2/2" not in output
    after = _checkpoint_times(run_dir)
    assert before == after


def test_run_and_export_correct_alike(work, exports):
    pixels = {}
    for name, model in exports.items():
        photo = str(work / "photos" / "photo_1.jpg")
        target = str(work / f"corrected_{name}.png")
        words = ["correct", photo, target, f"--model={model}", "--force"]
        assert cli.main(words) == 0
        with Image.open(work / f"corrected_{name}.png") as photo:
            assert photo.size == (80, 61)
            pixels[name] = np.asarray(photo.convert("RGB"), int)
    assert np.abs(pixels["tflite"] - pixels["run"]).max() <= 1


def test_evaluation_prints_all_rows(script, work, exports):
    script(
        "trainers/evaluate.py",
        "--photos=manifest.jsonl",
        f"--model={exports['tflite']}",
        "--output=results",
    )
    table = (work / "results.md").read_text()
    for row in ("untouched", "inverse", "blind", "model"):
        assert row in table.lower()
    assert "N = 5" in table or "5 photos" in table
