"""Validation while training, and the best weights so far.

The same on every backend: `measure` scores pairs, whoever made them. What is
scored depends on `data.validation_source`:

- photos (folder, manifest, ...): fixed crops, overexposed as in training;
- a packed file: the sets of `load_sets`, squeezed photos of its groups
  `valid`, and `over` with `reference`. They steer a run and are no result to
  publish.
"""

import io
import json
import math
import os

import numpy as np
from keras import ops
from PIL import Image

from tfexposure.data import packed
from tfexposure.errors import UserError
from tfexposure.imaging import exposure
from tfexposure.imaging.luminance import LUMINANCE_WEIGHTS
from tfexposure.imaging.transfer_curves import GAMMA_2_2
from tfexposure.metrics.fidelity import clipped_region, mean_l1, psnr, ssim
from tfexposure.metrics.histogram import (
    FEATURES,
    exposure_features,
    histogram_similarity,
)
from tfexposure.storage import to_json, write_atomically

_MOST_PHOTOS = 64
_BATCH = 8
_LOWER_IS_BETTER = ("l1",)
# Photos that were not overexposed: what a model must leave alone says little
# of what it can do.
CLEAN = "clean"

# As most photos of the benchmark: what the network sees of them is reduced
# after they were overexposed, as it is of real ones.
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
        if record.exists():
            best = json.loads(record.read_text(encoding="utf-8"))[metric]
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


def figures(overexposed, restored, target):
    """Scores restorations, photo by photo.

    Args:
        overexposed, restored, target: float (N, H, W, 3); all but `restored`
            in [0, 1].

    Returns:
        Dict of float (N,): the figures of `measure` but the last ones; those
        of a clipped region are NaN where there is none. And `target` and
        `restored`, the `exposure_features` of both, (N, 3).
    """
    restored = ops.clip(restored, 0.0, 1.0)
    inside = clipped_region(overexposed)
    return {
        "psnr": psnr(target, restored),
        "psnr_gain": psnr(target, scale_best(target, restored)),
        "psnr_inside": psnr(target, restored, inside),
        "ssim": ssim(target, restored),
        "l1": mean_l1(target, restored),
        "l1_inside": mean_l1(target, restored, inside),
        "l1_outside": mean_l1(target, restored, 1 - inside),
        "target": exposure_features(target),
        "restored": exposure_features(restored),
    }


def measure(predict, batches, figures=figures):
    """Scores restorations of pairs.

    Args:
        predict: function from float (N, H, W, 3) to the same.
        batches: iterable of dicts with `overexposed` and `target`.
        figures: the function of that name, compiled or not.

    Returns:
        Dict of floats, means over photos: `psnr` (dB), `ssim`, `l1`;
        `psnr_gain`, after the best gain in light; `psnr_inside`, `l1_inside`
        and `l1_outside` of the clipped region (left out where no photo has
        one); `score`, the mean of the three PSNR; and the histogram
        similarities `luminance`, `contrast`, `saturation` (%).
    """
    parts: dict[str, list[np.ndarray]] = {}
    for batch in batches:
        overexposed, target = batch["overexposed"], batch["target"]
        found = figures(overexposed, predict(overexposed), target)
        for name, each in found.items():
            parts.setdefault(name, []).append(ops.convert_to_numpy(each))
    each = {name: np.concatenate(values) for name, values in parts.items()}
    similarity = histogram_similarity(each.pop("target"), each.pop("restored"))
    values = {
        name: float(np.nanmean(found))
        for name, found in each.items()
        if not np.isnan(found).all()
    }
    told = ("psnr", "psnr_gain", "psnr_inside")
    values["score"] = float(np.mean([values[p] for p in told if p in values]))
    shares = ops.convert_to_numpy(similarity)
    return values | {
        name: float(share) for name, share in zip(FEATURES, shares, strict=True)
    }


