"""Adam, and the course of its learning rate."""

import math

import keras
from keras import ops


def adam(train, beta_1, weight_decay=0.0):
    """Returns Adam for gradients that were summed over the replicas.

    Its learning rate is a variable: the step assigns `learning_rate`.

    Args:
        train: `TrainConfig`.
        beta_1: float in [0, 1).
        weight_decay: float, decoupled; 0: none.
    """
    return _Adam(
        train.learning_rate, beta_1=beta_1, weight_decay=weight_decay or None
    )


def learning_rate(train, step, decay_steps, network=""):
    """Returns the learning rate of one step.

    Args:
        train: `TrainConfig`.
        step: scalar tensor, steps done.
        decay_steps: scalar tensor, the steps over which the schedule runs;
            its last value holds afterwards.
        network: name of the network; `discriminator` may have its own rate.

    Returns:
        float32 scalar tensor.
    """
    rate = train.learning_rate
    if network == "discriminator" and train.discriminator_learning_rate:
        rate = train.discriminator_learning_rate
    return rate * _course(train, ops.cast(step, "float32"), decay_steps)


def _course(train, step, decay_steps):
    """Returns the share of the rate that is left, float32."""
    total = ops.cast(decay_steps, "float32")
    start, least, warmup = ops.floor(total / 2), 0.0, 0
    if train.schedule == "constant":
        return ops.ones_like(step)
    if train.schedule == "step":
        falls = ops.floor(step / train.step_every)
        return ops.power(train.step_factor, falls)
    if train.schedule == "warm_cosine":
        warmup, least = train.warmup_steps, 0.01
        start = ops.minimum(float(warmup), total - 1)
    past = ops.clip((step - start) / ops.maximum(total - start, 1.0), 0.0, 1.0)
    if train.schedule == "linear":
        share = 1 - past
    else:
        share = least + (1 - least) * (1 + ops.cos(math.pi * past)) / 2
    if warmup:
        share = ops.where(step < warmup, step / warmup, share)
    return share


class _Adam(keras.optimizers.Adam):
    """Adam that takes gradients already summed over the replicas.

    Keras would sum them itself, which is too late for clipping them and for
    seeing whether they are finite on every replica.
    """

    def _all_reduce_sum_gradients(self, grads_and_vars):
        return list(grads_and_vars)
