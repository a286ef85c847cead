"""Evaluations as tables: Markdown for people, JSON for programs."""

import math
from pathlib import Path

import numpy as np

from tfexposure import metrics
from tfexposure.evaluation import statistics
from tfexposure.storage import to_json, write_atomically

_SPLITS = 10
RESAMPLES = 1000

# Value -> heading, and digits.
_COLUMNS = {
    "psnr": ("PSNR, dB", 2),
    "psnr_best_gain": ("best gain", 2),
    "psnr_same_mean": ("GT mean", 2),
    "psnr_clipped": ("clipped", 2),
    "psnr_unclipped": ("unclipped", 2),
    "ssim": ("SSIM", 3),
    "ciede2000": ("CIEDE2000", 1),
    "chroma_clipped": ("chroma error, clipped", 1),
    "white": ("whites", 3),
    "white_error": ("whites, error", 3),
    "l1": ("L1", 4),
    "luminance": ("luminance, %", 1),
    "contrast": ("contrast, %", 1),
    "saturation": ("saturation, %", 1),
}
LEGEND = f"""\
Means over the photos, with half of the 95 % interval (bootstrap over the
scenes, {RESAMPLES} resamples). PSNR in dB, at most {metrics.PSNR_CAP:.0f} a
photo: of the whole photo, after the best single gain in linear light, after
scaling to the original's mean luminance (GT mean), over the pixels of which a
channel is clipped, and over the others. CIEDE2000: mean over the photo. Chroma
error: mean distance in a* and b* over clipped pixels. Whites: difference of the
99.5th percentiles of luminance. Luminance, contrast, saturation: histogram
similarity of the sets.
"""


def summarize(evaluation, classifier=None, resamples=RESAMPLES):
    """Reduces an evaluation to one row per method.

    Args:
        evaluation: an `Evaluation`.
        classifier: the `Classifier` that it was made with, or None.
        resamples: of the bootstrap.

    Returns:
        A dictionary that JSON can hold: `name`, `about` and `sentence` of the
        set, `photos` (N), `noise_floor` (None for one photo), `similarity`
        (what the histograms count), `clipped`,
        `score` (label and weights of the classifier, and the originals'
        score), `rows`, `unreadable`, `left_out`. A row has its `name` and,
        for each value, `mean`, `low`, `high` (the 95 % interval) and `photos`
        (that have the value).
    """
    target = evaluation.target_features
    photos = len(evaluation.names)
    floor = None
    if photos > 1:
        floor = metrics.split_half_similarity(target)
        floor = dict(zip(metrics.FEATURES, floor.tolist(), strict=True))
    counts = statistics.resample_photos(
        photos, resamples, scenes=evaluation.scenes
    )
    return {
        "name": evaluation.name,
        "about": evaluation.about,
        "sentence": evaluation.sentence,
        "photos": photos,
        "noise_floor": floor,
        "similarity": evaluation.similarity,
        "clipped": float(evaluation.clipped.mean()),
        "score": classifier
        and {
            "label": classifier.label,
            "weights": classifier.weights,
            "originals": _score(evaluation.target_probabilities),
        },
        "rows": [
            _row(evaluation, method, counts) for method in evaluation.values
        ],
        "paired": {
            method: _paired(evaluation, method, counts)
            for method in evaluation.values
        },
        "unreadable": list(evaluation.unreadable),
        "left_out": list(evaluation.left_out),
    }


def _row(evaluation, method, counts):
    row = {"name": method}
    for name, measure in evaluation.measures(method).items():
        if name != "score":
            row[name] = vars(statistics.estimate([measure], counts))
            known = evaluation.values[method].get(name, evaluation.clipped)
            row[name]["photos"] = int(np.isfinite(known).sum())
    if evaluation.probabilities:
        row["score"] = _score(evaluation.probabilities[method])
    return row


def _paired(evaluation, method, counts):
    """Returns the differences of histogram similarity from the first row."""
    own, first = (
        evaluation.measures(each)
        for each in (method, next(iter(evaluation.values)))
    )
    return {
        name: vars(statistics.difference([own[name]], [first[name]], counts))
        for name in metrics.FEATURES
    }


