"""Inception Score: do restored photos show recognisable, varied things?

Reference:
    Salimans et al., Improved techniques for training GANs, 2016; used in
    Le Jeune, section 3.4.2.
"""

import keras
from keras import ops


def inception_score(probabilities, splits=10):
    """exp(mean KL(p(class | photo) || p(class))), over splits.

    Photo i belongs to split `i % splits`: photos sorted by class, as files
    often are, still spread evenly.

    Args:
        probabilities: float (N, K), rows summing to 1, N >= `splits`.
        splits: number of parts scored on their own.

    Returns:
        (mean, standard deviation) over the splits, two float scalars; the
        score lies in [1, K].

    Raises:
        ValueError: for fewer photos than splits.
    """
    probabilities = ops.convert_to_tensor(probabilities)
    count = probabilities.shape[0]
    if count < splits:
        raise ValueError(
            f"`probabilities` should have at least {splits} rows, one per "
            f"split. Received: {count}"
        )
    sums, logs, counts = _statistics(probabilities, 0, splits)
    return _score(sums, logs, counts)


@keras.saving.register_keras_serializable("tfexposure")
class InceptionScore(keras.metrics.Metric):
    """`inception_score` over batches of class probabilities.

    `update_state` takes probabilities, float (N, K); `result` returns a
    dictionary of `mean` and `std`, NaN for fewer photos than splits.

    Args:
        classes: K.
        splits: number of parts scored on their own.
        name: the metric's name.
        dtype: the metric's type.
    """

    def __init__(
        self, classes=1000, splits=10, name="inception_score", dtype=None
    ):
        super().__init__(name=name, dtype=dtype)
        self.classes = classes
        self.splits = splits
        self.sums = self.add_variable(
            (splits, classes), initializer="zeros", name="sums"
        )
        self.logs = self.add_variable(
            (splits,), initializer="zeros", name="logs"
        )
        self.counts = self.add_variable(
            (splits,), initializer="zeros", name="counts"
        )

    def update_state(self, probabilities):
        """Adds photos by their class probabilities."""
        seen = ops.cast(ops.sum(self.counts), "int32")
        sums, logs, counts = _statistics(
            ops.cast(probabilities, self.dtype), seen, self.splits
        )
        self.sums.assign_add(sums)
        self.logs.assign_add(logs)
        self.counts.assign_add(counts)

    def result(self):
        """Returns the dictionary of `mean` and `std`."""
        mean, std = _score(
            ops.convert_to_tensor(self.sums),
            ops.convert_to_tensor(self.logs),
            ops.convert_to_tensor(self.counts),
        )
        return {"mean": mean, "std": std}

    def get_config(self):
        """Returns the constructor's arguments."""
        return {
            **super().get_config(),
            "classes": self.classes,
            "splits": self.splits,
        }


def _statistics(probabilities, first, splits):
    """Per split: sum of p (S, K), sum of p log p (S,), photos (S,)."""
    rows = ops.shape(probabilities)[0]
    split = (first + ops.arange(rows, dtype="int32")) % splits
    member = ops.one_hot(split, splits, dtype=probabilities.dtype)  # (N, S)
    return (
        ops.matmul(ops.transpose(member), probabilities),
        ops.sum(member * _entropy_terms(probabilities)[:, None], axis=0),
        ops.sum(member, axis=0),
    )


def _score(sums, logs, counts):
    # mean KL(p || q) = mean sum p log p - sum q log q, q the mean of p.
    marginal = sums / counts[:, None]
    scores = ops.exp(logs / counts - _entropy_terms(marginal))
    return ops.mean(scores), ops.std(scores)


def _entropy_terms(probabilities):
    """Sum over classes of p log p, with 0 log 0 = 0."""
    positive = probabilities > 0
    logs = ops.log(ops.where(positive, probabilities, 1.0))
    return ops.sum(probabilities * logs, axis=-1)
