"""Measures restorations against their originals, photo by photo."""

import dataclasses

import numpy as np
from keras import ops

from tfexposure import metrics
from tfexposure.errors import UserError
from tfexposure.evaluation import statistics
from tfexposure.evaluation.example import to_uint8
from tfexposure.metrics.fidelity import SSIM_WINDOW

# Values of one restored photo, see `measure`.
VALUES = (
    "psnr",
    "psnr_best_gain",
    "psnr_same_mean",
    "psnr_clipped",
    "psnr_unclipped",
    "ssim",
    "ciede2000",
    "chroma_clipped",
    "white",
    "white_error",
    "l1",
    "l1_clipped",
    "l1_unclipped",
)
# A region of fewer pixels is not measured: it says little, and a mean over
# photos would count it like any other.
MIN_REGION = 256

_CLASSIFIER_BATCH = 16


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Values of every method for every photo.

    Attributes:
        name: of the set.
        about: dict, how the set was made.
        sentence: the same in words.
        names: files, N of them.
        scenes: N labels; photos of one scene are no independent samples.
        taus: float64 (N,), NaN where unknown.
        clipped: float64 (N,), the share of clipped pixels.
        target_features: float64 (N, 3), in the order of `metrics.FEATURES`;
            (N, 16, 3) with the protocol `patches`.
        target_probabilities: float32 (N, K) by the classifier, or None.
        values: method -> value name (`VALUES`) -> float64 (N,), NaN where
            there is nothing to measure.
        features: method -> float64 like `target_features`.
        probabilities: method -> float32 (N, K); empty without classifier.
        unreadable: tuple of messages.
        left_out: names of badly exposed originals.
        similarity: one of `metrics.PROTOCOLS`.
    """

    name: str
    about: dict
    sentence: str
    names: tuple
    scenes: tuple
    taus: np.ndarray
    clipped: np.ndarray
    target_features: np.ndarray
    target_probabilities: np.ndarray | None
    values: dict
    features: dict
    probabilities: dict
    unreadable: tuple = ()
    left_out: tuple = ()
    similarity: str = "photos"

    def measures(self, method):
        """Returns name -> function of resampled photos; see `statistics`.

        The names are `VALUES`, `metrics.FEATURES` and, with a classifier,
        `score`.
        """
        measures = {
            name: statistics.Mean(values)
            for name, values in self.values[method].items()
        }
        for i, name in enumerate(metrics.FEATURES):
            measures[name] = statistics.Similarity(
                self.target_features[..., i], self.features[method][..., i]
            )
        if self.probabilities:
            measures["score"] = statistics.Score(self.probabilities[method])
        return measures


def evaluate(
    photos,
    methods,
    oracles=None,
    classifier=None,
    progress=None,
    similarity="photos",
):
    """Restores photos and measures the results.

    What a method returns is rounded to 8 bits first, as a saved photo is.

    Args:
        photos: a `SimulatedSet`, a `PairSet` or a list of `Example`s.
        methods: name -> function from float32 (H, W, 3) in [0, 1] to the
            same, restored.
        oracles: name -> the same, but with tau and the response as second and
            third argument; for sets whose `tau_known` is true.
        classifier: a `metrics.classifiers.Classifier`, or None for no score.
        progress: called as `progress(done, total)` after each photo.
        similarity: one of `metrics.PROTOCOLS`: what the histogram similarity
            counts, whole photos or `metrics.draw_patches` of each.

    Returns:
        An `Evaluation`.

    Raises:
        UserError: if too many photos are unreadable, or none is left.
    """
    names = [*methods, *(oracles or ())]
    truth = _Restored(classifier, similarity)
    found = {name: _Restored(classifier, similarity) for name in names}
    seen = []
    for number, example in enumerate(photos):
        scorer = Scorer(example)
        truth.add(scorer.target, {})
        seen.append((example.name, example.scene, example.tau, scorer.share))
        for name in names:
            if name in methods:
                restored = methods[name](example.overexposed)
            else:
                restored = oracles[name](
                    example.overexposed, example.tau, example.response
                )
            restored = to_uint8(restored).astype(np.float32) / 255
            found[name].add(restored, scorer.measure(restored))
        if progress:
            progress(number + 1, len(photos))
    unreadable = tuple(getattr(photos, "unreadable", ()))
    left_out = tuple(getattr(photos, "left_out", ()))
    if not seen:
        raise UserError(
            "\n".join(["No photo is left to evaluate on.", *unreadable])
            + "".join(f"\n{name} is badly exposed" for name in left_out)
        )
    files, scenes, taus, clipped = zip(*seen, strict=True)
    return Evaluation(
        name=getattr(photos, "name", "examples"),
        about=photos.describe() if hasattr(photos, "describe") else {},
        sentence=photos.sentence() if hasattr(photos, "sentence") else "",
        names=files,
        scenes=scenes,
        taus=np.array(taus, np.float64),
        clipped=np.array(clipped, np.float64),
        target_features=np.array(truth.features),
        target_probabilities=truth.probabilities(),
        values={
            name: {
                key: np.array([row[key] for row in each.values])
                for key in VALUES
            }
            for name, each in found.items()
        },
        features={
            name: np.array(each.features) for name, each in found.items()
        },
        probabilities=(
            {name: each.probabilities() for name, each in found.items()}
            if classifier
            else {}
        ),
        unreadable=unreadable,
        left_out=left_out,
        similarity=similarity,
    )


def closeness(target, restored, clipped):
    """Measures how close restored photos are to their originals.

    May be compiled: training validates with it.

    Args:
        target: float (N, H, W, 3) in [0, 1].
        restored: the same.
        clipped: float (N, H, W, 1), 1 where a channel lost its light, else 0.

    Returns:
        dict of float (N,): those of `measure` that training tells, too.
    """
    values = {
        "psnr": metrics.psnr(target, restored),
        "psnr_best_gain": metrics.psnr_best_gain(target, restored),
        "l1": metrics.mean_l1(target, restored),
    }
    for name, region in (("clipped", clipped), ("unclipped", 1.0 - clipped)):
        enough = ops.sum(region, axis=(1, 2, 3)) >= MIN_REGION
        for kind, function in (("psnr", metrics.psnr), ("l1", metrics.mean_l1)):
            found = function(target, restored, region)
            values[f"{kind}_{name}"] = ops.where(enough, found, np.nan)
    sides = [side for side in target.shape[1:3] if side is not None]
    if sides and min(sides) < SSIM_WINDOW:
        return values | {"ssim": ops.full_like(values["psnr"], np.nan)}
    return values | {"ssim": metrics.ssim(target, restored)}


def measure(example, restored):
    """Measures one restored photo.

    Args:
        example: an `Example`.
        restored: float32 (H, W, 3) in [0, 1].

    Returns:
        dict of floats, NaN where there is nothing to measure (a region of
        fewer than `MIN_REGION` pixels, a photo smaller than SSIM's window):
        `psnr`, in all, after the best gain (`metrics.psnr_best_gain`), with
        the same mean (`metrics.psnr_same_mean`), inside and outside of the
        clipped region, in dB; `ssim`; `ciede2000`, mean; `chroma_clipped`,
        mean distance in a* and b* inside the clipped region; `white`, the
        difference of the 99.5th percentiles of luminance, and `white_error`,
        its size; `l1`, in all and by region.
    """
    return Scorer(example).measure(restored)


class Scorer:
    """An example, and what its measures need of it whatever is compared.

    Attributes:
        target: float32 (H, W, 3).
        share: float, the share of clipped pixels.
    """

    def __init__(self, example):
        self.target = example.target
        self._clipped = example.clipped
        self._weights = np.float32(self._clipped)[None, ..., None]
        self.share = float(self._clipped.mean())
        self._lab = metrics.lab(self.target)

    def measure(self, restored):
        """Returns what the function `measure` does."""
        target = self.target
        close = closeness(target[None], restored[None], self._weights)
        lab = metrics.lab(restored)
        chroma = metrics.chroma_difference(self._lab, lab)
        white = metrics.white_difference(target, restored)
        return {name: float(value[0]) for name, value in close.items()} | {
            "psnr_same_mean": metrics.psnr_same_mean(target, restored),
            "ciede2000": float(metrics.ciede2000(self._lab, lab).mean()),
            "chroma_clipped": _inside(chroma, self._clipped),
            "white": white,
            "white_error": abs(white),
        }


class _Restored:
    """Collects one method's values, features and class probabilities."""

    def __init__(self, classifier, similarity):
        self._classifier, self._similarity = classifier, similarity
        self.values, self.features = [], []
        self._waiting, self._done = [], []

    def add(self, image, values):
        self.values.append(values)
        self.features.append(self._features(image))
        if self._classifier is not None:
            self._waiting.append(self._classifier.prepare(image))
            if len(self._waiting) == _CLASSIFIER_BATCH:
                self._flush()

    def _features(self, image):
        if self._similarity == "photos":
            return features_of(image)
        # The same places in a photo and in all its restorations.
        patches = metrics.draw_patches(image, len(self.features))
        features = metrics.exposure_features(patches)
        return np.asarray(ops.convert_to_numpy(features), np.float64)

    def probabilities(self):
        if self._classifier is None:
            return None
        if self._waiting:
            self._flush()
        return np.concatenate(self._done)

    def _flush(self):
        self._done.append(
            self._classifier.probabilities(np.stack(self._waiting))
        )
        self._waiting = []


def features_of(image):
    """`metrics.exposure_features` of one image, NumPy float64 (3,)."""
    features = metrics.exposure_features(image[None])
    return np.asarray(ops.convert_to_numpy(features)[0], np.float64)


def _inside(values, region):
    """Mean over a region, float; NaN where it is too small."""
    if region.sum() < MIN_REGION:
        return np.nan
    return float(values[region].mean())
