"""Validation while training, and the best weights so far.

The same on every backend: `measure` scores pairs as `tfexposure.evaluation`
does, whoever made them. What is scored depends on `data.validation_source`:

- photos (folder, manifest, ...): fixed crops, overexposed as in training;
- a packed file: the sets of `load_sets`, squeezed photos of its groups. They
  steer a run and are no result to publish.
"""

import math
import os

import numpy as np
from keras import ops

from tfexposure.blind import camera
from tfexposure.config import CameraConfig
from tfexposure.data import packed
from tfexposure.data.well_exposed import SCORING, is_well_exposed
from tfexposure.errors import UserError
from tfexposure.evaluation.example import Example, to_uint8
from tfexposure.evaluation.measure import closeness
from tfexposure.evaluation.photo_sets import spread
from tfexposure.evaluation.simulation import Simulation
from tfexposure.imaging.exposure import quantize
from tfexposure.metrics.fidelity import clipped_region
from tfexposure.metrics.histogram import (
    FEATURES,
    exposure_features,
    histogram_similarity,
)
from tfexposure.storage import read_json, to_json, write_atomically

_MOST_PHOTOS = 64
_BATCH = 8
_LOWER_IS_BETTER = ("l1",)
# Photos that were not overexposed: what a model must leave alone says little
# of what it can do.
CLEAN = "clean"

# Overexposed as in an evaluation of that name.
_SIMULATIONS = {
    "tau0.5": Simulation.from_name("tau0.5"),
    "random+jpeg": Simulation.from_name("tau-random-jpeg"),
    "tau0.2": Simulation.from_name("tau0.2"),
    CLEAN: Simulation.from_name("tau1"),
}
# Real pairs: set, and its groups.
_PAIRS = (
    ("brackets", "over", "reference"),
    ("cameras", "valid_over", "valid_reference"),
)
# As most photos of the benchmark.
_SIZE = (256, 352)
_PAIR_SIZE = (256, 384)


class Validation:
    """Scores a network on sets of pairs, and keeps the best weights.

    Args:
        sets: name -> function without arguments that yields batches, dicts
            with `overexposed` and `target`, float (N, H, W, 3) in [0, 1].
            Figures of a set called `""` have no prefix.
        best_metric: `train.best_metric`.
        name: of the network, for its file in `best/`.
        compile: function that compiles functions of arrays.
    """

    def __init__(self, sets, best_metric, name, compile=lambda f: f):
        self.sets = sets
        self._best_metric, self._name = best_metric, name
        self._figures = compile(figures)

    def run(self, network, predict, run_dir, step):
        """Scores a network and keeps its weights if they are the best.

        Args:
            network: keras.Model, to save.
            predict: function from images to the network's answer.
            run_dir: `RunDir`; `best/` holds `<name>.weights.h5` and
                `metrics.json`.
            step: int, steps done.

        Returns:
            Dict of floats; see `measure`. With several sets,
            `<set>/<figure>`, and each figure's mean over all sets but the
            clean one.
        """
        found = {}
        for name, batches in self.sets.items():
            scores = measure(predict, batches(), self._figures)
            for figure, value in scores.items():
                found[f"{name}/{figure}" if name else figure] = value
        values = found if "" in self.sets else _means(found) | found
        self._keep_best(network, values, run_dir.best, step)
        return values

    def grid(self, count):
        """Returns one batch of at most `count` pairs of the first set."""
        batch = next(next(iter(self.sets.values()))())
        return {name: np.asarray(batch[name])[:count] for name in batch}

    def _keep_best(self, network, values, folder, step):
        metric = self._best_metric
        if metric not in values:
            raise UserError(
                f"train.best_metric={metric}: validation has no such figure, "
                f"but {', '.join(sorted(values))}"
            )
        record = folder / "metrics.json"
        best = None
        if record.exists():
            best = read_json(record, "remove it").get(metric)
        if best is not None:
            better = values[metric] > best
            if metric.rsplit("/", 1)[-1] in _LOWER_IS_BETTER:
                better = values[metric] < best
            if not better:
                return
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / "new.weights.h5"
        network.save_weights(temporary)
        os.replace(temporary, folder / f"{self._name}.weights.h5")
        write_atomically(record, to_json({"step": step, **values}))


def figures(target, restored, clipped):
    """Scores restorations, photo by photo, rounded as a saved photo is.

    Args:
        target: float (N, H, W, 3) in [0, 1].
        restored: float (N, H, W, 3).
        clipped: float (N, H, W, 1), 1 where a channel lost its light, else 0.

    Returns:
        Dict of `evaluation.closeness`; and `target` and `restored`, the
        `exposure_features` of both, (N, 3).
    """
    restored = quantize(restored)
    return closeness(target, restored, clipped) | {
        "target": exposure_features(target),
        "restored": exposure_features(restored),
    }


