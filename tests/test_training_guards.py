"""Runs that cannot go on, or should not, say so (in this process)."""

import numpy as np
import pytest
import tensorflow as tf
import training_support as support

from tfexposure.config import RunDir
from tfexposure.errors import UserError
from tfexposure.training import loop
from tfexposure.training.monitor import Monitor
from tfexposure.training.state import create_state
from tfexposure.training.step_tensorflow import TensorFlowBackend

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
