"""What the scripts around training say."""

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
    ("name", "flags"),
    [
        ("train_gan.py", ["run_dir", "data.source", "train.steps"]),
        ("curate.py", ["folder", "manifest", "max_bright"]),
        ("curate_beam.py", ["folder", "output", "max_bright"]),
    ],
)
def test_help_lists_every_flag(script, name, flags):
    listed = script(name, "--help").stdout
    for flag in flags:
        assert f"\n  --{flag}: " in listed, flag


@pytest.mark.parametrize("content", [None, "no photo"])
def test_photos_that_cannot_be_packed_are_one_line(script, tmp_path, content):
    expected = "no photos: name folders"
    if content:
        (tmp_path / "a.jpg").write_text(content)
        expected = f"{tmp_path / 'a.jpg'}: not a readable photo"
    output = tmp_path / "photos.npz"
    done = script("pack_photos.py", f"--train={tmp_path}", f"--output={output}")
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: {expected}")
    assert done.stderr.count("\n") == 1
    assert not output.exists()
