"""Curation and record writing on Apache Beam.

Needs the `[beam]` extra, not TensorFlow; where both are installed the records
are read back by TensorFlow too.
"""

import dataclasses
import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("apache_beam", reason="the [beam] extra is not installed")

from tfexposure.data import beam, curation
from tfexposure.data.manifest import KEEP, OVEREXPOSED, UNREADABLE
from tfexposure.errors import UserError

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def folder(tmp_path):
    photos = tmp_path / "photos"
    (photos / "sub").mkdir(parents=True)
    random = np.random.default_rng(1)
    for i in range(6):
        coarse = random.integers(20, 230, (4, 4, 3)).astype(np.uint8)
        smooth = Image.fromarray(coarse).resize((40 + i, 32), Image.BICUBIC)
        smooth.save(photos / f"{i}.jpg")
    smooth.save(photos / "sub" / "7.png")
    Image.new("RGB", (40, 40), (255, 255, 255)).save(photos / "white.png")
    (photos / "broken.jpg").write_bytes(b"\xff\xd8 no photo")
    return photos


def entries(path):
    """Entries by id, without the way from the manifest to the photos.

    Reasons lose the address that Pillow puts into them.
    """
    return {
        entry.id: dataclasses.replace(
            entry, folder="", error=re.sub("0x[0-9a-f]+", "", entry.error)
        )
        for entry in curation.read_manifest(path)
    }


def test_manifest_equals_that_of_the_local_command(folder, tmp_path):
    local = curation.curate(folder, tmp_path / "local.jsonl")
    counts = beam.curate(folder, tmp_path / "beam", shards=2)
    assert entries(tmp_path / "beam" / "manifest.jsonl") == entries(
        local.manifest
    )
    assert counts == local.counts
    assert counts[KEEP] == 7
    assert counts[OVEREXPOSED] == 1
    assert counts[UNREADABLE] == 1


def read_records(path):
    """Reads a TFRecord file without TensorFlow: payloads only."""
    contents = path.read_bytes()
    while contents:
        size = int.from_bytes(contents[:8], "little")
        yield contents[12 : 12 + size]
        contents = contents[12 + size + 4 :]


def test_records_hold_the_kept_photos(folder, tmp_path):
    beam.curate(folder, tmp_path / "beam", shards=3)
    shards = sorted((tmp_path / "beam").glob("*.tfrecord"))
    assert len(shards) == 3
    records = [record for shard in shards for record in read_records(shard)]
    kept = [
        id
        for id, entry in entries(tmp_path / "beam" / "manifest.jsonl").items()
        if entry.verdict == KEEP
    ]
    assert len(records) == len(kept) == 7
    for id in kept:
        contents = (folder / id).read_bytes()
        (record,) = [r for r in records if contents in r]
        assert id.encode() in record


def test_records_are_examples(folder, tmp_path):
    tf = pytest.importorskip("tensorflow")
    from tfexposure.data.sources import open_photos

    beam.curate(folder, tmp_path / "beam", shards=2)
    photos = open_photos(f"tfrecord:{tmp_path / 'beam'}")
    assert photos.count == 7
    names = photos.names(range(7), seed=0)
    stream = photos.encoded(0).take(7).as_numpy_iterator()
    for name, (_, contents) in zip(names, stream, strict=True):
        assert contents == (folder / name).read_bytes()
    assert tf.io.decode_image(contents).shape[-1] == 3


def test_example_without_tensorflow():
    encoded = beam.encode_example({"image": bytes(200), "id": b"a.jpg"})
    # As tf.train.Example.SerializeToString(deterministic=True) writes it.
    assert encoded.hex() == (
        "0aec010a0f0a02696412090a070a05612e6a7067"
        "0ad8010a05696d61676512ce010acb010ac801" + "00" * 200
    )


def test_restart_reads_only_what_is_new(folder, tmp_path):
    output = tmp_path / "beam"
    beam.curate(folder, output, shards=2)
    before = entries(output / "manifest.jsonl")
    # As an interrupted run leaves it: verdicts, but neither records nor
    # manifest.
    (output / "manifest.jsonl").unlink()
    for shard in output.glob("*.tfrecord"):
        shard.unlink()
    (folder / "0.jpg").rename(folder / "new.jpg")
    counters = {}
    beam.curate(folder, output, shards=2, counters=counters)
    assert counters["judged"] == 2  # the new name, and the unreadable one
    assert counters["reused"] == 7
    after = entries(output / "manifest.jsonl")
    assert set(before) - set(after) == {"0.jpg"}
    assert after["1.jpg"] == before["1.jpg"]
    assert len(list(output.glob("*.tfrecord"))) == 2


def test_too_many_unreadable(folder, tmp_path):
    with pytest.raises(UserError, match="(?s)1 photos.*broken.jpg"):
        beam.curate(folder, tmp_path / "beam", max_unreadable=0)
    assert not (tmp_path / "beam" / "manifest.jsonl").exists()


def test_script(folder, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            str(ROOT / "trainers" / "curate_beam.py"),
            f"--folder={folder}",
            f"--output={tmp_path / 'out'}",
            "--shards=1",
            "--",
            "--runner=BundleBasedDirectRunner",
        ],
        env={"PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "keep: 7" in done.stdout
    assert "unreadable: 1" in done.stdout
    lines = (tmp_path / "out" / "manifest.jsonl").read_text().splitlines()
    assert len(lines) == 9
    assert json.loads(lines[0])["id"] == "0.jpg"
