"""What training changes: the networks, their optimisers, and a few counters."""

import dataclasses

import keras
import tensorflow as tf

from tfexposure.layers import seed_noise
from tfexposure.paper.discriminator import PatchDiscriminator
from tfexposure.paper.generator import UNetGenerator

_POLICIES = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
    # Not offered by the configuration: for exact comparisons.
    "float64": "float64",
}


@dataclasses.dataclass
class TrainState:
    """Exactly what a checkpoint holds.

    Attributes:
        generator: `UNetGenerator`.
        averaged: the same network with exponentially averaged weights.
        discriminator: `PatchDiscriminator`.
        generator_optimizer: keras.optimizers.Adam, built.
        discriminator_optimizer: keras.optimizers.Adam, built.
        step: int64 variable, steps done, undone ones included.
        bad_steps: int64 variable, steps undone for NaN or Inf in a row.
        undone_steps: int64 variable, all steps that were undone.
        loss_scale: float32 variable, by which losses are multiplied before
            they are differentiated; 1 except in float16.
        good_steps: int64 variable, steps since the loss scale changed.
    """

    generator: keras.Model
    averaged: keras.Model
    discriminator: keras.Model
    generator_optimizer: keras.optimizers.Optimizer
    discriminator_optimizer: keras.optimizers.Optimizer
    step: tf.Variable
    bad_steps: tf.Variable
    undone_steps: tf.Variable
    loss_scale: tf.Variable
    good_steps: tf.Variable

    def checkpoint(self):
        """Returns the tf.train.Checkpoint of everything here."""
        return tf.train.Checkpoint(
            **{name: _checkpointed(value) for name, value in vars(self).items()}
        )


def _checkpointed(value):
    """Lists a network's or optimiser's variables, in order.

    tf.train.Checkpoint would not see them through Keras objects: it does not
    follow lists of layers.
    """
    if isinstance(value, keras.Model):
        return [variable.value for variable in value.weights]
    if isinstance(value, keras.optimizers.Optimizer):
        return [variable.value for variable in value.variables]
    return value


def create_state(config):
    """Builds networks and optimisers; call it in the strategy's scope.

    Args:
        config: `Config`.

    Returns:
        `TrainState` at step 0.
    """
    train = config.train
    keras.utils.set_random_seed(train.seed)
    policy = keras.DTypePolicy(_POLICIES[train.precision])
    generator, averaged = (
        UNetGenerator(**dataclasses.asdict(config.generator), dtype=policy)
        for _ in range(2)
    )
    discriminator = PatchDiscriminator(
        **dataclasses.asdict(config.discriminator), dtype=policy
    )
    photo = (None, None, None, 3)
    generator.build(photo)
    averaged.build(photo)
    averaged.set_weights(generator.get_weights())
    discriminator.build([photo, photo])
    seed_noise(generator, train.seed)
    generator_optimizer = _adam(train)
    discriminator_optimizer = _adam(train)
    generator_optimizer.build(generator.trainable_variables)
    discriminator_optimizer.build(discriminator.trainable_variables)

    def counter(value, dtype):
        # One copy decides for all replicas.
        return tf.Variable(
            value,
            trainable=False,
            dtype=dtype,
            aggregation=tf.VariableAggregation.ONLY_FIRST_REPLICA,
        )

    return TrainState(
        generator=generator,
        averaged=averaged,
        discriminator=discriminator,
        generator_optimizer=generator_optimizer,
        discriminator_optimizer=discriminator_optimizer,
        step=counter(0, tf.int64),
        bad_steps=counter(0, tf.int64),
        undone_steps=counter(0, tf.int64),
        loss_scale=counter(
            2.0**15 if train.precision == "float16" else 1.0, tf.float32
        ),
        good_steps=counter(0, tf.int64),
    )


def learning_rate(train):
    """Returns the learning rate or its Keras schedule, in steps.

    Args:
        train: `TrainConfig`.
    """
    half = train.steps // 2
    if train.schedule == "linear":
        return _HoldThen(
            keras.optimizers.schedules.PolynomialDecay(
                train.learning_rate, train.steps - half, 0.0
            ),
            half,
        )
    if train.schedule == "cosine":
        return _HoldThen(
            keras.optimizers.schedules.CosineDecay(
                train.learning_rate, train.steps - half
            ),
            half,
        )
    return train.learning_rate


class _HoldThen(keras.optimizers.schedules.LearningRateSchedule):
    """The first value of a schedule for a while, then the schedule."""

    def __init__(self, schedule, hold):
        self.schedule = schedule
        self.hold = hold

    def __call__(self, step):
        step = keras.ops.cast(step, "float32")
        return self.schedule(keras.ops.maximum(step - self.hold, 0.0))

    def get_config(self):
        return {"schedule": self.schedule, "hold": self.hold}


class _Adam(keras.optimizers.Adam):
    """Adam that takes gradients already summed over the replicas.

    Keras would sum them itself, which is too late for clipping them and for
    seeing whether they are finite on every replica.
    """

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return list(grads_and_vars)


def _adam(train):
    return _Adam(learning_rate(train), beta_1=train.beta_1)
