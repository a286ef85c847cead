"""Runs that cannot go on, or should not, say so (in this process)."""

import dataclasses
import errno
import os
import shutil
import socket
import types

import keras
import numpy as np
import pytest
import tensorflow as tf
import training_support as support

from tfexposure.config import RunDir
from tfexposure.errors import UserError
from tfexposure.training import loop, record, strategies
from tfexposure.training.checkpoints import Checkpoints
from tfexposure.training.monitor import Monitor
from tfexposure.training.state import create_state
from tfexposure.training.step_tensorflow import (
    TensorBoard,
    TensorFlowBackend,
)

pytestmark = pytest.mark.tf_only


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    return support.write_photos(tmp_path_factory.mktemp("photos"), 7)


def backend():
    return TensorFlowBackend(tf.distribute.get_strategy())


def test_steps_that_stay_bad_end_the_run(photos, tmp_path):
    support.trace_quickly()
    config = support.tiny_config(
        photos,
        train={"learning_rate": 1e30, "max_bad_steps": 3, "steps": 50},
        generator={"noise": "none", "spectral_normalization": False},
        discriminator={"spectral_normalization": False},
    )
    with pytest.raises(UserError, match="3 steps.*NaN or Inf.*bad_batches"):
        loop.train(config, tmp_path, backend())
    batches = support.read_json(tmp_path / "bad_batches.json")
    assert len(batches) == 3
    steps = [batch["step"] for batch in batches]
    assert steps == list(range(steps[0], steps[0] + 3))
    # The stream's photos at those positions.
    from tfexposure.data.sources import open_photos

    source = open_photos(str(photos))
    for batch in batches:
        first = (batch["step"] - 1) * 4
        assert batch["photos"] == source.names(range(first, first + 4), 0)


def test_batch_that_replicas_cannot_share(photos, tmp_path):
    config = support.tiny_config(photos, train={"global_batch_size": 3})

    two = backend()
    two.replicas = 2
    with pytest.raises(UserError, match="multiple of the 2 replicas"):
        loop.train(config, tmp_path, two)


@pytest.mark.parametrize(
    ("train", "data"),
    [({"deterministic": True}, {}), ({}, {"cache": "memory"})],
    ids=["deterministic", "cache"],
)
def test_what_the_service_excludes(photos, tmp_path, train, data):
    config = support.tiny_config(
        photos, train=train, data={"service": "grpc://localhost:1", **data}
    )
    with pytest.raises(UserError, match="exclude each other"):
        loop.train(config, tmp_path, backend())


@pytest.mark.parametrize("where", ["nowhere", "grpc://localhost", "PORT"])
def test_service_that_nobody_answers_at(photos, tmp_path, where):
    with socket.socket() as unused:
        unused.bind(("localhost", 0))
        port = unused.getsockname()[1]
        where = where.replace("PORT", f"grpc://localhost:{port}")
        config = support.tiny_config(photos, data={"service": where})
        with pytest.raises(UserError, match=f"data.service={where}: "):
            loop.train(config, tmp_path, backend())


def test_no_source_is_an_error(tmp_path):
    with pytest.raises(UserError, match="data.source names no photos"):
        loop.train(support.tiny_config(), tmp_path / "run", backend())
    assert not (tmp_path / "run").exists()


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[]",
        '{"cluster": {"worker": ["a:1"]}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type": "ps", "index": 0}}',
        '{"cluster": {"worker": ["a"]}, "task": {"type":"worker","index":0}}',
        '{"cluster": {"worker": ["a:1"]}, "task": {"type":"worker","index":1}}',
    ],
)
def test_cluster_that_is_none(text):
    with pytest.raises(UserError, match="TF_CONFIG should be .*, not") as told:
        strategies.check_cluster(text)
    assert str(told.value).endswith(text)


def test_a_step_of_slurm_is_a_cluster(monkeypatch):
    for name, value in (
        ("PROCID", "3"),
        ("STEP_NUM_TASKS", "4"),
        ("STEP_NODELIST", "gpu[07-08]"),
        ("STEP_TASKS_PER_NODE", "2(x2)"),
    ):
        monkeypatch.setenv(f"SLURM_{name}", value)
    resolver = strategies.slurm_cluster()
    assert resolver.cluster_spec().as_dict() == {
        "worker": ["gpu07:8888", "gpu07:8889", "gpu08:8888", "gpu08:8889"]
    }
    assert (resolver.task_type, resolver.task_id) == ("worker", 3)
    worker = types.SimpleNamespace(cluster_resolver=resolver)
    assert not strategies.is_chief(worker)


@pytest.fixture(scope="module")
def run(photos, tmp_path_factory):
    """A run that is done, and its config."""
    plain = {"filters": 2, "spectral_normalization": False}
    config = support.tiny_config(
        photos,
        train={"steps": 1},
        generator=plain | {"noise": "none"},
        discriminator=plain,
    )
    folder = RunDir(tmp_path_factory.mktemp("run"))
    state = create_state(config)
    state.step.assign(1)
    Checkpoints(state, folder.checkpoints, 1).save()
    loop.train(config, folder.path, backend())
    return folder.path, config


