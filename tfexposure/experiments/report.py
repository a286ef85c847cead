"""Results of experiments as Markdown."""

from tfexposure import metrics
from tfexposure.evaluation.table import describe_floor, format_number
from tfexposure.experiments.tables import EXTRA, PUBLISHED

_TITLES = {
    "luminance": "Luminance, %",
    "contrast": "Contrast, %",
    "saturation": "Saturation, %",
    "psnr": "PSNR, dB",
    "l1_clipped": "L1 clipped",
    "l1_unclipped": "L1 unclipped",
}
_DIGITS = {"score": 2, "psnr": 2, "l1_clipped": 4, "l1_unclipped": 4}


def table1_markdown(result):
    """Formats the result of `tables.table1`."""
    head = ["tau", "Row", *(_TITLES[name] for name in metrics.FEATURES)]
    lines = _head(head, left=2)
    for row in result["rows"]:
        tau = f"{row['tau']:g}"
        published = row["published"]
        lines.append(
            _line(
                [tau, "paper"]
                + [f"{published[name]:.2f}" for name in metrics.FEATURES]
            )
        )
        for key, label in (
            ("overexposed", "ours"),
            ("inverse", "ours, inverse (known tau)"),
        ):
            cells = [_interval(row[key], name) for name in metrics.FEATURES]
            lines.append(_line([tau, label, *cells]))
    lines += ["", _photos(result)]
    lines.append("In brackets: 95 % intervals, by bootstrap over the photos.")
    for folder, part in result.get("folders", {}).items():
        lines += ["", f"## Photos of {folder} alone", "", table1_markdown(part)]
    return "\n".join(lines) + "\n"


def table_markdown(result):
    """Formats the result of `tables.compare_rows`, with its trainings."""
    score = result["score"]
    names = [*(["score"] if score else []), *metrics.FEATURES, *EXTRA]
    titles = {**_TITLES, "score": score and score["label"].capitalize()}
    lines = _head(["Row", *(titles[name] for name in names)], left=1)
    for row in result["rows"]:
        published = [
            f"{row['published'][name]:.2f}" if name in PUBLISHED else ""
            for name in names
        ]
        ours = [_interval(row["ours"], name) for name in names]
        lines.append(_line([f"{row['label']}, paper", *published]))
        lines.append(_line([f"**{row['label']}, ours**", *ours]))
    for label, values in result["baselines"].items():
        cells = [_interval(values, name) for name in names]
        lines.append(_line([label, *cells]))
    trainings = result["rows"][0]["trainings"]
    seeds = (
        f"mean of {trainings} trainings [95 % interval by Student's t]"
        if trainings > 1
        else "one training [95 % interval over photos alone]"
    )
    lines += ["", f"{_photos(result)} Each of our rows: {seeds}."]
    if score:
        lines.append(
            f"Our score is the {score['label']} of {score['weights']}; the "
            "paper's is an Inception Score: the two do not compare."
        )
    lines += ["", "## Can the rows be told apart?", ""]
    lines += _pairs(result["pairs"], titles)
    if trainings == 1:
        lines.append(
            "With one training per row they are verdicts on these trainings, "
            "not on the ways of training."
        )
    lines += ["", "## Trainings", ""]
    lines += _head(["Run", "Steps", "Minutes", "Device"], left=1)
    for training in result["trainings"]:
        lines.append(
            _line(
                [
                    training["name"],
                    str(training["steps"]),
                    f"{training['seconds'] / 60:.1f}",
                    training["device"],
                ]
            )
        )
    return "\n".join(lines) + "\n"


def describe_profile(profile):
    """Says at which size an experiment was done."""
    side = f"{profile.max_side} px" if profile.max_side else "full size"
    return (
        f"Profile `{profile.name}`: {profile.filters} filters, crops of "
        f"{profile.crop_size} px, batches of {profile.global_batch_size}; "
        f"photos evaluated at up to {side}."
    )


def _pairs(pairs, titles):
    lines = _head(
        [
            "First − second",
            "Quantity",
            "Paper",
            "Ours",
            "Verdict",
            "Paper's ordering",
        ],
        left=2,
    )
    orderings = []
    for pair in pairs:
        name = pair["quantity"]
        published = pair["published_difference"]
        lines.append(
            _line(
                [
                    f"{pair['first']} − {pair['second']}",
                    titles[name],
                    "" if published is None else f"{published:+.2f}",
                    _interval({name: pair["difference"]}, name),
                    pair["verdict"],
                    pair["ordering"] or "",
                ]
            )
        )
        if pair["ordering"]:
            orderings.append(pair["ordering"])
    found = ", ".join(
        f"{orderings.count(kind)} {kind}"
        for kind in ("holds", "reversed", "cannot be told apart")
    )
    lines += [
        "",
        f"The paper's {len(orderings)} orderings at this budget: {found}. "
        "Verdicts by paired bootstrap over photos and trainings, 95 %, not "
        "corrected for the number of comparisons.",
    ]
    return lines


def _photos(result):
    return f"N = {result['photos']} photos. {describe_floor(result)}"


def _interval(values, name):
    digits = _DIGITS.get(name, 1)
    value = values[name]
    mean, low, high = (
        format_number(value[key], digits) for key in ("mean", "low", "high")
    )
    return f"{mean} [{low}, {high}]"


def _head(titles, left):
    rules = ["---"] * left + ["---:"] * (len(titles) - left)
    return [_line(titles), _line(rules)]


def _line(cells):
    return "| " + " | ".join(cells) + " |"
