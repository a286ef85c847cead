"""Scores a model, and what needs no model, on photos overexposed on purpose.

    python trainers/evaluate.py --photos=valid.jsonl --model=runs/first \
        --output=results/first

Writes results/first.md and results/first.json. Without --model only the
input and the two inverse transformations are scored.
"""

import sys

from absl import app, flags

from tfexposure import evaluation
from tfexposure.errors import UserError
from tfexposure.metrics import classifiers

_PHOTOS = flags.DEFINE_string(
    "photos", None, "Folder of well-exposed photos, or manifest of curation."
)
_MODEL = flags.DEFINE_string(
    "model", None, "SavedModel folder, .tflite file or run folder."
)
_OUTPUT = flags.DEFINE_string(
    "output", None, "Results are written here, with .md and .json added."
)
_TAU_MIN = flags.DEFINE_float("tau_min", 0.5, "Least share of light kept.")
_TAU_MAX = flags.DEFINE_float(
    "tau_max", None, "Greatest share of light kept; --tau_min by default."
)
_RESPONSE = flags.DEFINE_enum(
    "response", "gamma", ["gamma", "srgb"], "Response curve of the camera."
)
_JPEG_QUALITY = flags.DEFINE_integer(
    "jpeg_quality", 0, "Of the overexposed photo; 0: not compressed."
)
_SEED = flags.DEFINE_integer("seed", 0, "Of tau and of dequantisation.")
_INCEPTION = flags.DEFINE_string(
    "inception", None, f"Classifier for a score: {classifiers.HELP}"
)
_MAX_PHOTOS = flags.DEFINE_integer(
    "max_photos", None, "Evenly spaced photos to take; all by default."
)
_MAX_SIDE = flags.DEFINE_integer(
    "max_side", 1024, "Larger photos are reduced to this; 0: never."
)
_MAX_UNREADABLE = flags.DEFINE_integer(
    "max_unreadable", 10, "More unreadable photos than this are an error."
)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {' '.join(argv[1:])}")
    if not _PHOTOS.value:
        raise app.UsageError("--photos is needed: a folder or a manifest.")
    try:
        _evaluate()
    except UserError as error:
        sys.exit(f"error: {error}")


def _evaluate():
    try:
        simulation = evaluation.Simulation(
            tau_min=_TAU_MIN.value,
            tau_max=_TAU_MIN.value
            if _TAU_MAX.value is None
            else _TAU_MAX.value,
            response=_RESPONSE.value,
            jpeg_quality=_JPEG_QUALITY.value,
            seed=_SEED.value,
        )
    except ValueError as error:
        raise UserError(str(error)) from error
    paths = evaluation.find_photos(_PHOTOS.value, _MAX_PHOTOS.value)
    methods = evaluation.standard_methods()
    if _MODEL.value:
        methods["model"] = evaluation.model_method(_MODEL.value)
    classifier = (
        classifiers.open_classifier(_INCEPTION.value)
        if _INCEPTION.value
        else None
    )
    measured = evaluation.evaluate(
        paths,
        simulation,
        methods,
        classifier=classifier,
        max_side=_MAX_SIDE.value or None,
        max_unreadable=_MAX_UNREADABLE.value,
        progress=_show_progress,
    )
    summary = evaluation.summarize(measured, simulation, classifier)
    print(evaluation.to_markdown(summary))
    if _OUTPUT.value:
        for path in evaluation.write_results(_OUTPUT.value, measured, summary):
            print(f"written: {path}")


def _show_progress(done, total):
    if done % 20 == 0 or done == total:
        print(f"{done}/{total} photos", file=sys.stderr)


def run():
    app.run(main)


if __name__ == "__main__":
    run()
