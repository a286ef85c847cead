"""The learning rate against Keras's schedules, and its fitted horizon."""

import dataclasses
import types

import keras
import numpy as np
import pytest

from tfexposure.config import TrainConfig
from tfexposure.training import loop
from tfexposure.training.optimizers import learning_rate

TRAIN = TrainConfig(learning_rate=3e-4, warmup_steps=10)
STEPS = 41


def rates(schedule, **train):
    config = dataclasses.replace(TRAIN, schedule=schedule, **train)
    return [float(learning_rate(config, s, STEPS)) for s in range(60)]


@pytest.mark.parametrize("warmup", [0, 10])
def test_warm_cosine_is_that_of_keras(warmup):
    expected = keras.optimizers.schedules.CosineDecay(
        0.0 if warmup else 3e-4,
        STEPS - warmup,
        alpha=0.01,
        warmup_target=3e-4 if warmup else None,
        warmup_steps=warmup,
    )
    np.testing.assert_allclose(
        rates("warm_cosine", warmup_steps=warmup),
        [float(expected(step)) for step in range(60)],
        rtol=1e-5,
        atol=1e-10,
    )


@pytest.mark.parametrize(
    "name, fall",
    [
        (
            "linear",
            keras.optimizers.schedules.PolynomialDecay(3e-4, 21, 0.0),
        ),
        ("cosine", keras.optimizers.schedules.CosineDecay(3e-4, 21)),
    ],
)
def test_the_second_half_falls_to_zero(name, fall):
    expected = [3e-4] * 20 + [float(fall(step)) for step in range(40)]
    np.testing.assert_allclose(rates(name), expected, rtol=1e-5, atol=1e-10)
    assert rates("constant") == pytest.approx([3e-4] * 60)


def test_step_falls_by_its_factor():
    expected = keras.optimizers.schedules.PiecewiseConstantDecay(
        [14, 29, 44], [3e-4, 6e-5, 1.2e-5, 2.4e-6]
    )
    np.testing.assert_allclose(
        rates("step", step_every=15, step_factor=0.2),
        [float(expected(step)) for step in range(60)],
        rtol=1e-5,
    )


def test_the_discriminator_may_have_its_own_rate():
    config = dataclasses.replace(
        TRAIN, schedule="cosine", discriminator_learning_rate=1e-4
    )
    for name, peak in (("discriminator", 1e-4), ("generator", 3e-4)):
        found = float(learning_rate(config, 30, 40, name))
        assert found == pytest.approx(peak / 2)


def test_a_horizon_that_fits_the_time(monkeypatch):
    clock = types.SimpleNamespace(now=100.0)
    monkeypatch.setattr(loop.time, "monotonic", lambda: clock.now)
    # 200 s are left at the start, of which a tenth is for measuring.
    budget = types.SimpleNamespace(left=lambda: 300.0 - clock.now)
    pace = loop._Pace(budget)
    pace.start(1)
    clock.now = 110.0
    assert pace.decay_steps(51) is None
    clock.now = 120.0
    # 5 steps a second, 180 s left; a twentieth goes to validation.
    assert pace.decay_steps(101) == 101 + int(0.95 * 180 * 5)
