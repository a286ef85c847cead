"""The paper's tables, with its numbers beside ours."""

import itertools

import numpy as np

from tfexposure import evaluation, metrics
from tfexposure.evaluation import statistics
from tfexposure.evaluation.baselines import INVERSE_KNOWN
from tfexposure.evaluation.example import read_photo
from tfexposure.evaluation.measure import features_of
from tfexposure.experiments import catalogue

# Compared with the paper; the first needs a classifier.
PUBLISHED = ("score", *metrics.FEATURES)
# Folders with fewer photos have no table of their own.
_LEAST_FOLDER = 100
# Ours, beyond the paper.
EXTRA = ("psnr", "l1_clipped", "l1_unclipped")


def table1(paths, max_side=None, resamples=1000, progress=None):
    """Similarity of overexposed photos to their originals.

    Args:
        paths: of well-exposed photos.
        max_side: larger photos are reduced to this, in pixels.
        resamples: of the bootstrap.
        progress: called as `progress(done, total)` after each photo.

    Returns:
        A dictionary that JSON can hold: `photos`, `noise_floor` and `rows` of
        all photos, and the same for each folder of at least 100 photos in
        `folders`.
    """
    taus = tuple(catalogue.TABLE1)
    target, rows = [], {(tau, kind): [] for tau in taus for kind in (0, 1)}
    invert = evaluation.ORACLES[INVERSE_KNOWN]
    for number, path in enumerate(paths):
        photo = read_photo(path, max_side)
        target.append(features_of(photo))
        for tau in taus:
            example = evaluation.Simulation(tau, tau).apply(photo, path.name)
            rows[tau, 0].append(features_of(example.overexposed))
            inverse = invert(example.overexposed, tau, example.response)
            rows[tau, 1].append(features_of(inverse))
        if progress:
            progress(number + 1, len(paths))
    target = np.array(target)
    rows = {key: np.array(value) for key, value in rows.items()}
    result = _table1_of(target, rows, resamples)
    folders = np.array(["/".join(path.parent.parts[-2:]) for path in paths])
    result["folders"] = {}
    for folder in sorted(set(folders)):
        own = folders == folder
        if _LEAST_FOLDER <= own.sum() < len(own):
            part = {key: value[own] for key, value in rows.items()}
            result["folders"][folder] = _table1_of(target[own], part, resamples)
    return result


def _table1_of(target, rows, resamples):
    counts = statistics.resample_photos(len(target), resamples)
    floor = metrics.split_half_similarity(target)
    return {
        "photos": len(target),
        "noise_floor": _by_feature(floor.tolist()),
        "rows": [
            {
                "tau": tau,
                "published": _by_feature(published),
                "overexposed": _intervals(target, rows[tau, 0], counts),
                "inverse": _intervals(target, rows[tau, 1], counts),
            }
            for tau, published in catalogue.TABLE1.items()
        ],
    }


def compare_rows(table, trained, evaluations, resamples):
    """Compares the rows of a table that needed training.

    Args:
        table: a `catalogue.Table`.
        trained: one list of method names per row, one name per seed.
        evaluations: per row, the `Evaluation` with those methods; all on the
            same photos.
        resamples: of the bootstrap.

    Returns:
        A dictionary that JSON can hold: `photos`, `noise_floor`, `rows`,
        `baselines` and `pairs`.
    """
    first = evaluations[0]
    counts = statistics.resample_photos(len(first.names), resamples)
    measures = [
        [_measures(found, method) for method in methods]
        for found, methods in zip(evaluations, trained, strict=True)
    ]
    names = list(measures[0][0])
    rows = [
        {
            "label": row.label,
            "published": vars(row.published),
            "trainings": len(each),
            "ours": {
                name: vars(statistics.estimate([m[name] for m in each], counts))
                for name in names
            },
        }
        for row, each in zip(table.rows, measures, strict=True)
    ]
    floor = metrics.split_half_similarity(first.target_features)
    return {
        "photos": len(first.names),
        "noise_floor": _by_feature(floor.tolist()),
        "rows": rows,
        "baselines": _baselines(table, evaluations, counts),
        "pairs": _pairs(table, measures, counts),
    }


def _measures(found, method):
    """Returns name -> function of resampled photos, for one method."""
    measures = found.measures(method)
    names = ("score", *metrics.FEATURES, *EXTRA)
    return {name: measures[name] for name in names if name in measures}


def _baselines(table, evaluations, counts):
    """Rows without a network, once for each simulation."""
    baselines = {}
    for row, found in zip(table.rows, evaluations, strict=True):
        variant = row.variant
        tau = f"tau {variant.tau_min:g}"
        if variant.tau_max != variant.tau_min:
            tau += f" to {variant.tau_max:g}"
        for method in (*evaluation.METHODS, *evaluation.ORACLES):
            label = f"{method}, {tau}"
            if label not in baselines:
                measures = _measures(found, method)
                baselines[label] = {
                    name: vars(statistics.estimate([measure], counts))
                    for name, measure in measures.items()
                }
    return baselines


def _pairs(table, measures, counts):
    """Every pair of rows: our difference, and what the paper found."""
    pairs = []
    numbered = list(zip(table.rows, measures, strict=True))
    for (one, ours), (other, theirs) in itertools.combinations(numbered, 2):
        for name in ours[0]:
            interval = statistics.difference(
                [measure[name] for measure in ours],
                [measure[name] for measure in theirs],
                counts,
            )
            pair = {
                "first": one.label,
                "second": other.label,
                "quantity": name,
                "difference": vars(interval),
                "verdict": statistics.verdict(interval, one.label, other.label),
                "published_difference": None,
                "ordering": None,
            }
            if name in PUBLISHED:
                published = getattr(one.published, name) - getattr(
                    other.published, name
                )
                pair["published_difference"] = round(published, 4)
                pair["ordering"] = _ordering(interval, published)
            pairs.append(pair)
    return pairs


def _ordering(interval, published):
    """Says whether the paper's ordering of two rows holds for ours."""
    if interval.low <= 0 <= interval.high or np.isnan(interval.low):
        return statistics.NOT_TOLD_APART
    return "holds" if interval.mean * published > 0 else "reversed"


def _intervals(target, restored, counts):
    return {
        name: vars(
            statistics.estimate(
                [statistics.Similarity(target[:, i], restored[:, i])], counts
            )
        )
        for i, name in enumerate(metrics.FEATURES)
    }


def _by_feature(values):
    return dict(zip(metrics.FEATURES, values, strict=True))
