"""Trains both tasks on JAX, on one device and on two; prints a JSON report.

    jax_program.py PACKED_FILE FOLDER

A program of its own: the number of devices is fixed when JAX starts, and no
TensorFlow may be in the process.
"""

import itertools
import json
import pathlib
import re
import sys

import jax
import numpy as np
import training_support as support

from tfexposure.config import Config, TrainConfig
from tfexposure.data.packed import ArrayPhotos
from tfexposure.training import backends
from tfexposure.training.checkpoints import Checkpoints
from tfexposure.training.state import create_state
from tfexposure.training.step_jax import JaxBackend

STEPS, SAVED = 3, 1
# What makes losses not a number, by task.
POISON = {"paper": "tau", "blind": "target_table"}


def main(source, folder):
    answer = {}
    devices = backends.open_backend(TrainConfig(devices="cpu:2")).devices()
    assert len(devices) == 2
    for task in ("paper", "blind"):
        config = support.packed_config(source, task)
        runs = {
            name: Run(config, devices)
            for name, devices in (
                ("one", jax.devices()[:1]),
                ("two", jax.devices()),
            )
        }
        found = {}
        one, two = runs.values()
        begin = one.values()
        for step in range(STEPS):
            found[f"step_{step}"] = [run.train(step) for run in (one, two)]
            if step == SAVED - 1:
                checkpoints = Checkpoints(
                    one.state, pathlib.Path(folder) / task, 1
                )
                one.values()
                checkpoints.save()
        one.save_batches(range(SAVED, STEPS), f"{folder}/{task}.npz")
        end = one.values()
        found["apart"] = difference(networks(end), two.values())
        found["moved"] = difference(begin, end)
        found["rates"] = {
            name: float(end[f"{name}_optimizer/learning_rate"])
            for name in one.state.networks
        }
        # Everything of the bad step is undone, but for its count.
        found["bad"] = one.train(STEPS, POISON[task])
        after = one.values()
        found["undone"] = sorted(
            name for name in end if not np.array_equal(end[name], after[name])
        )
        if task == "paper":
            found["parts"] = whole_and_parts(config)
            found["profiled"] = profiled(one, pathlib.Path(folder))
        # As if never stopped, to the bit.
        checkpoints.restore()
        one.step.reload()
        for step in range(SAVED, STEPS):
            one.train(step)
        found["resumed"] = difference(end, one.values())
        if task == "paper":
            found["types"] = run_types(source, task)
        found["begun"] = begun(config, pathlib.Path(folder))
        answer[task] = found
        for run in runs.values():
            run.backend.close()
    assert "tensorflow" not in sys.modules
    print("JSON" + json.dumps(answer))


class Run:
    """A state, and the step on some devices."""

    def __init__(self, config, devices):
        self.config = config
        self.backend = JaxBackend(devices)
        self.state = create_state(config)
        self.step = self.backend.make_step(config, self.state)
        self.photos = ArrayPhotos.open(
            config.data.source, short_side=self.state.task.short_side
        )

    def train(self, step, poison=None):
        """Takes the step of that number; returns its results."""
        batch = next(self.batches(step))
        if poison:
            batch[poison] = batch[poison] * np.float32("nan")
        results = self.step(iter([batch]))
        return {name: float(value) for name, value in results.items()}

    def batches(self, step):
        """Returns the batches from that of a step on."""
        return self.backend.batches(
            self.photos, self.config, self.state.task, step
        )

    def save_batches(self, steps, path):
        """Writes the prepared batches of some steps, stacked."""
        prepare = jax.jit(self.state.task.prepare)
        made = [prepare(next(self.batches(step))) for step in steps]
        np.savez(path, **{k: np.stack([b[k] for b in made]) for k in made[0]})

    def values(self):
        """Returns name -> array of the whole state."""
        self.step.publish()
        return {
            name: np.array(variable.numpy())
            for name, variable in self.state.variables().items()
        }


def whole_and_parts(config):
    """Trains on whole batches, and on halves of them, two steps each.

    The generator waits for the discriminator's second step.

    Returns:
        For both, the results of each step, and what moved in it.
    """
    found = []
    for count in (1, 2):
        values = config.to_dict()
        values["train"] |= {
            "accumulate": count,
            "discriminator_steps": 2,
            # Others may begin with a rate of 0.
            "schedule": "constant",
        }
        for network in ("generator", "discriminator"):
            # Statistics would be those of each half.
            values[network]["norm"] = "none"
        run = Run(Config.from_dict(values), jax.devices())
        states, results = [run.values()], []
        for step in range(2):
            results.append(run.train(step))
            states.append(run.values())
        moved = [
            sorted(
                {name.split("/")[0] for name in one if changed(name, one, two)}
            )
            for one, two in itertools.pairwise(states)
        ]
        found.append([results, moved])
        run.backend.close()
    return found


def changed(name, one, other):
    return not np.array_equal(one[name], other[name])


def profiled(run, folder):
    """Returns how many profiles of a step were written."""
    run.backend.start_profile(folder)
    run.train(STEPS)
    run.backend.stop_profile()
    return len([*folder.glob("plugins/profile/*/*.xplane.pb")])


def begun(config, folder):
    """Returns how far networks are from what `train.init` names."""
    paths, arrays = support.save_network(config, folder)
    cases = [(config, path, arrays) for path in paths]
    if config.task == "blind":
        shipped = Config(task="blind")
        cases.append((shipped, "natural", support.shipped("natural")))
    return [
        [
            support.farthest(network, expected)
            for network in support.begin_from(settings, init)
        ]
        for settings, init, expected in cases
    ]


def run_types(source, task):
    """Returns the types of a bfloat16 step's convolutions and products."""
    config = support.packed_config(source, task, precision="bfloat16")
    run = Run(config, jax.devices()[:1])
    text = run.step.lower(next(run.batches(0))).as_text()
    run.backend.close()
    found = re.findall(
        r"stablehlo\.(convolution|dot_general)\b.*-> tensor<\S*x(\w+)>", text
    )
    return sorted(set(found))


def difference(one, other):
    return max(
        float(np.abs(one[name] - other[name].astype(one[name].dtype)).max())
        for name in one
        if one[name].dtype == np.float32
    )


def networks(values):
    """Leaves out the moments of Adam.

    They are the gradients, which jump where L1 and leaky ReLU have kinks.
    """
    return {k: v for k, v in values.items() if "_optimizer/" not in k}


if __name__ == "__main__":
    main(*sys.argv[1:])
