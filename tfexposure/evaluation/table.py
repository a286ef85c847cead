"""An evaluation as a table: Markdown for people, JSON for programs."""

import dataclasses
import math
from pathlib import Path

import numpy as np
from keras import ops

from tfexposure import metrics
from tfexposure.evaluation.measure import FIDELITY_NAMES
from tfexposure.storage import to_json, write_atomically

_SPLITS = 10

_COLUMNS = {
    "psnr": "PSNR, dB",
    "psnr_inside": "PSNR inside",
    "psnr_outside": "PSNR outside",
    "ssim": "SSIM",
    "ssim_inside": "SSIM inside",
    "ssim_outside": "SSIM outside",
    "l1": "L1",
    "l1_inside": "L1 inside",
    "l1_outside": "L1 outside",
    "luminance": "Luminance, %",
    "contrast": "Contrast, %",
    "saturation": "Saturation, %",
}
_DIGITS = {"psnr": 2, "ssim": 4, "l1": 4}


def summarize(evaluation, simulation, classifier=None):
    """Reduces an evaluation to one row per method.

    Args:
        evaluation: an `Evaluation`.
        simulation: the `Simulation` that it was made with.
        classifier: the `Classifier` that it was made with, or None.

    Returns:
        A dictionary that JSON can hold: `photos` (N), `noise_floor` (None for
        one photo), `clipped`, `simulation`, `score` (label and weights of the
        classifier, and the originals' score), `rows`, `unreadable`.
    """
    target = evaluation.target_features
    photos = len(evaluation.names)
    floor = None
    if photos > 1:
        floor = metrics.split_half_similarity(target)
        floor = dict(zip(metrics.FEATURES, floor.tolist(), strict=True))
    rows = []
    for method, values in evaluation.fidelity.items():
        row = {"name": method}
        row.update((name, _mean(values[name])) for name in FIDELITY_NAMES)
        similarity = metrics.histogram_similarity(
            target, evaluation.features[method]
        )
        similarity = ops.convert_to_numpy(similarity).tolist()
        row.update(zip(metrics.FEATURES, similarity, strict=True))
        if classifier:
            row["score"] = _score(evaluation.probabilities[method])
        rows.append(row)
    return {
        "photos": photos,
        "noise_floor": floor,
        "clipped": float(evaluation.clipped.mean()),
        "simulation": dataclasses.asdict(simulation),
        "score": classifier
        and {
            "label": classifier.label,
            "weights": classifier.weights,
            "originals": _score(evaluation.target_probabilities),
        },
        "rows": rows,
        "unreadable": list(evaluation.unreadable),
    }


def to_markdown(summary):
    """Formats a summary as a Markdown table with its N and noise floor."""
    score = summary["score"]
    head = ["Row", *_COLUMNS.values()]
    if score:
        head.append(f"{score['label'].capitalize()} (mean ± std)")
    lines = [_line(head), _line(["---"] + ["---:"] * (len(head) - 1))]
    for row in summary["rows"]:
        cells = [row["name"]]
        for name in _COLUMNS:
            digits = _DIGITS.get(name.split("_")[0], 1)
            cells.append(format_number(row[name], digits))
        if score:
            cells.append(format_score(row["score"]))
        lines.append(_line(cells))
    simulation = summary["simulation"]
    low, high = simulation["tau_min"], simulation["tau_max"]
    tau = f"{low:g}" if low == high else f"uniform in [{low:g}, {high:g}]"
    jpeg = simulation["jpeg_quality"]
    jpeg = f"JPEG quality {jpeg}" if jpeg else "no JPEG compression"
    lines += [
        "",
        f"N = {summary['photos']} photos; tau {tau}, response "
        f"{simulation['response']}, {jpeg}; {100 * summary['clipped']:.1f} % "
        "of the pixels clipped. Inside and outside: of the clipped areas. "
        + describe_floor(summary),
    ]
    if score:
        lines.append(
            f"Score: {score['weights']}, {_SPLITS} splits; the originals have "
            f"{format_score(score['originals'])}."
        )
    if summary["unreadable"]:
        lines.append(f"{len(summary['unreadable'])} photos were unreadable.")
    return "\n".join(lines) + "\n"


def describe_floor(summary):
    """Says how well two halves of the originals agree, in one sentence."""
    floor = summary["noise_floor"]
    if not floor:
        return "One photo has no split-half noise floor."
    values = " / ".join(f"{floor[name]:.1f}" for name in metrics.FEATURES)
    return (
        "Split-half noise floor (two random halves of the originals, "
        f"luminance / contrast / saturation): {values} %."
    )


def write_results(path, evaluation, summary):
    """Writes `<path>.md` and `<path>.json`, each whole or not at all.

    Args:
        path: without suffix.
        evaluation: an `Evaluation`; its values per photo go into the JSON.
        summary: of the evaluation.

    Returns:
        The two paths.
    """
    photos = [
        {
            "name": name,
            "tau": evaluation.taus[i],
            "clipped": evaluation.clipped[i],
            "features": evaluation.target_features[i].tolist(),
            "rows": {
                method: {
                    **{key: values[key][i] for key in FIDELITY_NAMES},
                    "features": evaluation.features[method][i].tolist(),
                }
                for method, values in evaluation.fidelity.items()
            },
        }
        for i, name in enumerate(evaluation.names)
    ]
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = (
        path.with_name(path.name + ".md"),
        path.with_name(path.name + ".json"),
    )
    write_atomically(written[0], to_markdown(summary))
    write_atomically(written[1], to_json({**summary, "per_photo": photos}))
    return written


def format_number(value, digits):
    """Formats a number; a dash where there was nothing to measure."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{value:.{digits}f}"


def format_score(score):
    """Formats a score's mean and standard deviation."""
    if score is None:
        return "–"
    return f"{score['mean']:.2f} ± {score['std']:.2f}"


def _score(probabilities):
    if len(probabilities) < _SPLITS:
        return None
    mean, std = metrics.inception_score(probabilities, _SPLITS)
    return {"mean": float(mean), "std": float(std)}


def _mean(values):
    known = values[~np.isnan(values)]
    return float(known.mean()) if len(known) else math.nan


def _line(cells):
    return "| " + " | ".join(cells) + " |"