def scale_best(target, restored, limit=0.9):
    """Scales the light of restorations by the gain that suits them best.

    Least squares in light (power law of 2.2), on values that are below
    `limit` on both sides.

    Args:
        target: float (N, H, W, 3) in [0, 1].
        restored: the same.
        limit: of light.

    Returns:
        (N, H, W, 3) in [0, 1].
    """
    curve = GAMMA_2_2
    target = ops.cast(target, restored.dtype)
    light, wanted = curve.to_linear(restored), curve.to_linear(target)
    known = ops.cast(
        ops.logical_and(light < limit, wanted < limit), light.dtype
    )
    axes = (1, 2, 3)
    over = ops.sum(known * light * wanted, axes, keepdims=True)
    under = ops.sum(known * light * light, axes, keepdims=True)
    gain = ops.where(under > 1e-6, over / ops.maximum(under, 1e-6), 1.0)
    return curve.from_linear(ops.clip(light * gain, 0.0, 1.0))


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
        path: packed file with the group `valid`, or `over` and `reference`,
            or all.
        count: that many photos are taken at most, evenly spaced.

    Returns:
        dict: name -> function that yields batches.

    Raises:
        UserError: if the file has none of the groups.
    """
    groups, sets = packed.groups_of(path), {}
    if "valid" in groups:
        target = _squeezed(path, "valid", _SIZE, _is_scorable)
        target = (
            target[[i * len(target) // count for i in range(count)]]
            if (len(target) > count)
            else target
        )
        draws = np.random.default_rng(7).uniform(0.5, 1, len(target))
        for name, taus, save in (
            ("tau0.5", np.full(len(target), 0.5), False),
            ("random+jpeg", draws, True),
            ("tau0.2", np.full(len(target), 0.2), False),
            (CLEAN, np.ones(len(target)), False),
        ):
            exposed = [
                _overexpose(photo, tau, save)
                for photo, tau in zip(target, taus, strict=True)
            ]
            sets[name] = _in_batches(np.stack(exposed), target)
    if {"over", "reference"} <= groups:
        sets["brackets"] = _in_batches(
            _squeezed(path, "over", _PAIR_SIZE),
            _squeezed(path, "reference", _PAIR_SIZE),
        )
    if not sets:
        raise UserError(
            f"{path}: has no photos of the group 'valid', nor of 'over' and "
            "'reference'"
        )
    return sets


def _squeezed(path, group, size, wanted=lambda photo: True):
    photos = packed.read_photos(path, group)
    found = [packed.squeeze(photo, *size) for photo in photos if wanted(photo)]
    if not found:
        raise UserError(f"{path}: no photo of {group!r} is well exposed")
    return np.stack(found)


def _in_batches(exposed, target):
    """Returns a function that yields batches of uint8 arrays, as floats."""

    def batches():
        for first in range(0, len(target), _BATCH):
            part = slice(first, first + _BATCH)
            yield {
                "overexposed": np.float32(exposed[part]) / 255,
                "target": np.float32(target[part]) / 255,
            }

    return batches


def _is_scorable(photo):
    """The benchmark's rule for photos that can serve as an original."""
    mean = float((photo / 255.0 @ LUMINANCE_WEIGHTS).mean())
    return (
        (photo >= 250).all(-1).mean() <= 0.01
        and (photo >= 254).any(-1).mean() <= 0.05
        and 0.2 <= mean <= 0.8
    )


def _overexpose(photo, tau, save):
    exposed = exposure.overexpose(np.float32(photo) / 255, float(tau))
    exposed = np.rint(ops.convert_to_numpy(exposed) * 255).astype("uint8")
    if not save:
        return exposed
    buffer = io.BytesIO()
    Image.fromarray(exposed).save(buffer, "JPEG", quality=90)
    return np.asarray(Image.open(buffer))


def _means(found):
    """Returns the mean of each figure over all sets but the clean one."""
    by_figure: dict[str, list[float]] = {}
    for name, value in found.items():
        group, figure = name.split("/")
        if group != CLEAN and not math.isnan(value):
            by_figure.setdefault(figure, []).append(value)
    return {k: sum(each) / len(each) for k, each in by_figure.items()}
