"""Curation: verdicts, the manifest, restarts and bad files."""

import dataclasses
import hashlib
import io
import json
import os
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tfexposure.data import curation, well_exposed
from tfexposure.errors import UserError


def encode(pixels, format="PNG", **options):
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, format, **options)
    return stream.getvalue()


def photo(height=10, width=20, value=128):
    return np.full((height, width, 3), value, np.uint8)


@pytest.fixture
def folder(tmp_path):
    """Five photos, one of them broken, and a file that is no photo."""
    photos = tmp_path / "photos"
    (photos / "sub").mkdir(parents=True)
    (photos / "sub" / "good.PNG").write_bytes(encode(photo()))
    (photos / "bright.png").write_bytes(encode(photo(value=251)))
    (photos / "dark.png").write_bytes(encode(photo(value=3)))
    (photos / "broken.jpg").write_bytes(encode(photo(), "JPEG")[:200])
    (photos / "attribution.csv").write_text("file,author\n")
    (photos / ".hidden.png").write_bytes(encode(photo()))
    return photos


@pytest.mark.parametrize(
    "bright, dark, verdict",
    [
        (0, 0, "keep"),
        (2, 2, "keep"),  # 1 % exactly is not more than 1 %.
        (3, 0, "overexposed"),
        (0, 3, "underexposed"),
        (3, 3, "overexposed"),
    ],
)
def test_verdict_counts_pixels_by_their_largest_channel(bright, dark, verdict):
    pixels = photo()
    flat = pixels.reshape(-1, 3)
    flat[:bright] = (250, 0, 0)
    flat[100 : 100 + dark] = (5, 0, 1)
    # Neither of these counts: 249 is below, 6 is above the level.
    flat[50] = (249, 249, 249)
    flat[51] = (6, 0, 0)
    data = encode(pixels)
    entry = curation.judge_photo(data, "a.png")
    assert entry.verdict == verdict
    assert entry.bright_fraction == bright / 200
    assert entry.dark_fraction == dark / 200
    assert (entry.width, entry.height) == (20, 10)
    assert entry.sha256 == hashlib.sha256(data).hexdigest()


def test_judge_photo_knows_orientation_depth_and_modes():
    exif = Image.Exif()
    exif[274] = 6
    turned = curation.judge_photo(encode(photo(), "JPEG", exif=exif))
    assert (turned.width, turned.height) == (10, 20)

    deep = np.full((4, 5), 128 * 256, np.uint16)
    assert curation.judge_photo(encode(deep)).verdict == "keep"
    assert curation.judge_photo(encode(deep * 0 + 65535)).bright_fraction == 1
    gray = curation.judge_photo(encode(np.full((4, 5), 2, np.uint8)))
    assert gray.verdict == "underexposed"


def test_curate_writes_one_sorted_line_per_photo(folder):
    summary = curation.curate(folder)
    entries = curation.read_manifest(summary.manifest)
    assert summary.manifest == folder / "manifest.jsonl"
    assert {entry.id: entry.verdict for entry in entries} == {
        "bright.png": "overexposed",
        "broken.jpg": "unreadable",
        "dark.png": "underexposed",
        "sub/good.PNG": "keep",
    }
    assert [entry.id for entry in entries] == sorted(e.id for e in entries)
    assert summary.counts == dict.fromkeys(curation.VERDICTS, 1)
    ((id, reason),) = summary.unreadable
    assert id == "broken.jpg" and reason
    leftovers = [p.name for p in folder.iterdir() if "manifest" in p.name]
    assert leftovers == ["manifest.jsonl"]


def test_unchanged_files_are_not_read_again(folder, monkeypatch):
    curation.curate(folder)
    changed = folder / "dark.png"
    changed.write_bytes(encode(photo(value=99)))
    os.utime(changed, ns=(1, 1))
    judged = []
    real = curation.judge_photo
    monkeypatch.setattr(
        curation,
        "judge_photo",
        lambda data, id, rules: judged.append(id) or real(data, id, rules),
    )
    summary = curation.curate(folder)
    # Broken files get another chance.
    assert sorted(judged) == ["broken.jpg", "dark.png"]
    assert (summary.read, summary.reused) == (2, 2)
    assert summary.counts["keep"] == 2

    judged.clear()
    tolerant = curation.Rules(max_bright=1)
    assert curation.curate(folder, rules=tolerant).counts["overexposed"] == 0
    assert judged == ["broken.jpg"]
    other_level = curation.Rules(bright_level=255)
    assert curation.curate(folder, rules=other_level).reused == 0