def to_markdown(summary):
    """Formats a summary as a Markdown table with its N and noise floor."""
    score = summary["score"]
    head = ["Row", *(heading for heading, _ in _COLUMNS.values())]
    if score:
        head.append(f"{score['label'].capitalize()} (mean ± std)")
    lines = [_line(head), _line(["---"] + ["---:"] * (len(head) - 1))]
    for row in summary["rows"]:
        cells = [row["name"]]
        cells += [
            _cell(row[name], digits) for name, (_, digits) in _COLUMNS.items()
        ]
        if score:
            cells.append(format_score(row["score"]))
        lines.append(_line(cells))
    lines += _paired_lines(summary["paired"])
    sentence = summary["sentence"]
    lines += [
        "",
        f"N = {summary['photos']} photos{sentence and '; ' + sentence}; "
        f"{100 * summary['clipped']:.1f} % of the pixels clipped. "
        + describe_floor(summary),
    ]
    if summary["similarity"] == "patches":
        lines.append(
            "Histogram similarity of 16 patches of 64 px a photo reduced to "
            "80 px, as Hu et al. count."
        )
    if score:
        lines.append(
            f"Score: {score['weights']}, {_SPLITS} splits; the originals have "
            f"{format_score(score['originals'])}."
        )
    if summary["left_out"]:
        lines.append(
            f"{len(summary['left_out'])} badly exposed originals are left out."
        )
    if summary["unreadable"]:
        lines.append(f"{len(summary['unreadable'])} photos were unreadable.")
    return "\n".join(lines) + "\n"


def _paired_lines(paired):
    """Lines of the table of paired differences; none for a single row."""
    first, *others = paired
    if not others:
        return []
    lines = [
        "",
        f"Histogram similarity less that of {first}, over the same "
        "resampled photos, with the 95 % interval:",
        "",
        _line(["Row", *metrics.FEATURES]),
        _line(["---"] + ["---:"] * len(metrics.FEATURES)),
    ]
    for row in others:
        cells = [_signed(paired[row][name]) for name in metrics.FEATURES]
        lines.append(_line([row, *cells]))
    return lines


def _signed(interval):
    mean, low, high = (interval[name] for name in ("mean", "low", "high"))
    if not math.isfinite(low):
        return f"{mean:+.1f}"
    return f"{mean:+.1f} [{low:+.1f}, {high:+.1f}]"


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


def write_results(path, evaluations, summaries):
    """Writes `<path>.md` and `<path>.json`, each whole or not at all.

    Args:
        path: without suffix.
        evaluations: list of `Evaluation`s; their values per photo go into the
            JSON.
        summaries: their summaries.

    Returns:
        The two paths.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    written = (
        path.with_name(path.name + ".md"),
        path.with_name(path.name + ".json"),
    )
    parts = [f"## {each['name']}\n\n{to_markdown(each)}" for each in summaries]
    write_atomically(written[0], "\n".join([*parts, LEGEND]))
    sets = [
        {**summary, "per_photo": _per_photo(evaluation)}
        for evaluation, summary in zip(evaluations, summaries, strict=True)
    ]
    write_atomically(written[1], to_json({"sets": sets}))
    return written


def _per_photo(evaluation):
    return [
        {
            "name": name,
            "scene": evaluation.scenes[i],
            "tau": evaluation.taus[i],
            "clipped": evaluation.clipped[i],
            "features": evaluation.target_features[i].tolist(),
            "rows": {
                method: {
                    **{key: values[key][i] for key in values},
                    "features": evaluation.features[method][i].tolist(),
                }
                for method, values in evaluation.values.items()
            },
        }
        for i, name in enumerate(evaluation.names)
    ]


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


def _cell(interval, digits):
    half = (interval["high"] - interval["low"]) / 2
    if not math.isfinite(half):
        return format_number(interval["mean"], digits)
    return f"{interval['mean']:.{digits}f} ± {half:.{digits}f}"


def _score(probabilities):
    if len(probabilities) < _SPLITS:
        return None
    mean, std = metrics.inception_score(probabilities, _SPLITS)
    return {"mean": float(mean), "std": float(std)}


def _line(cells):
    return "| " + " | ".join(cells) + " |"
