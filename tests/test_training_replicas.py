"""Two replicas compute what one does (SPEC 8.1, 8.3 to 8.5)."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import training_support as support
from conftest import HANG

pytestmark = pytest.mark.tf_only

TESTS = support.ROOT / "tests"


@pytest.fixture(scope="module")
def answer(tmp_path_factory):
    """What `replicas_program.py` found."""
    done = subprocess.run(
        [
            sys.executable,
            str(TESTS / "replicas_program.py"),
            str(tmp_path_factory.mktemp("checkpoints")),
        ],
        env={
            **os.environ,
            "PYTHONPATH": os.pathsep.join([str(TESTS), str(support.ROOT)]),
        },
        capture_output=True,
        text=True,
        timeout=HANG,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.split("JSON")[1])


def test_two_replicas_equal_one(answer):
    assert answer["moved"] > 1e-4
    assert answer["weights"] < 1e-10
    for one, two in zip(*answer["trace"].values(), strict=True):
        for name, value in one.items():
            np.testing.assert_allclose(two[name], value, rtol=1e-10)


def test_clipping_saw_the_sum_over_replicas(answer):
    # Equality above would prove nothing had no or every gradient been long.
    norms = [t["grad_norm_discriminator"] for t in answer["trace"]["two"]]
    assert np.nanmin(norms) < 30 < np.nanmax(norms)


def test_no_copy_drifts_apart(answer):
    assert answer["drift"] == 0


def test_nan_on_one_replica_undoes_the_step_on_all(answer):
    finite = [t["finite"] for t in answer["trace"]["two"]]
    assert finite == [1, 1, 1, 1, 0, 1]
    for name in ("one", "two"):
        assert answer[f"undone_{name}"]
        assert answer[f"bad_steps_{name}"] == [1, 1, 5]
        assert answer[f"bad_steps_after_{name}"] == 0


def test_checkpoint_of_two_replicas_restores_on_one(answer):
    found, digest, step = answer["restored"]
    assert found
    assert step == 4
    assert digest == answer["saved"]


def test_noise_differs_between_replicas(answer):
    draws = np.array(answer["noise"]).reshape(6, -1)
    assert draws.std() == pytest.approx(1, abs=0.15)
    # Neither equal nor a delayed copy of each other: 3 steps, 2 replicas.
    correlation = np.corrcoef(draws) - np.eye(6)
    assert np.abs(correlation).max() < 0.5
