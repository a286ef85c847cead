"""Trains on one replica of 8 photos and on two of 4; prints a JSON comparison.

A program of its own: one tf.distribute strategy per process (SPEC 8.11).
"""

import json
import os
import sys

os.environ["TF_CPP_MIN_LOG_LEVEL"] = "3"

import keras
import numpy as np
import tensorflow as tf
import training_support as support

from tfexposure import layers
from tfexposure.config import TrainConfig
from tfexposure.training import strategies
from tfexposure.training.checkpoints import Checkpoints
from tfexposure.training.state import create_state
from tfexposure.training.step_tensorflow import make_train_step

GOOD_STEPS, BAD_STEP, STEPS = 4, 4, 6


def main(folder):
    strategies.prepare(TrainConfig(devices="cpu:2"))
    support.trace_quickly()
    keras.config.set_floatx("float64")
    strategy = strategies.strategy()
    config = support.tiny_config(
        train={
            "global_batch_size": 8,
            "precision": "float64",
            "clip_norm": 30.0,
            "ema": 0.9,
        },
        generator={"noise": "none"},
    )
    examples = {
        name: values.astype("float64")
        for name, values in support.random_batch(8 * STEPS).items()
    }
    # In the second half of the batch: the second replica's.
    examples["target"][8 * BAD_STEP + 6, 0, 0, 0] = np.nan

    def batches(context):
        size = context.get_per_replica_batch_size(8)
        return tf.data.Dataset.from_tensor_slices(examples).batch(size)

    answer = {}
    runs = {"one": tf.distribute.get_strategy(), "two": strategy}
    trace = {name: [] for name in runs}
    states = {}
    for name, each in runs.items():
        with each.scope():
            states[name] = create_state(config)
        step = make_train_step(config, states[name], each)
        iterator = iter(each.distribute_datasets_from_function(batches))
        for number in range(STEPS):
            before = values(states[name])
            results = step(iterator)
            trace[name].append({k: float(v) for k, v in results.items()})
            if number == GOOD_STEPS - 1 and name == "two":
                checkpoints = Checkpoints(states[name], folder, keep=1)
                checkpoints.save()
                answer["saved"] = digest(values(states[name]))
            if number == BAD_STEP:
                answer[f"undone_{name}"] = equal(before, values(states[name]))
                answer[f"bad_steps_{name}"] = [
                    int(states[name].bad_steps.numpy()),
                    int(states[name].undone_steps.numpy()),
                    int(states[name].step.numpy()),
                ]
        answer[f"bad_steps_after_{name}"] = int(states[name].bad_steps.numpy())

    one, two = values(states["one"]), values(states["two"])
    answer["weights"] = max(
        float(np.abs(a - b).max() / max(np.abs(a).max(), 1e-3))
        for a, b in zip(one, two, strict=True)
    )
    answer["moved"] = float(np.abs(one[0] - before_training(config)).max())
    answer["trace"] = trace
    answer["drift"] = max(
        float(np.abs(copies[0] - copies[1]).max())
        for copies in replica_copies(strategy, states["two"])
    )
    # The checkpoint of two replicas on one.
    restored = Checkpoints(states["one"], folder, keep=1).restore()
    answer["restored"] = [
        bool(restored),
        digest(values(states["one"])),
        int(states["one"].step.numpy()),
    ]
    answer["noise"] = noise(strategy)
    print("JSON" + json.dumps(answer))


def variables(state):
    """All variables but the counters of the state."""
    counters = state.counters()
    return [v for n, v in state.variables().items() if n not in counters]


def values(state):
    return [
        np.asarray(v.numpy()) for v in variables(state) if "seed" not in v.path
    ]


def before_training(config):
    return values(create_state(config))[0]


def equal(a, b):
    return all(np.array_equal(x, y) for x, y in zip(a, b, strict=True))


def digest(arrays):
    return float(sum(np.abs(array.astype("float64")).sum() for array in arrays))


def replica_copies(strategy, state):
    """Yields the copies of every mirrored variable, one per replica."""
    for variable in variables(state):
        copies = strategy.experimental_local_results(variable.value)
        assert len(copies) == 2, variable.path
        yield [copy.numpy() for copy in copies]


def noise(strategy):
    """Draws of two replicas in three steps: (step, replica, value)."""
    with strategy.scope():
        layer = layers.NoiseInjection(seed=5)
        layer.build((None, 8, 8, 1))
        layer.scale.assign([1.0])

    @tf.function
    def draw():
        zeros = tf.zeros((1, 8, 8, 1), tf.float64)
        return strategy.run(lambda: layer(zeros, training=True))

    draws = []
    for _ in range(3):
        draws.append(
            [
                np.array(value).ravel().tolist()
                for value in strategy.experimental_local_results(draw())
            ]
        )
    return draws


if __name__ == "__main__":
    main(sys.argv[1])