def test_an_interrupted_run_is_continued(folder, monkeypatch):
    real = curation.judge_photo
    monkeypatch.setattr(curation, "_BATCH", 1)

    def stop_at_dark(data, id, rules):
        if id == "dark.png":
            raise KeyboardInterrupt
        return real(data, id, rules)

    monkeypatch.setattr(curation, "judge_photo", stop_at_dark)
    with pytest.raises(KeyboardInterrupt):
        curation.curate(folder)
    partial = folder / "manifest.jsonl.partial"
    assert not (folder / "manifest.jsonl").exists()
    with open(partial, "a") as file:
        file.write('{"id": "half of a li')
    monkeypatch.setattr(curation, "judge_photo", real)
    summary = curation.curate(folder)
    assert summary.reused == 1  # bright.png; broken.jpg is tried again.
    assert summary.total == 4
    assert not partial.exists()


def test_too_many_unreadable_photos_stop_with_their_names(folder):
    with pytest.raises(UserError, match="limit of 0(.|\n)*broken.jpg"):
        curation.curate(folder, max_unreadable=0)


def test_verdicts_are_the_same_every_time():
    first, second = (curation.judge_photo(b"no photo", "a") for _ in range(2))
    assert first == second and first.verdict == "unreadable"


def test_bad_arguments_are_named(folder, tmp_path):
    with pytest.raises(UserError, match="nowhere"):
        curation.curate(tmp_path / "nowhere")
    (tmp_path / "empty").mkdir()
    with pytest.raises(UserError, match="holds no photos"):
        curation.curate(tmp_path / "empty")
    with pytest.raises(UserError, match="cannot be written"):
        curation.curate(folder, manifest=folder / "dark.png" / "m.jsonl")
    with pytest.raises(ValueError, match="max_dark"):
        curation.Rules(max_dark=2)


def test_read_manifest_names_the_bad_line(tmp_path):
    entry = curation.judge_photo(encode(photo()), "a.png")
    path = tmp_path / "m.jsonl"
    path.write_text(entry.to_json() + '\n{"id": 3}\n')
    with pytest.raises(UserError, match="line 2.*missing"):
        curation.read_manifest(path)
    wrong = json.dumps(dataclasses.asdict(entry) | {"id": 3})
    path.write_text(entry.to_json() + f"\n{wrong}\n")
    with pytest.raises(UserError, match="line 2.*id is no text: 3"):
        curation.read_manifest(path)
    assert dataclasses.asdict(
        curation.Entry.from_json(entry.to_json())
    ) == dataclasses.asdict(entry)
    with pytest.raises(UserError, match="curate.py"):
        curation.read_manifest(tmp_path / "none.jsonl")


def test_kept_photos_are_found_from_wherever_the_manifest_lies(folder):
    beside = curation.curate(folder).manifest
    away = curation.curate(folder, manifest=folder.parent / "a/b/m.jsonl")
    for manifest in (beside, away.manifest):
        ((id, path),) = curation.kept_photos(manifest)
        assert id == "sub/good.PNG"
        assert path.samefile(folder / "sub" / "good.PNG")
    none = curation.Rules(dark_level=200)
    curation.curate(folder, rules=none)
    with pytest.raises(UserError, match="keeps no photo"):
        curation.kept_photos(beside)


def test_the_program_prints_the_counts_and_needs_no_tensorflow(folder):
    code = (
        "import sys; from tfexposure.data import curation;"
        "assert 'tensorflow' not in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    program = [sys.executable, "trainers/curate.py", f"--folder={folder}"]
    done = subprocess.run(program, capture_output=True, text=True, check=True)
    assert "keep: 1" in done.stdout
    assert "unreadable: broken.jpg" in done.stdout
    bad = subprocess.run(
        [sys.executable, "trainers/curate.py", "--folder=nowhere"],
        capture_output=True,
        text=True,
    )
    assert bad.returncode == 1
    assert bad.stderr.startswith("error: nowhere should be a folder")


def test_one_rule_serves_training_and_scoring():
    good = np.random.default_rng(0).integers(60, 200, (20, 20, 3), np.uint8)
    lamp = good.copy()
    lamp.reshape(-1, 3)[:6] = 255  # 1.5 % are white.
    red = good.copy()
    red.reshape(-1, 3)[:16, 0] = 255  # 4 % have one channel clipped.
    rules = (
        well_exposed.CURATION,
        well_exposed.TRAINING,
        well_exposed.SCORING,
    )
    for photo, expected in (
        (good, [True, True, True]),
        (lamp, [False, True, False]),
        (red, [False, True, True]),
        (good // 2 + 128, [True, True, True]),
        (good // 8 + 215, [True, False, False]),
        (good // 8 + 6, [True, False, False]),
    ):
        found = [well_exposed.is_well_exposed(photo, rule) for rule in rules]
        assert found == expected, photo.mean()


def test_scenes_keep_most_photos(shared):
    """The folder is known to hold about 1 badly exposed photo in 19."""
    files = sorted((shared / "photos/scenes/train").iterdir())[::100]
    verdicts = [
        curation.judge_photo(path.read_bytes()).verdict for path in files
    ]
    assert verdicts.count("unreadable") == 0
    assert len(verdicts) > verdicts.count("keep") > len(verdicts) // 2
