"""Adam, and the course of its learning rate."""

import keras


def adam(train, beta_1, weight_decay=0.0):
    """Returns Adam for gradients that were summed over the replicas.

    Args:
        train: `TrainConfig`.
        beta_1: float in [0, 1).
        weight_decay: float, decoupled; 0: none.
    """
    return _Adam(
        learning_rate(train), beta_1=beta_1, weight_decay=weight_decay or None
    )


def learning_rate(train):
    """Returns the learning rate or its Keras schedule, in steps.

    Args:
        train: `TrainConfig`.
    """
    schedules = keras.optimizers.schedules
    half = train.steps // 2
    if train.schedule == "linear":
        return _HoldThen(
            schedules.PolynomialDecay(
                train.learning_rate, train.steps - half, 0.0
            ),
            half,
        )
    if train.schedule == "cosine":
        return _HoldThen(
            schedules.CosineDecay(train.learning_rate, train.steps - half),
            half,
        )
    if train.schedule == "warm_cosine":
        fall = max(train.steps - train.warmup_steps, 1)
        if not train.warmup_steps:
            return schedules.CosineDecay(train.learning_rate, fall, alpha=0.01)
        return schedules.CosineDecay(
            0.0,
            fall,
            alpha=0.01,
            warmup_target=train.learning_rate,
            warmup_steps=train.warmup_steps,
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