def measure(predict, batches, figures=figures):
    """Scores restorations of pairs.

    Args:
        predict: function from float (N, H, W, 3) to the same.
        batches: iterable of dicts with `overexposed` and `target`, and
            `clipped` where more is known than white pixels tell.
        figures: the function of that name, compiled or not.

    Returns:
        Dict of floats, means over photos: what `evaluation.closeness` gives,
        left out where no photo has a value; `score`, the mean of the PSNR of
        whole photos, of clipped regions and after the best gain; and the
        histogram similarities `luminance`, `contrast`, `saturation` (%).
    """
    parts: dict[str, list[np.ndarray]] = {}
    for batch in batches:
        exposed, clipped = batch["overexposed"], batch.get("clipped")
        if clipped is None:
            clipped = clipped_region(exposed)
        found = figures(batch["target"], predict(exposed), clipped)
        for name, each in found.items():
            parts.setdefault(name, []).append(ops.convert_to_numpy(each))
    each = {name: np.concatenate(values) for name, values in parts.items()}
    similarity = histogram_similarity(each.pop("target"), each.pop("restored"))
    values = {
        name: float(np.nanmean(found))
        for name, found in each.items()
        if not np.isnan(found).all()
    }
    told = ("psnr", "psnr_best_gain", "psnr_clipped")
    values["score"] = float(np.mean([values[p] for p in told if p in values]))
    shares = ops.convert_to_numpy(similarity)
    return values | {
        name: float(share) for name, share in zip(FEATURES, shares, strict=True)
    }


def crop_sets(stream, photos):
    """Returns the one set of fixed crops.

    Args:
        stream: function from a batch size to the endless batches.
        photos: source of the photos; at most 64 are taken.
    """
    count = min(_MOST_PHOTOS, photos.count)
    size = min(_BATCH, count)

    def batches():
        found = iter(stream(size))
        return (next(found) for _ in range(count // size))

    return {"": batches}


def load_sets(path, count=64):
    """Makes the sets of a packed file, in memory.

    Args:
        path: packed file with any of `valid`, `over` and `reference`,
            `valid_over` and `valid_reference`, `valid_light`, `valid_kept`.
        count: that many photos are taken at most, evenly spaced.

    Returns:
        dict: name -> function that yields batches.

    Raises:
        UserError: if the file has none of the groups.
    """
    groups, sets = packed.groups_of(path), {}
    if "valid" in groups:
        targets, names = _originals(path, count)
        for name, simulation in _SIMULATIONS.items():
            sets[name] = _in_batches(map(simulation.apply, targets, names))
    for name, over, reference in _PAIRS:
        if {over, reference} <= groups:
            sets[name] = _in_batches(_real_pairs(path, over, reference, count))
    if "valid_light" in groups:
        sets["developed"] = _in_batches(_developed(path, count))
    if "valid_kept" in groups:
        photos = spread(packed.read_photos(path, "valid_kept"), count)
        photos = _squeezed(photos, _SIZE)
        sets[CLEAN + "-kept"] = _in_batches(_examples(photos, photos))
    if not sets:
        raise UserError(
            f"{path}: has no group to validate on, such as 'valid', or 'over' "
            "with 'reference'"
        )
    return sets


def _real_pairs(path, over, reference, count):
    pairs = (
        _squeezed(spread(packed.read_photos(path, group), count), _PAIR_SIZE)
        for group in (reference, over)
    )
    return _examples(*pairs)


def _examples(targets, overexposed):
    pairs = zip(targets, overexposed, strict=True)
    return [Example(str(i), *pair) for i, pair in enumerate(pairs)]


def _developed(path, count):
    """Photos with light above white, overexposed by a raw developer."""
    recipe = CameraConfig(untouched=0.0, developed=1.0, noise=0.0)
    rng = np.random.default_rng(0)
    for index, photo in enumerate(
        spread(packed.read_photos(path, "valid_light"), count)
    ):
        view = packed.squeeze(photo, *_SIZE)[None]
        drawn = camera.draw_cameras(rng, view, recipe, camera.LIGHT)
        overexposed, target = camera.expose(view, drawn)
        target, overexposed = (np.asarray(e)[0] for e in (target, overexposed))
        yield Example(str(index), target, overexposed)


def _originals(path, count):
    """Returns well-exposed photos of the group `valid`, and their names."""
    photos = [
        photo
        for photo in packed.read_photos(path, "valid")
        if is_well_exposed(photo, SCORING)
    ]
    if not photos:
        raise UserError(f"{path}: no photo of 'valid' is well exposed")
    targets = _squeezed(spread(photos, count), _SIZE)
    return targets, [str(i) for i in range(len(targets))]


def _squeezed(photos, size):
    return [np.float32(packed.squeeze(photo, *size)) / 255 for photo in photos]


def _in_batches(examples):
    """Returns a function that yields batches; holds them as bytes."""
    rows = [
        (to_uint8(each.overexposed), to_uint8(each.target), each.clipped)
        for each in examples
    ]
    exposed, target, clipped = map(np.stack, zip(*rows, strict=True))

    def batches():
        for first in range(0, len(target), _BATCH):
            part = slice(first, first + _BATCH)
            yield {
                "overexposed": np.float32(exposed[part]) / 255,
                "target": np.float32(target[part]) / 255,
                "clipped": np.float32(clipped[part][..., None]),
            }

    return batches


def _means(found):
    """Returns the mean of each figure over all sets but the clean one."""
    by_figure: dict[str, list[float]] = {}
    for name, value in found.items():
        group, figure = name.split("/")
        if not group.startswith(CLEAN) and not math.isnan(value):
            by_figure.setdefault(figure, []).append(value)
    return {k: sum(each) / len(each) for k, each in by_figure.items()}
