"""Measures restorations against their originals, photo by photo."""

import dataclasses

import numpy as np
from keras import ops

from tfexposure import metrics
from tfexposure.errors import UserError
from tfexposure.evaluation import baselines
from tfexposure.evaluation.simulation import (
    read_photo,
    to_uint8,
)
from tfexposure.imaging import exposure
from tfexposure.runtime.opening import open_model

INPUT = "input"
INVERSE_KNOWN = "inverse (known tau)"
INVERSE_BLIND = "inverse (blind)"

_FIDELITY = {
    "psnr": metrics.psnr,
    "ssim": metrics.ssim,
    "l1": metrics.mean_l1,
}
_REGIONS = ("", "_inside", "_outside")
# Names of the values per photo: psnr, psnr_inside, psnr_outside, ssim, ...
FIDELITY_NAMES = tuple(name + part for name in _FIDELITY for part in _REGIONS)

_SSIM_WINDOW = 11
_CLASSIFIER_BATCH = 16


@dataclasses.dataclass(frozen=True)
class Evaluation:
    """Values of every method for every photo.

    Attributes:
        names: files, N of them.
        taus: float64 (N,).
        clipped: float64 (N,), the share of clipped pixels.
        target_features: float64 (N, 3), in the order of `metrics.FEATURES`.
        target_probabilities: float32 (N, K) by the classifier, or None.
        fidelity: method -> value name (`FIDELITY_NAMES`) -> float64 (N,), NaN
            where there is nothing to measure.
        features: method -> float64 (N, 3).
        probabilities: method -> float32 (N, K); empty without classifier.
        unreadable: tuple of messages.
    """

    names: tuple
    taus: np.ndarray
    clipped: np.ndarray
    target_features: np.ndarray
    target_probabilities: np.ndarray | None
    fidelity: dict
    features: dict
    probabilities: dict
    unreadable: tuple = ()


def standard_methods():
    """Returns the rows without a network: name -> function of an `Example`."""
    return {
        INPUT: lambda example: example.overexposed,
        INVERSE_KNOWN: _invert_known,
        INVERSE_BLIND: _invert_blind,
    }


def evaluate(
    paths,
    simulation,
    methods,
    classifier=None,
    max_side=None,
    max_unreadable=10,
    progress=None,
):
    """Overexposes photos, restores them and measures the result.

    What a method returns is rounded to 8 bits first, as a saved photo is.

    Args:
        paths: of the original photos.
        simulation: a `Simulation`.
        methods: name -> function from an `Example` to a restored float32
            (H, W, 3) in [0, 1].
        classifier: a `metrics.classifiers.Classifier`, or None for no score.
        max_side: larger photos are reduced to this many pixels first.
        max_unreadable: more unreadable photos than this are an error.
        progress: called as `progress(done, total)` after each photo.

    Returns:
        An `Evaluation`.

    Raises:
        UserError: if too many photos are unreadable, or none is left.
    """
    names, taus, clipped, unreadable = [], [], [], []
    fidelity = {
        method: {name: [] for name in FIDELITY_NAMES} for method in methods
    }
    features = {method: [] for method in methods}
    target_features = []
    targets_seen = _Classified(classifier)
    seen = {method: _Classified(classifier) for method in methods}
    for number, path in enumerate(paths):
        try:
            target = read_photo(path, max_side)
        except UserError as error:
            unreadable.append(str(error))
            if len(unreadable) > max_unreadable:
                raise UserError(
                    f"{len(unreadable)} photos are unreadable, more than the "
                    "limit:\n" + "\n".join(unreadable)
                ) from error
            continue
        example = simulation.apply(target, path.name)
        names.append(example.name)
        taus.append(example.tau)
        clipped.append(example.region.mean())
        target_features.append(_features(target))
        targets_seen.add(target)
        for method, restore in methods.items():
            restored = to_uint8(restore(example)).astype(np.float32) / 255
            for name, value in _measure(example, restored).items():
                fidelity[method][name].append(value)
            features[method].append(_features(restored))
            seen[method].add(restored)
        if progress:
            progress(number + 1, len(paths))
    if not names:
        raise UserError("No photo could be read:\n" + "\n".join(unreadable))
    return Evaluation(
        names=tuple(names),
        taus=np.array(taus),
        clipped=np.array(clipped, np.float64),
        target_features=np.array(target_features),
        target_probabilities=targets_seen.probabilities(),
        fidelity={
            method: {name: np.array(v) for name, v in values.items()}
            for method, values in fidelity.items()
        },
        features={method: np.array(v) for method, v in features.items()},
        probabilities=(
            {method: found.probabilities() for method, found in seen.items()}
            if classifier
            else {}
        ),
        unreadable=tuple(unreadable),
    )


class _Classified:
    """Collects photos and classifies them in batches."""

    def __init__(self, classifier):
        self._classifier = classifier
        self._waiting = []
        self._done = []

    def add(self, image):
        if self._classifier is None:
            return
        self._waiting.append(self._classifier.prepare(image))
        if len(self._waiting) == _CLASSIFIER_BATCH:
            self._flush()

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


def _measure(example, restored):
    values = {}
    regions = {
        "": None,
        "_inside": example.region[None],
        "_outside": 1 - example.region[None],
    }
    too_small = min(restored.shape[:2]) < _SSIM_WINDOW
    for name, function in _FIDELITY.items():
        for part, region in regions.items():
            if name == "ssim" and too_small:
                value = np.nan
            else:
                value = function(example.target[None], restored[None], region)
                value = float(ops.convert_to_numpy(value)[0])
            values[name + part] = value
    return values


def _features(image):
    features = metrics.exposure_features(image[None])
    return np.asarray(ops.convert_to_numpy(features)[0], np.float64)


def _invert_known(example):
    restored = exposure.invert(
        example.overexposed[None], example.tau, example.response
    )
    return ops.convert_to_numpy(restored)[0]


def _invert_blind(example):
    restored = baselines.invert_blind(
        example.overexposed[None], example.response
    )
    return ops.convert_to_numpy(restored)[0]


def model_method(model):
    """Returns a method that restores with a trained generator.

    Args:
        model: SavedModel folder, `.tflite` file, run folder, or an open
            `Model`.

    Returns:
        A function from an `Example` to a restored float32 (H, W, 3).

    Raises:
        UserError: if there is no such model or it does not load.
    """
    opened = open_model(model)
    if opened.fixed_size:
        raise UserError(
            f"{model} takes photos of {opened.fixed_size} pixels only; "
            "evaluation needs a model for any size."
        )
    return lambda example: opened.restore_photo(example.overexposed)
