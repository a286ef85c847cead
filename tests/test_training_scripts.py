"""What the scripts around training say."""

import importlib.metadata
import subprocess
import sys

import pytest


@pytest.fixture
def script(repository):
    def run(name, *arguments):
        return subprocess.run(
            [sys.executable, repository / "trainers" / name, *arguments],
            capture_output=True,
            text=True,
        )

    return run


@pytest.mark.parametrize(
    ("name", "listed"),
    [
        ("train", ["run_dir", "data.source", "train.steps"]),
        ("evaluate", ["photos", "correct"]),
        ("curate", ["folder", "manifest", "max_bright"]),
        ("reproduce", ["experiment", "profile"]),
        ("export-saved-model", ["run_dir", "max_pixels"]),
        ("export-tflite", ["run_dir", "precision"]),
    ],
)
def test_help_of_installed_programs_lists_their_flags(name, listed):
    """Of what the entry point names, started by a wrapper as pip writes it."""
    (entry,) = importlib.metadata.entry_points(
        group="console_scripts", name=f"tfexposure-{name}"
    )
    module, function = entry.value.split(":")
    wrapper = f"import sys\nfrom {module} import {function}\nsys.exit(run())"
    done = subprocess.run(
        [sys.executable, "-c", wrapper, "--help"],
        capture_output=True,
        text=True,
    )
    assert not done.stdout.startswith("\nUSAGE:")
    for flag in listed:
        assert f"\n  --{flag}: " in done.stdout, flag


def test_help_of_a_script_lists_its_flags(script):
    listed = script("curate_beam.py", "--help").stdout
    for flag in ("folder", "output", "max_bright"):
        assert f"\n  --{flag}: " in listed, flag


@pytest.mark.parametrize("content", [None, "no photo"])
def test_photos_that_cannot_be_packed_are_one_line(script, tmp_path, content):
    expected = f"{tmp_path}: expected a folder with photos"
    if content:
        (tmp_path / "a.jpg").write_text(content)
        expected = f"{tmp_path / 'a.jpg'}: not a readable photo"
    output = tmp_path / "photos.npz"
    done = script("pack_photos.py", f"--train={tmp_path}", f"--output={output}")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {expected}")
    assert done.stderr.count("\n") == 1
    assert not output.exists()
