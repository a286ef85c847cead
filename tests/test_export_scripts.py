"""The export programs on a run, and `tfexposure correct` on what they write."""

import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from serving_models import STEP, picture, trained  # noqa: F401

import tfexposure
from tfexposure import cli
from tfexposure.runtime import open_model
from tfexposure.runtime.manifest import read_manifest

pytestmark = pytest.mark.tf_only


def program(repository, name, **flags):
    return subprocess.run(
        [
            sys.executable,
            repository / "export" / name,
            *(f"--{flag}={value}" for flag, value in flags.items()),
        ],
        capture_output=True,
        text=True,
        env=os.environ | {"PYTHONPATH": str(repository)},
    )


@pytest.fixture(scope="module")
def exports(trained, repository, tmp_path_factory):  # noqa: F811
    """Models by name: the run and what the programs made of it."""
    run, _ = trained
    folder = tmp_path_factory.mktemp("exports")
    for name, output in (
        ("export_saved_model.py", folder / "saved_model"),
        ("export_tflite.py", folder),
        ("export_onnx.py", folder / "onnx"),
    ):
        done = program(repository, name, run_dir=run.path, output=output)
        assert done.returncode == 0, done.stderr
        assert str(folder) in done.stdout
    return {
        "run": run.path,
        "SavedModel": folder / "saved_model" / str(STEP),
        "TFLite": folder / f"generator-{STEP}.tflite",
        "ONNX": folder / "onnx",
    }


def test_every_format_corrects_a_photo_alike(exports, tmp_path):
    pixels = np.round(picture(70, 93)[0] * 255).astype("uint8")
    Image.fromarray(pixels).save(tmp_path / "in.png")
    found = {}
    for name, model in exports.items():
        target = tmp_path / f"{name}.png"
        status = cli.main(
            [
                *("correct", str(tmp_path / "in.png"), str(target)),
                *(f"--model={model}", "--force", "--quiet"),
            ]
        )
        assert status == 0
        found[name] = np.asarray(Image.open(target)).astype(int)
    assert np.abs(found["run"] - pixels).max() > 5
    for name in ("SavedModel", "TFLite", "ONNX"):
        assert np.abs(found[name] - found["run"]).max() <= 1


def test_a_model_of_the_package_is_exported_by_its_name(repository, tmp_path):
    """`natural`: tests/test_containers.py."""
    done = program(
        repository,
        "export_saved_model.py",
        model="paper_random",
        output=tmp_path,
    )
    assert done.returncode == 0, done.stderr
    pixels = np.round(picture(70, 93)[0] * 255).astype("uint8")
    answers = [
        tfexposure.correct(pixels, model=open_model(model), force=True)
        for model in ("paper_random", tmp_path)
    ]
    assert np.abs(answers[0].astype(int) - answers[1]).max() <= 1
    manifest = read_manifest(tmp_path / "1")
    assert manifest["model"] == "paper_random" and manifest["step"] > 0


def test_what_cannot_be_exported_is_an_error(repository, tmp_path):
    done = program(repository, "export_saved_model.py", run_dir=tmp_path)
    assert done.returncode == 1 and "not the folder of a run" in done.stderr
    assert "Traceback" not in done.stderr
    done = program(
        repository, "export_tflite.py", run_dir=tmp_path, precision="int4"
    )
    assert done.returncode != 0 and "must be of float32" in done.stderr
    done = program(repository, "export_tflite.py", model="papers")
    assert done.returncode == 1 and "there is: natural, paper" in done.stderr