def test_photos_that_moved_are_the_same(run, photos, tmp_path, capsys, caplog):
    folder, config = run
    moved = shutil.copytree(photos, tmp_path / "moved")
    data = dataclasses.replace(config.data, source=str(moved))
    loop.train(dataclasses.replace(config, data=data), folder, backend())
    assert "resumed at step 1; 1 replica(s)" in capsys.readouterr().out
    assert RunDir(folder).read_config().data.source == str(moved)
    assert "changed" not in caplog.text
    next(moved.iterdir()).unlink()
    shutil.move(moved, tmp_path / "other")
    data = dataclasses.replace(data, source=str(tmp_path / "other"))
    with pytest.raises(UserError, match="configuration. Asked for data.source"):
        loop.train(dataclasses.replace(config, data=data), folder, backend())


def test_a_dataset_validates_by_a_split_of_its_own(run, photos, tmp_path):
    pytest.importorskip("tensorflow_datasets")
    splits = {"train": slice(5), "validation": slice(5, 7), "test": slice(1)}
    source = support.prepare_tfds(photos, tmp_path / "data", **splits)
    folder = shutil.copytree(run[0], tmp_path / "run")
    for split, count in (("validation", 2), ("test", 1)):
        data = {"validation_source": source, "validation_split": split}
        data = dataclasses.replace(run[1].data, **data)
        config = dataclasses.replace(run[1], data=data)
        (folder / "config.json").write_text(config.to_json())
        loop.train(config, folder, backend())
        (*_, last) = support.read_json(folder / record.FILE_NAME)["starts"]
        assert last["data"]["validation"]["count"] == count


def test_readable_photos_are_noted(run, photos):
    noted = support.read_json(run[0] / loop.CHECKED)
    sizes = {path.name: path.stat().st_size for path in photos.iterdir()}
    assert {name: size for name, (size, *_) in noted.items()} == sizes


def test_two_trainings_in_one_folder(run):
    folder, config = run
    with RunDir(folder).locked():
        with pytest.raises(UserError, match="trains in this folder"):
            loop.train(config, folder, backend())


def test_folder_that_becomes_unwritable_is_one_line(run, monkeypatch):
    folder, config = run

    def fail(path, *_):
        raise PermissionError(errno.EPERM, os.strerror(errno.EPERM), path)

    monkeypatch.setattr(record, "write_atomically", fail)
    with pytest.raises(UserError, match="write to .*: Operation not permitted"):
        loop.train(config, folder, backend())


@pytest.mark.parametrize("text", ['{"starts": [{"da', '{"starts": [3]}'])
def test_damaged_record_is_begun_anew(tmp_path, text, caplog):
    path = tmp_path / record.FILE_NAME
    path.write_text(text)
    photos = {"train": {"fingerprint": "1"}}
    assert record.same_photos(RunDir(tmp_path), photos) == []
    record.write_record(RunDir(tmp_path), photos, backend(), 7)
    assert "begun anew" in caplog.text
    assert [start["step"] for start in support.read_json(path)["starts"]] == [7]
    assert record.same_photos(RunDir(tmp_path), photos) == ["data.source"]


def test_vgg_weights_that_cannot_be_had(monkeypatch):
    def download(**_):
        raise Exception("URL fetch failure on https://x: None\n  at line 1")

    monkeypatch.setattr(keras.applications, "VGG19", download)
    config = support.tiny_config(loss={"perceptual_weight": 1.0})
    with pytest.raises(UserError) as told:
        create_state(config)
    assert str(told.value) == (
        "loss.vgg19_weights: URL fetch failure on https://x: None"
    )


def test_tensorboard_has_no_step_twice(tmp_path):
    run = RunDir(tmp_path)
    for start, end in ((0, 5), (3, 6), (6, 8)):
        board = TensorBoard(run.logs, support.tiny_config(), start)
        for step in range(start + 1, end + 1):
            board.scalars({"loss/x": start + step / 10}, step)
        board.close()
        if not start:  # As a kill in the middle of writing leaves it.
            (only,) = run.logs.iterdir()
            only.write_bytes(only.read_bytes() + bytes(30))
    found = [
        (step, float(tf.make_ndarray(value.tensor)))
        for step, value in support.read_events(tmp_path)
        if value.tag == "loss/x"
    ]
    assert [step for step, _ in found] == list(range(1, 9))
    np.testing.assert_allclose(
        [value for _, value in found],
        [0.1, 0.2, 0.3, 3.4, 3.5, 3.6, 6.7, 6.8],
        rtol=1e-6,
    )
    assert support.read_hparams(tmp_path)["generator.filters"] == 4


@pytest.fixture(scope="module")
def state():
    return create_state(support.tiny_config())


@pytest.mark.parametrize(
    ("accuracy", "warned"),
    [(1.0, "wins always"), (0.5, "has collapsed"), (0.8, None)],
)
def test_discriminator_that_teaches_nothing(
    state, tmp_path, caplog, accuracy, warned
):
    config = support.tiny_config()
    monitor = Monitor(RunDir(tmp_path), config, 0, backend())
    results = {
        name: 1.0
        for name in (
            "generator",
            "discriminator",
            "adversarial",
            "content",
            "grad_norm_generator",
            "grad_norm_discriminator",
        )
    }
    for step in range(1, 26):
        monitor.progress(state, results | {"accuracy": accuracy}, step)
    monitor.close()
    warnings = [
        r.getMessage() for r in caplog.records if "discriminator" in r.message
    ]
    assert len(warnings) == bool(warned)
    if warned:
        assert warned in warnings[0]
    scalars = support.read_scalars(tmp_path)
    assert scalars["metrics/discriminator_accuracy", 3] == np.float32(accuracy)
