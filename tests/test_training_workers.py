"""Two processes with TF_CONFIG compute what one does, and survive a loss."""

import json
import os
import socket

import numpy as np
import pytest
import tensorflow as tf
import training_support as support

from tfexposure.training import loop
from tfexposure.training.step_tensorflow import TensorFlowBackend

pytestmark = pytest.mark.tf_only

STEPS = 16
KILL_AFTER = 8


def free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def start_workers(run_dir, *configs):
    """Starts a worker on each config."""
    workers = [f"localhost:{port}" for port in free_ports(len(configs))]
    return [
        support.start(
            run_dir,
            config,
            TF_CONFIG=json.dumps(
                {
                    "cluster": {"worker": workers},
                    "task": {"type": "worker", "index": index},
                }
            ),
            # Both would take every core.
            OMP_NUM_THREADS="1",
        )
        for index, config in enumerate(configs)
    ]


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """A run of one process, and one of two that loses a worker."""
    photos = support.write_photos(tmp_path_factory.mktemp("photos"), 7)
    config = support.tiny_config(
        photos,
        train={
            "steps": STEPS,
            "deterministic": True,
            "checkpoint_every": 5,
            # Adam turns rounding errors of small gradients into whole steps;
            # short ones keep the runs comparable in float32.
            "learning_rate": 1e-6,
        },
        # Drawn per replica, so two replicas draw other noise than one.
        generator={"noise": "none", "spectral_normalization": False},
        data={"validation_source": str(photos)},
    )
    folder = tmp_path_factory.mktemp("runs")
    workers = start_workers(folder / "two", config, config)
    support.wait_for_step(workers[0], KILL_AFTER)
    workers[1].kill()
    outputs = {"lost": support.finish(workers[0], code=1)}
    workers[1].communicate()
    support.trace_quickly()
    backend = TensorFlowBackend(tf.distribute.get_strategy())
    loop.train(config, folder / "one", backend)
    workers = start_workers(folder / "two", config, config)
    last = support.finish(workers[1])
    # As the other one leaves it.
    outputs["log"] = (folder / "two" / "log.jsonl").read_text()
    outputs["again"] = [support.finish(workers[0]), last]
    return folder, outputs


def test_losses_equal_those_of_one_process(runs):
    folder, _ = runs
    one = support.read_scalars(folder / "one")
    two = support.read_scalars(folder / "two")
    # The generator's gradient jumps where max pooling has near ties.
    tolerances = {
        "loss/generator": 1e-4,
        "loss/discriminator": 1e-4,
        "loss/content": 1e-4,
        "loss/adversarial": 1e-3,
        "grad_norm/discriminator": 1e-4,
        "grad_norm/generator": 5e-2,
    }
    for step in range(1, STEPS + 1):
        for tag, tolerance in tolerances.items():
            expected = pytest.approx(one[tag, step], rel=tolerance)
            assert two[tag, step] == expected, (tag, step)
    # The batches of a run differ by much more than that.
    losses = [one["loss/content", step] for step in range(1, STEPS + 1)]
    assert np.std(losses) > 0.02 * np.mean(losses)


def test_survivor_says_what_to_do(runs):
    lines = runs[1]["lost"][1].splitlines()
    (ours,) = [line for line in lines if line.startswith("error: ")]
    # Which one, TensorFlow's error says in most cases, not in all.
    assert ours.startswith("error: lost another worker")
    assert "Restart the same command on every worker" in ours
    # What TensorFlow has to say about it stays, but no traceback.
    assert any("UNAVAILABLE" in line for line in lines)
    assert not any("Traceback" in line or "File " in line for line in lines)


def test_workers_start_and_finish_quietly(runs):
    for _, error in runs[1]["again"]:
        assert error == ""


def test_restarted_workers_go_on_from_the_checkpoint(runs):
    chief, other = runs[1]["again"]
    first = chief[0].splitlines()[0]
    assert "resumed at step 5; 2 replica(s)" in first
    # Only the chief reports.
    assert "step" not in other[0]


def test_no_worker_leaves_before_the_chief_has_validated(runs):
    assert f'{{"step": {STEPS}, "metrics/' in runs[1]["log"]


def test_only_the_chief_writes_the_folder(runs):
    folder = runs[0] / "two"
    names = sorted(os.listdir(folder / "checkpoints"))
    assert names == ["ckpt-10.npz", "ckpt-15.npz", "ckpt-16.npz"]
    starts = support.read_json(folder / "run.json")["starts"]
    assert [start["step"] for start in starts] == [0, 5]
    assert {start["replicas"] for start in starts} == {2}


def test_final_weights_equal_those_of_one_process(runs):
    one = support.read_checkpoint(runs[0] / "one", STEPS)
    two = support.read_checkpoint(runs[0] / "two", STEPS)
    assert one.keys() == two.keys()
    compared = 0
    for name, value in one.items():
        if name.startswith("generator/") and value.dtype == np.float32:
            np.testing.assert_allclose(two[name], value, 1e-2, 4e-5, name)
            compared += 1
    assert compared > 60


def test_workers_that_differ_do_not_start(tmp_path):
    configs = [
        support.tiny_config(
            support.write_photos(tmp_path / str(count), count),
            train={"seed": count},
            generator={"filters": 2, "noise": "none"},
        )
        for count in (3, 4)
    ]
    for worker in start_workers(tmp_path / "run", *configs):
        out, error = support.finish(worker, code=1)
        assert "error: workers differ from the first one in: " in error
        assert "settings (replica 1); photos (replica 1)." in error
        assert "step" not in out
