"""Means, intervals and verdicts: can two ways of training be told apart?

The paper trained everything once and found it "hard to conclude which method
or model does actually perform better" (section 5.1). Here every difference
comes with an interval from a paired bootstrap: the same resampled photos, and
resampled trainings, for both sides.
"""

import dataclasses

import numpy as np

NOT_TOLD_APART = "cannot be told apart"


@dataclasses.dataclass(frozen=True)
class Interval:
    """An estimate with its 95 % interval.

    Attributes:
        mean: the estimate.
        low: lower end; NaN where unknown.
        high: upper end.
    """

    mean: float
    low: float
    high: float


class Similarity:
    """Histogram similarity of one feature, for resampled photos.

    Args:
        target: float (N,) in [0, 1], the feature of the originals; or (N, P),
            of P patches of each.
        restored: the same of the restored photos.
        bins: number of equal bins on [0, 1].
    """

    def __init__(self, target, restored, bins=32):
        self._target = _one_hot(target, bins)
        self._restored = _one_hot(restored, bins)

    def __call__(self, counts):
        """Returns (B,) in %, for float (B, N): how often each photo counts."""
        total = counts.sum(axis=1, keepdims=True)
        target = counts @ self._target / total
        restored = counts @ self._restored / total
        return 100 * np.minimum(target, restored).sum(axis=1)


class Mean:
    """Mean of a value per photo, NaN left out, for resampled photos."""

    def __init__(self, values):
        self._known = ~np.isnan(values)
        self._values = np.where(self._known, values, 0)

    def __call__(self, counts):
        """Returns (B,), NaN where no photo has a value."""
        weight = counts @ self._known
        with np.errstate(invalid="ignore"):
            return counts @ self._values / weight


class Score:
    """Inception Score in one split, for resampled photos.

    Args:
        probabilities: float (N, K), rows summing to 1.
    """

    def __init__(self, probabilities):
        self._p = np.asarray(probabilities, np.float64)
        self._plogp = _plogp(self._p).sum(axis=1)

    def __call__(self, counts):
        """Returns (B,)."""
        total = counts.sum(axis=1)
        marginal = counts @ self._p / total[:, None]
        mean = counts @ self._plogp / total
        return np.exp(mean - _plogp(marginal).sum(axis=1))


def students_t95(freedom):
    """Two-sided 95 % quantile of Student's t.

    Args:
        freedom: int >= 1, degrees of freedom.

    Returns:
        float: 12.706 for 1, and towards 1.960 from above.

    Reference:
        Abramowitz and Stegun, 26.7.3 and 26.7.4: for whole degrees of freedom
        the distribution is a finite sum.
    """
    low, high = 0.0, np.pi / 2
    for _ in range(60):
        middle = (low + high) / 2
        if _share_within(middle, freedom) < 0.95:
            low = middle
        else:
            high = middle
    return float(np.sqrt(freedom) * np.tan(low))


def _share_within(angle, freedom):
    """P(|t| < sqrt(freedom) tan(angle))."""
    odd = freedom % 2
    # cos^k times 1/2 3/4 ... for even, 2/3 4/5 ... for odd degrees.
    steps = np.arange(1 + odd, freedom - 2 + odd, 2)
    factors = np.cos(angle) ** 2 * steps / (steps + 1)
    total = np.sum(np.cumprod(np.concatenate([[1.0], factors])))
    if not odd:
        return np.sin(angle) * total
    rest = np.sin(angle) * np.cos(angle) * total if freedom > 1 else 0.0
    return 2 / np.pi * (angle + rest)


def resample_photos(photos, resamples, seed=0, scenes=None):
    """Draws photos with replacement.

    Args:
        photos: N.
        resamples: B.
        seed: of the draws.
        scenes: N labels, or None; photos of one scene are drawn together, as
            they are no independent samples.

    Returns:
        Float64 (B, N), how often each photo was drawn.
    """
    generator = np.random.default_rng(seed)
    if scenes is None:
        scenes = range(photos)
    _, scene_of = np.unique(np.asarray(scenes), return_inverse=True)
    count = scene_of.max() + 1
    drawn = generator.multinomial(count, np.full(count, 1 / count), resamples)
    return drawn[:, scene_of].astype(np.float64)


def estimate(measures, counts):
    """Estimates a number over trainings that differ in their seed alone.

    Args:
        measures: one function (such as `Mean`) per training.
        counts: `resample_photos`.

    Returns:
        An `Interval`: over the trainings by Student's t; of a single training
        over the resampled photos, which says nothing about other trainings.
    """
    everything = np.ones((1, counts.shape[1]))
    values = np.array([measure(everything)[0] for measure in measures])
    mean = float(values.mean())
    if len(values) == 1:
        return _around(mean, measures[0](counts))
    freedom = len(values) - 1
    half = float(
        students_t95(freedom) * values.std(ddof=1) / np.sqrt(len(values))
    )
    return Interval(mean, mean - half, mean + half)


def difference(first, second, counts, seed=0):
    """Estimates by how much `first` exceeds `second`.

    Args:
        first: one function per training of the one side.
        second: of the other side.
        counts: `resample_photos`; both sides see the same photos.
        seed: of the resampled trainings.

    Returns:
        An `Interval` of the difference, by bootstrap over photos and, where
        there are several, over trainings.
    """
    everything = np.ones((1, counts.shape[1]))
    mean = np.mean([measure(everything)[0] for measure in first]) - np.mean(
        [measure(everything)[0] for measure in second]
    )
    generator = np.random.default_rng(seed)
    draws = _resampled_mean(first, counts, generator) - _resampled_mean(
        second, counts, generator
    )
    return _around(float(mean), draws)


def verdict(interval, first, second):
    """Says in words which of two sides has the higher value."""
    if interval.low > 0:
        return f"{first} higher"
    if interval.high < 0:
        return f"{second} higher"
    return NOT_TOLD_APART


def _resampled_mean(measures, counts, generator):
    """Means over trainings drawn with replacement; (B,)."""
    values = np.stack([measure(counts) for measure in measures])  # (S, B)
    drawn = generator.integers(len(measures), size=values.shape)
    return np.take_along_axis(values, drawn, axis=0).mean(axis=0)


def _around(mean, draws):
    """Interval of the middle 95 % of the draws, their bias taken off.

    Resampled histograms are rougher than the original ones, so that their
    similarity leans low.
    """
    draws = draws[~np.isnan(draws)]
    if not len(draws):
        return Interval(mean, np.nan, np.nan)
    low, high = np.percentile(draws - draws.mean(), [2.5, 97.5])
    return Interval(mean, mean + float(low), mean + float(high))


def _one_hot(values, bins):
    place = np.clip((np.asarray(values) * bins).astype(int), 0, bins - 1)
    counts = np.eye(bins)[place]
    return counts.mean(axis=1) if counts.ndim == 3 else counts


def _plogp(p):
    return p * np.log(np.where(p > 0, p, 1))
