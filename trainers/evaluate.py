"""Scores models, and what needs no model, on photos whose truth is known.

    python trainers/evaluate.py --photos=valid.jsonl --set=tau0.5 \
        --set=tau-random-jpeg --pairs=brackets --model=runs/first \
        --output=results/first

Well-exposed photos are overexposed on purpose, in as many ways as there are
--set; --pairs are real overexposed frames with a well-exposed one of the same
scene (a folder with pairs.csv, columns over and reference). Prints a table for
each, and writes results/first.md and results/first.json, which has every
photo's values, too.
"""

import sys

import numpy as np
from absl import app, flags

import tfexposure
from tfexposure import evaluation, metrics, scripts
from tfexposure.data.pairs import SPLITS
from tfexposure.data.well_exposed import SCORING
from tfexposure.errors import UserError
from tfexposure.metrics import classifiers
from tfexposure.runtime.opening import open_model, open_whole_image

_PHOTOS = flags.DEFINE_multi_string(
    "photos", [], "Folders of well-exposed photos, or manifests of curation."
)
_SETS = flags.DEFINE_multi_string(
    "set",
    ["tau0.5"],
    "How --photos are overexposed: tau0.5, tau0.2to0.9 (drawn evenly), "
    "tau-random (0.5 to 1); with -jpeg or -jpeg75: saved once, by default with "
    "quality 90.",
)
_PAIRS = flags.DEFINE_multi_string("pairs", [], "Folders with pairs.csv.")
_WHERE = flags.DEFINE_multi_string(
    "where",
    [],
    "Takes the pairs alone that meet this, by columns of pairs.csv: "
    "camera=Sony G8232, mean_reference>=0.33.",
)
_SPLIT = flags.DEFINE_enum(
    "split",
    None,
    SPLITS,
    "Takes one half of the pairs' scenes; a scene's name decides (SHA-256).",
)
_MODELS = flags.DEFINE_multi_string(
    "model",
    [],
    "Network alone, in full: SavedModel folder, .tflite file, folder of ONNX "
    "files, run folder or the name of a model that ships.",
)
_CORRECT = flags.DEFINE_multi_string(
    "correct",
    [],
    "Model as `tfexposure correct` uses it: shipped (its default), natural, "
    "runs/first; shipped:force (also what it would leave alone), "
    "shipped:stops=1 (told how far).",
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Results are written here, with .md and .json added."
)
_RESPONSE = flags.DEFINE_enum(
    "response", "gamma", ["gamma", "srgb"], "Response curve of the camera."
)
_SEED = flags.DEFINE_integer("seed", 0, "Of tau and of dequantisation.")
_SIMILARITY = flags.DEFINE_enum(
    "similarity",
    "photos",
    metrics.PROTOCOLS,
    "What the histogram similarity counts: whole photos, or 16 patches of each "
    "reduced to 80 pixels, as Hu et al. do.",
)
_INCEPTION = flags.DEFINE_string(
    "inception", None, f"Classifier for a score: {classifiers.HELP}"
)
_MAX_PHOTOS = flags.DEFINE_integer(
    "max_photos", None, "Evenly spaced photos to take of each of --photos."
)
_MAX_SIDE = flags.DEFINE_integer(
    "max_side",
    1024,
    "Larger --photos are reduced to this before they are overexposed; 0: "
    "never. Pairs are taken as they are.",
)
_MAX_UNREADABLE = flags.DEFINE_integer(
    "max_unreadable", 10, "More unreadable photos than this are an error."
)
_ALL = flags.DEFINE_boolean(
    "all_photos", False, "Keeps badly exposed --photos, too."
)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {' '.join(argv[1:])}")
    if not (_PHOTOS.value or _PAIRS.value):
        raise app.UsageError("--photos or --pairs is needed.")
    try:
        _evaluate()
    except UserError as error:
        sys.exit(f"error: {error}")


def _evaluate():
    sets = [*_simulated_sets(), *_pair_sets()]
    methods = evaluation.METHODS | _methods()
    classifier = None
    if _INCEPTION.value:
        classifier = classifiers.open_classifier(_INCEPTION.value)
    evaluations, summaries = [], []
    for photos in sets:
        found = evaluation.evaluate(
            photos,
            methods,
            evaluation.ORACLES if photos.tau_known else None,
            classifier,
            _show_progress,
            _SIMILARITY.value,
        )
        evaluations.append(found)
        summaries.append(evaluation.summarize(found, classifier))
        print(f"## {photos.name}\n\n{evaluation.to_markdown(summaries[-1])}")
    if _OUTPUT.value:
        for path in evaluation.write_results(
            _OUTPUT.value, evaluations, summaries
        ):
            print(f"written: {path}")


def _simulated_sets():
    paths = [
        path
        for source in _PHOTOS.value
        for path in evaluation.find_photos(source, _MAX_PHOTOS.value)
    ]
    for name in _SETS.value if paths else ():
        try:
            simulation = evaluation.Simulation.from_name(
                name, response=_RESPONSE.value, seed=_SEED.value
            )
        except ValueError as error:
            raise UserError(f"--set: {error}") from error
        yield evaluation.SimulatedSet(
            paths,
            simulation,
            max_side=_MAX_SIDE.value or None,
            rules=None if _ALL.value else SCORING,
            max_unreadable=_MAX_UNREADABLE.value,
            name=name,
        )


def _pair_sets():
    for folder in _PAIRS.value:
        yield evaluation.PairSet(folder, _WHERE.value, _SPLIT.value)


def _methods():
    """Opens the models; name -> function of an image."""
    methods = {
        f"model {model}": open_whole_image(model) for model in _MODELS.value
    }
    for spec in _CORRECT.value:
        methods[f"correct {spec}"] = _correct(spec)
    return methods


def _correct(spec):
    """Corrects as the command does: from 8 bits to 8 bits."""
    model, *options = spec.split(":")
    settings = {}
    for option in options:
        name, _, value = option.partition("=")
        try:
            settings[name] = {"force": bool, "stops": float}[name](value or 1)
        except (KeyError, ValueError) as error:
            raise UserError(
                f"--correct={spec}: {option!r} should be force or stops=NUMBER."
            ) from error
    runner = open_model(None if model == "shipped" else model)

    def restore(image):
        levels = evaluation.to_uint8(image)
        answer = tfexposure.correct(levels, model=runner, **settings)
        return answer.astype(np.float32) / 255

    return restore


def _show_progress(done, total):
    if done % 20 == 0 or done == total:
        print(f"{done}/{total} photos", file=sys.stderr)


def run():
    scripts.run(main)


if __name__ == "__main__":
    run()
