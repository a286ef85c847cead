"""What training changes: the networks, their optimisers, and a few counters.

All of it is Keras variables, so that both backends hold, save and restore the
same thing under the same names.
"""

import dataclasses

import keras
from keras import ops

from tfexposure.layers import spectral_norms
from tfexposure.training.task import Task
from tfexposure.training.tasks import make_task
from tfexposure.weights import named_weights

# After this many good steps a float16 run doubles its loss scale.
GOOD_STEPS = 2000


@dataclasses.dataclass
class TrainState:
    """Exactly what a checkpoint holds.

    Attributes:
        task: `Task`: networks, optimisers and averaged weights.
        step: steps done, undone ones included.
        bad_steps: steps undone for NaN or Inf in a row.
        undone_steps: all steps that were undone.
        loss_scale: by which losses are multiplied before they are
            differentiated; 1 except in float16.
        good_steps: steps since the loss scale changed.
        decay_steps: steps over which the learning rate's schedule runs.
    """

    task: Task
    step: keras.Variable
    bad_steps: keras.Variable
    undone_steps: keras.Variable
    loss_scale: keras.Variable
    good_steps: keras.Variable
    decay_steps: keras.Variable

    @property
    def averaged(self):
        """The product with exponentially averaged weights."""
        return self.task.averaged

    @property
    def networks(self):
        """Name -> network that is trained."""
        return self.task.networks

    def variables(self):
        """Returns name -> keras.Variable of all that the next step needs."""
        found = {}
        for name, network in (
            *self.networks.items(),
            ("averaged", self.averaged),
        ):
            for key, variable in network_variables(network).items():
                found[f"{name}/{key}"] = variable
        for name, optimizer in self.task.optimizers.items():
            named = optimizer_variables(optimizer, self.networks[name])
            for key, variable in named.items():
                found[f"{name}_optimizer/{key}"] = variable
        return found | self.counters()

    def counters(self):
        """Returns name -> keras.Variable of the counters."""
        return {
            name: value for name, value in vars(self).items() if name != "task"
        }

    def waits(self, name, train):
        """Returns how many steps of a run a network's own step takes."""
        return train.discriminator_steps if name == self.task.product else 1

    def product_due(self, train):
        """Tells, as a bool tensor, whether this step updates the product."""
        every = train.discriminator_steps
        return ops.equal(ops.mod(self.step.value, every), every - 1)

    def average(self, momentum):
        """Moves the averaged weights towards the live ones.

        Args:
            momentum: float, `train.ema`.
        """
        step = ops.cast(self.step.value, "float32")
        # A young average forgets its start quickly.
        momentum = ops.minimum(momentum, (1 + step) / (10 + step))
        spectral = {
            id(variable)
            for layer in spectral_norms(self.averaged)
            for variable in (layer.u, layer.v)
        }
        live_weights = self.networks[self.task.product].weights
        for average, live in zip(
            self.averaged.weights, live_weights, strict=True
        ):
            # The vectors of spectral norms iterate on the averaged kernels.
            if id(average) not in spectral:
                rest = ops.cast(1 - momentum, average.dtype)
                average.assign_add(rest * (live.value - average.value))

    def count(self, finite, scaled):
        """Counts a step; halves or doubles the loss scale.

        Args:
            finite: bool scalar tensor, whether the step was not undone.
            scaled: bool, whether losses are scaled (float16).
        """
        undone = ops.cast(ops.logical_not(finite), self.step.dtype)
        self.bad_steps.assign((self.bad_steps.value + undone) * undone)
        self.undone_steps.assign(self.undone_steps.value + undone)
        self.step.assign(self.step.value + 1)
        if not scaled:
            return
        good = self.good_steps.value + 1
        grow = ops.logical_and(finite, good >= GOOD_STEPS)
        scale = self.loss_scale.value
        scale = ops.where(finite, scale, ops.maximum(scale / 2, 1.0))
        self.loss_scale.assign(ops.where(grow, scale * 2, scale))
        kept = ops.logical_and(finite, ops.logical_not(grow))
        self.good_steps.assign(ops.where(kept, good, ops.zeros_like(good)))


def create_state(config, replicas=1):
    """Builds the task of a config, at step 0.

    Under tf.distribute, call it in the strategy's scope.

    Args:
        config: `Config`.
        replicas: see `make_task`.

    Returns:
        `TrainState`.
    """
    task = make_task(config, replicas)

    def counter(value, dtype="int"):
        # One copy decides for all replicas.
        return keras.Variable(
            value,
            trainable=False,
            dtype=dtype,
            autocast=False,
            aggregation="only_first_replica",
        )

    return TrainState(
        task=task,
        step=counter(0),
        bad_steps=counter(0),
        undone_steps=counter(0),
        loss_scale=counter(
            2.0**15 if config.train.precision == "float16" else 1.0, "float32"
        ),
        good_steps=counter(0),
        decay_steps=counter(
            # Until the pace is known, as long as it may become.
            max(config.train.decay_steps, 0) or config.train.steps
        ),
    )


def network_variables(network):
    """Returns name -> keras.Variable: weights, then `seed.0`, `seed.1`, ...

    The seeds of noise and dropout are no weights to Keras, which leaves them
    out of what it saves.
    """
    found = dict(named_weights(network))
    known = {id(variable) for variable in found.values()}
    seeds = [v for v in network.variables if id(v) not in known]
    return found | {f"seed.{i}": seed for i, seed in enumerate(seeds)}


def optimizer_variables(optimizer, network):
    """Returns name -> keras.Variable of Adam: moments by weight, the rest."""
    names = {id(v): name for name, v in named_weights(network).items()}
    found = {}
    for slot in ("momentums", "velocities"):
        for trained, variable in zip(
            network.trainable_variables,
            getattr(optimizer, f"_{slot}"),
            strict=True,
        ):
            found[f"{slot}/{names[id(trained)]}"] = variable
    known = {id(variable) for variable in found.values()}
    rest = {v.name: v for v in optimizer.variables if id(v) not in known}
    return found | rest
