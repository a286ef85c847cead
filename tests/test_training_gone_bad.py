"""Photos that become unreadable after curation do not stop a run."""

import json
import pathlib

import pytest
import tensorflow as tf
import training_support as support

from tfexposure.data.curation import Rules, curate
from tfexposure.data.pipeline import training_stream
from tfexposure.data.sources import open_photos
from tfexposure.errors import UserError
from tfexposure.training import loop
from tfexposure.training.step_tensorflow import TensorFlowBackend

pytestmark = pytest.mark.tf_only

STEPS = 8


def manifest_of(folder, count=14):
    """Curated JPEGs."""
    support.write_photos(folder, count, ".jpg")
    rules = Rules(max_bright=1, max_dark=1)
    assert curate(folder, folder / "kept.jsonl", rules).counts["keep"] == count
    return folder / "kept.jsonl"


def cut_short(photo):
    data = photo.read_bytes()
    photo.write_bytes(data[: len(data) // 3])


def tiny(manifest):
    return support.tiny_config(
        manifest,
        train={"steps": STEPS, "checkpoint_every": 2, "global_batch_size": 2},
        data={"max_unreadable": 2},
    )


def run(run_dir, config):
    support.trace_quickly()
    loop.train(config, run_dir, TensorFlowBackend(tf.distribute.get_strategy()))


def test_it_is_named_and_another_takes_its_place(tmp_path, caplog, capfd):
    manifest = manifest_of(tmp_path / "photos")
    config = tiny(manifest)
    # The first eight are looked at before the first step; this is step 6.
    name = open_photos(str(manifest)).names([10], config.train.seed)[0]
    cut_short(pathlib.Path(name))
    run(tmp_path / "run", config)
    noted = json.loads((tmp_path / "run" / loop.UNREADABLE).read_text())
    assert list(noted) == [name] and noted[name]
    assert caplog.text.count(f"skipped, unreadable: {name}: {noted[name]}") == 1
    assert "newest checkpoint" in caplog.text
    assert "resumed at step 4" in capfd.readouterr().out
    lines = (tmp_path / "run" / "log.jsonl").read_text().splitlines()
    steps = [json.loads(line).get("step") for line in lines]
    assert [s for s in steps if s] == list(range(1, STEPS + 1))


def test_all_other_examples_stay_as_they_were(tmp_path):
    manifest = manifest_of(tmp_path / "photos")
    data = tiny(manifest).data
    before = open_photos(str(manifest))
    bad = before.files[5]
    after = open_photos(str(manifest), gone_bad={bad: "short"})
    names = before.names(range(28), 3)
    streams = [
        next(iter(training_stream(photos, data, 3, 28)))["target"].numpy()
        for photos in (before, after)
    ]
    same = (streams[0] == streams[1]).all((1, 2, 3))
    assert list(same) == [name != bad for name in names]
    assert names.count(bad) == 2


def test_too_many_stop_the_run_with_their_names(tmp_path):
    manifest = manifest_of(tmp_path / "photos")
    for photo in sorted((tmp_path / "photos").glob("*.jpg"))[::4][:3]:
        cut_short(photo)
    with pytest.raises(UserError, match="(?s)3 photos.*=2:.*00.*04.*08"):
        run(tmp_path / "run", tiny(manifest))
    assert not (tmp_path / "run" / loop.UNREADABLE).exists()


def test_stand_ins_are_the_next_photos_and_others_keep_their_place(tmp_path):
    manifest = manifest_of(tmp_path / "photos", 8)
    before = open_photos(str(manifest))
    bad = [before.files[i] for i in (2, 3, 7)]
    for file in bad:
        cut_short(pathlib.Path(file))
    after = open_photos(str(manifest), gone_bad=dict.fromkeys(bad, "short"))
    expected = list(before.files)
    expected[2] = expected[3] = expected[4]
    expected[7] = expected[0]
    assert list(after.files) == expected
    with pytest.raises(UserError, match="3 of 8 photos are unreadable"):
        open_photos(
            str(manifest),
            max_unreadable=2,
            gone_bad=dict.fromkeys(bad, "short"),
        )
    with pytest.raises(UserError, match="3 of 8 photos are unreadable"):
        open_photos(str(manifest), max_unreadable=2, trusted=False)
    assert open_photos(str(manifest), trusted=False).count == 5
