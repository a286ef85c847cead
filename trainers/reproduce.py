"""Reproduces a table or figure of the paper.

    python trainers/reproduce.py --experiment=table1 --photos=photos/
    python trainers/reproduce.py --experiment=table2 --profile=short \
        --train_photos=photos/train --photos=photos/valid --seeds=3

Writes Markdown, JSON and, for figures, a picture into --output. Folders of
photos are curated first. What is trained already is not trained again.
"""

import os
import sys
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")

from absl import app, flags

from tfexposure import scripts
from tfexposure.errors import UserError
from tfexposure.experiments import catalogue
from tfexposure.experiments.profiles import PROFILES

_EXPERIMENT = flags.DEFINE_enum(
    "experiment", None, catalogue.EXPERIMENTS, "What to reproduce."
)
_PROFILE = flags.DEFINE_enum(
    "profile", "short", list(PROFILES), "At which size."
)
_SEEDS = flags.DEFINE_integer(
    "seeds", 1, "Trainings per row of a table.", lower_bound=1
)
_STEPS = flags.DEFINE_integer(
    "steps",
    None,
    "Steps of a training; the profile's by default. The paper's longer "
    "trainings take three times as many.",
    lower_bound=1,
)
_PHOTOS = flags.DEFINE_list(
    "photos", [], "Folders or manifests of photos to evaluate on."
)
_TRAIN_PHOTOS = flags.DEFINE_string(
    "train_photos", "", "Folder, manifest or tfds: name to train on."
)
_FIGURE_PHOTOS = flags.DEFINE_list(
    "figure_photos", [], "Files, or one folder, to show in figures."
)
_VGG19_WEIGHTS = flags.DEFINE_string(
    "vgg19_weights",
    None,
    "imagenet (downloaded), a .h5 or .npz file, or random (for tests).",
)
_INCEPTION = flags.DEFINE_string(
    "inception",
    None,
    "Classifier for the score, as for evaluate.py; empty for none; the "
    "profile's by default.",
)
_RUNS = flags.DEFINE_string(
    "runs", "runs/reproduce", "Folder for trainings and manifests."
)
_OUTPUT = flags.DEFINE_string("output", "results", "Folder for results.")
_PICTURE_FORMAT = flags.DEFINE_enum(
    "picture_format", "png", ["png", "jpg"], "Of figures."
)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {' '.join(argv[1:])}")
    if not _EXPERIMENT.value:
        raise app.UsageError(
            f"--experiment is needed: one of {', '.join(catalogue.EXPERIMENTS)}"
        )
    from tfexposure.experiments import reproduce

    profile = PROFILES[_PROFILE.value]
    settings = reproduce.Settings(
        profile=profile,
        output=Path(_OUTPUT.value),
        runs=Path(_RUNS.value) / profile.name,
        photos=tuple(_PHOTOS.value),
        train_photos=_TRAIN_PHOTOS.value,
        figure_photos=tuple(_FIGURE_PHOTOS.value),
        seeds=_SEEDS.value,
        vgg19_weights=_VGG19_WEIGHTS.value or profile.vgg19_weights,
        inception=profile.classifier
        if _INCEPTION.value is None
        else _INCEPTION.value,
        steps=_STEPS.value,
        picture_format=_PICTURE_FORMAT.value,
        arguments=tuple(sys.argv[1:]),
    )
    try:
        for path in reproduce.reproduce(_EXPERIMENT.value, settings):
            print(f"written: {path}")
    except UserError as error:
        sys.exit(f"error: {error}")


def run():
    scripts.run(main)


if __name__ == "__main__":
    run()
