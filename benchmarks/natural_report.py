"""Writes the figures of docs/results/natural.md and docs/model_card.md.

    python benchmarks/natural_report.py --shared=../shared --work=WORK

Scores the models that ship by `trainers/evaluate.py`, once for each of `RUNS`
(what WORK already holds is taken from there), and puts the tables where the
two pages have a block `<!-- NAME -->` ... `<!-- end -->`. The words around
them are written by hand.
"""

import json
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
from absl import app, flags

import tfexposure
from tfexposure import evaluation, pretrained
from tfexposure.experiments import drawing, figures
from tfexposure.storage import write_atomically

_SHARED = flags.DEFINE_string("shared", "../shared", "Folder of the photos.")
_WORK = flags.DEFINE_string("work", None, "For the scores.", required=True)
_MAX_PHOTOS = flags.DEFINE_integer(
    "max_photos", 80, "Photos of each source, evenly spaced."
)
_ROOT = Path(__file__).resolve().parents[1]
_SHIPPED = ["--correct=shipped", "--correct=shipped:force"]
# Scenes of brackets2 that were not trained on.
_SCENES = re.search(
    "--valid_scenes=(.*)", (_ROOT / "configs" / "scenes.flags").read_text()
)[1].replace(",", "|")
# Sets, folders of real pairs and models of one call each.
RUNS = {
    "simulated": (
        ["tau0.5", "tau-random-jpeg", "tau0.2", "tau1"],
        [],
        _SHIPPED,
    ),
    "real": ([], ["brackets"], _SHIPPED),
    "cameras": ([], ["brackets2"], [f"--where=scene={_SCENES}", *_SHIPPED]),
    # These know that the light was doubled, as the oracles do.
    "told": (
        ["tau0.5"],
        [],
        [
            "--correct=tau_half:force",
            "--correct=shipped:stops=1",
            "--correct=paper:force",
        ],
    ),
    "random": (["tau-random-jpeg"], [], ["--correct=paper_random:force"]),
}
# Photo, and the tau it is overexposed with.
_SHOWN = {
    "aitzgorri": 0.4,
    "picosdeeuropa": 0.4,
    "wine": 0.4,
    "coffee": 0.3,
    "friends": 0.4,
    "flower": 0.3,
    "astronaut": 0.4,
    "sunset": 0.5,
}


def main(_):
    scores = {name: _score(name) for name in RUNS}
    tables = {
        f"{run} {each['name']}": evaluation.to_markdown(each)
        for run, sets in scores.items()
        for each in sets
    }
    tables["legend"] = evaluation.LEGEND
    tables["originals"] = _originals(scores["simulated"])
    _fill(_ROOT / "docs" / "results" / "natural.md", tables)
    about = pretrained.manifest("natural")
    facts = (
        f"{about['parameters']:,} parameters, "
        f"{about['flops_per_pixel'] / 1e3:.1f} kFLOP per pixel; SHA-256 of the "
        f"weights\n`{about['sha256']}`; {about['date']}.\n"
    )
    card = {
        "facts": facts,
        "figures": _short_table(
            scores["simulated"] + scores["real"] + scores["cameras"]
        ),
    }
    _fill(_ROOT / "docs" / "model_card.md", card)
    _show(_ROOT / "docs" / "results" / "natural.jpg")


def _score(name):
    """Runs one evaluation, unless it was; returns the summaries of its sets."""
    output = Path(_WORK.value, name)
    result = output.with_suffix(".json")
    if not result.exists():
        sets, pairs, models = RUNS[name]
        photos = Path(_SHARED.value, "photos")
        command = [sys.executable, _ROOT / "trainers" / "evaluate.py"]
        if sets:
            command += [f"--photos={photos / 'scenes' / 'valid'}"]
            command += [f"--photos={photos / 'kodak'}"]
        command += [f"--set={each}" for each in sets]
        command += [f"--pairs={photos / each}" for each in pairs]
        command += [f"--max_photos={_MAX_PHOTOS.value}"]
        subprocess.run([*command, *models, f"--output={output}"], check=True)
    return json.loads(result.read_text())["sets"]


def _originals(sets):
    """Says what happens to photos that need nothing."""
    (found,) = (each for each in sets if each["name"] == "tau1")
    lines = ["| method | N | left alone | mean change, of 255 |"]
    lines.append("|---|---:|---:|---:|")
    # Dithering and rounding tell even an untouched photo from its original.
    before, *after = (
        np.array([photo["rows"][model]["l1"] for photo in found["per_photo"]])
        for model in ("untouched", "correct shipped", "correct shipped:force")
    )
    for model, errors in zip(("as used", "in full"), after, strict=True):
        left = errors == before
        changes = 255 * np.where(left, 0, errors)
        lines.append(
            f"| {model} | {len(changes)} | {left.mean():.0%} "
            f"| {changes.mean():.2f} |"
        )
    return "\n".join(lines) + "\n"


def _short_table(sets):
    lines = ["| photos | N | PSNR, 95 % interval | best gain | SSIM |"]
    lines.append("|---|---:|---:|---:|---:|")
    for each in sets:
        row = {row["name"]: row for row in each["rows"]}["correct shipped"]
        lines.append(
            f"| {each['name']} | {each['photos']} | {row['psnr']['mean']:.2f} "
            f"[{row['psnr']['low']:.2f}, {row['psnr']['high']:.2f}] | "
            f"{row['psnr_best_gain']['mean']:.2f} | "
            f"{row['ssim']['mean']:.3f} |"
        )
    return "\n".join(lines) + "\n"


def _fill(path, blocks):
    """Replaces what stands in a page's blocks."""

    def replace(match):
        return f"{match[1]}\n{blocks[match[2]]}{match[3]}"

    text = path.read_text(encoding="utf-8")
    pattern = r"(<!-- ([\w .-]+) -->)\n.*?(<!-- end -->)"
    text = re.sub(pattern, replace, text, flags=re.DOTALL)
    write_atomically(path, text)


def _show(path):
    """Draws overexposed, restored and original photos, a row each."""
    rows = []
    for name, tau in _SHOWN.items():
        photo = evaluation.read_photo(
            Path(_SHARED.value, "photos", "samples", f"{name}.jpg")
        )
        photo = figures.cut(photo, 320)
        example = evaluation.Simulation(tau, tau).apply(photo, name)
        restored = tfexposure.correct(example.overexposed)
        images = (example.overexposed, restored, photo)
        rows.append([drawing.to_image(image) for image in images])
    sheet = drawing.grid(rows, ("overexposed", "restored", "original"))
    drawing.save(path, sheet)


def run():
    app.run(main)


if __name__ == "__main__":
    run()
