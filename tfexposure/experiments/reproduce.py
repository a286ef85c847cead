"""Runs one experiment from photos to its Markdown, JSON and picture."""

import dataclasses
import importlib.util
import shlex
import time
from pathlib import Path

from tfexposure import evaluation
from tfexposure.data.curation import curate
from tfexposure.errors import UserError
from tfexposure.experiments import (
    catalogue,
    drawing,
    figures,
    report,
    tables,
    training,
)
from tfexposure.experiments.profiles import Profile
from tfexposure.metrics import classifiers
from tfexposure.runtime.opening import open_whole_image
from tfexposure.storage import to_json, write_atomically

_FIGURE_PHOTOS = 3
_TFDS = "tfds:"


@dataclasses.dataclass(frozen=True)
class Settings:
    """What `reproduce` is told.

    Attributes:
        profile: a `Profile`.
        output: folder for the results.
        runs: folder for trainings and manifests.
        photos: folders or manifests to evaluate on; folders are curated.
        train_photos: folder, manifest or tfds: name to train on.
        figure_photos: files, or one folder, to show in figures.
        seeds: trainings per variant.
        vgg19_weights: for perceptual losses.
        inception: handle of a classifier; empty for no score.
        steps: of a training of length 1; None for the profile's.
        picture_format: `png` or `jpg`.
        arguments: of the command line, to be quoted in the results.
    """

    profile: Profile
    output: Path
    runs: Path
    photos: tuple = ()
    train_photos: str = ""
    figure_photos: tuple = ()
    seeds: int = 1
    vgg19_weights: str = "imagenet"
    inception: str = ""
    steps: int | None = None
    picture_format: str = "png"
    arguments: tuple = ()


def reproduce(experiment, settings, progress=print):
    """Runs an experiment.

    Args:
        experiment: one of `catalogue.EXPERIMENTS`.
        settings: a `Settings`.
        progress: called with lines that say what goes on.

    Returns:
        List of the files written.

    Raises:
        UserError: if weights or data are missing, before any training; or if
            a training fails.
    """
    missing = find_missing(experiment, settings)
    if missing:
        raise UserError(
            f"{experiment} lacks:\n" + "\n".join(f"- {m}" for m in missing)
        )
    classifier = None
    if experiment in catalogue.TABLES and settings.inception:
        classifier = classifiers.open_classifier(settings.inception)
    if experiment.startswith("figure"):
        photos = _figure_photos(settings)
    else:
        photos = _evaluation_photos(settings)
    trainings = _train(experiment, settings, progress)
    start = time.monotonic()
    if experiment == "table1":
        written = _table1(photos, settings, start, progress)
    elif experiment in catalogue.TABLES:
        written = _table(
            experiment, photos, trainings, classifier, settings, progress
        )
    else:
        written = _figure(experiment, photos, trainings, settings)
    return written


def find_missing(experiment, settings):
    """Lists what an experiment lacks, and how to get it.

    Args:
        experiment: one of `catalogue.EXPERIMENTS`.
        settings: a `Settings`.

    Returns:
        List of sentences; empty if everything is there.
    """
    missing = []
    variants = catalogue.variants_of(experiment)
    if experiment.startswith("figure"):
        missing += _missing_sources(
            "--figure_photos", settings.figure_photos, "photos to show"
        )
    else:
        missing += _missing_sources(
            "--photos", settings.photos, "folders or manifests of photos"
        )
    if variants and not settings.train_photos.startswith(_TFDS):
        sources = tuple(filter(None, [settings.train_photos]))
        missing += _missing_sources(
            "--train_photos", sources, "folder or manifest to train on"
        )
    if any(variant.perceptual_weight for variant in variants):
        missing += _missing_vgg19(settings.vgg19_weights)
    if variants and not importlib.util.find_spec(
        "tfexposure.trainers.train_gan"
    ):
        missing.append(
            "the trainer: install the package (pip install -e .) to have "
            "tfexposure.trainers.train_gan"
        )
    if experiment in catalogue.TABLES and settings.inception:
        try:
            classifiers.open_classifier(settings.inception)
        except UserError as error:
            missing.append(f"{error} --inception= leaves the score out.")
    return missing


def _missing_sources(flag, sources, kind):
    if not sources:
        return [f"{flag}: {kind}; none given"]
    return [
        f"{flag}: {source} does not exist"
        for source in sources
        if not Path(source).exists()
    ]


def _missing_vgg19(weights):
    if weights == "random":
        return []
    if weights != "imagenet":
        if Path(weights).is_file():
            return []
        return [
            f"--vgg19_weights: {weights} does not exist; the official no-top "
            "file (.h5), or its arrays (.npz), is needed"
        ]
    import keras

    try:
        keras.applications.VGG19(include_top=False)
    except Exception as error:  # Downloads raise many kinds.
        return [
            f"the VGG-19 weights: Keras cannot download them ({error}). Give "
            "--vgg19_weights the path of the official no-top file, "
            "vgg19_weights_tf_dim_ordering_tf_kernels_notop.h5"
        ]
    return []


def _curated(source, settings):
    """Curates a folder of photos; other sources are what they are."""
    path = Path(source)
    if not path.is_dir():
        return str(source)
    name = "-".join(path.resolve().parts[-2:])
    manifest = settings.runs / "manifests" / f"{name}.jsonl"
    return str(curate(path, manifest=manifest).manifest)


def _evaluation_photos(settings):
    paths = [
        path
        for source in settings.photos
        for path in evaluation.find_photos(_curated(source, settings))
    ]
    return evaluation.spread(paths, settings.profile.max_photos)


def _figure_photos(settings):
    """Returns name -> photo, cut to one size."""
    first = Path(settings.figure_photos[0])
    if first.is_dir():
        paths = evaluation.find_photos(
            _curated(first, settings), _FIGURE_PHOTOS
        )
    else:
        paths = [Path(path) for path in settings.figure_photos]
    side = settings.profile.figure_side
    return {
        path.name: figures.cut(evaluation.read_photo(path), side)
        for path in paths
    }


def _train(experiment, settings, progress):
    """Trains what is not yet trained; variant -> its trainings."""
    variants = catalogue.variants_of(experiment)
    if not variants:
        return {}
    source = _curated(settings.train_photos, settings)
    seeds = settings.seeds if experiment in catalogue.TABLES else 1
    profile = settings.profile
    if settings.steps:
        profile = dataclasses.replace(profile, steps=settings.steps)
    trainings = {
        variant: [
            training.plan(
                variant,
                seed,
                profile,
                source,
                settings.vgg19_weights,
                settings.runs,
            )
            for seed in range(settings.seeds)
        ][:seeds]
        for variant in variants
    }
    for each in trainings.values():
        for one in each:
            training.train(one, progress)
    return trainings


def _table1(paths, settings, start, progress):
    profile = settings.profile
    result = tables.table1(
        paths, profile.max_side, profile.resamples, _counter(progress)
    )
    result["seconds"] = time.monotonic() - start
    text = (
        "# table1: overexposed photos against their originals\n\n"
        f"{report.table1_markdown(result)}\n"
        f"{_made_by(settings)} No training. {result['seconds']:.0f} s on "
        f"{training.describe_device()}.\n"
    )
    return _write("table1", text, result, settings)


def _table(experiment, paths, trainings, classifier, settings, progress):
    table = catalogue.TABLES[experiment]
    groups = {}
    for row in table.rows:
        taus = (row.variant.tau_min, row.variant.tau_max)
        groups.setdefault(taus, []).append(row.variant)
    found = {}
    for taus, variants in groups.items():
        methods = dict(evaluation.METHODS)
        for variant in variants:
            for one in trainings[variant]:
                methods[one.folder.name] = open_whole_image(one.folder)
        progress(f"evaluating {len(methods)} rows at tau {taus}")
        found[taus] = evaluation.evaluate(
            evaluation.SimulatedSet(
                paths,
                evaluation.Simulation(*taus),
                max_side=settings.profile.max_side,
            ),
            methods,
            evaluation.ORACLES,
            classifier,
            _counter(progress),
        )
    result = tables.compare_rows(
        table,
        [[one.folder.name for one in trainings[r.variant]] for r in table.rows],
        [found[r.variant.tau_min, r.variant.tau_max] for r in table.rows],
        settings.profile.resamples,
    )
    result["score"] = classifier and {
        "label": classifier.label,
        "weights": classifier.weights,
    }
    result["trainings"] = _describe(trainings)
    text = (
        f"# {experiment}: {table.title}\n\n{report.table_markdown(result)}\n"
        f"{report.describe_profile(settings.profile)} {_made_by(settings)}\n"
    )
    return _write(experiment, text, result, settings)


def _figure(experiment, photos, trainings, settings):
    restorers = {
        label: open_whole_image(trainings[variant][0].folder)
        for label, variant in catalogue.FIGURES[experiment].items()
    }
    image, numbers = figures.draw(experiment, photos, restorers)
    picture = _path(experiment, settings, settings.picture_format)
    drawing.save(picture, image)
    shown = ", ".join(photos)
    lines = [f"# {experiment}", "", f"![{experiment}]({picture.name})", ""]
    lines.append(f"{figures.CAPTIONS[experiment]} Photos: {shown}.")
    if trainings:
        lines.append(report.describe_profile(settings.profile))
        for one in _describe(trainings):
            lines.append(
                f"- {one['name']}: {one['steps']} steps, "
                f"{one['seconds'] / 60:.1f} min on {one['device']}"
            )
    lines += ["", _made_by(settings), ""]
    result = {**numbers, "trainings": _describe(trainings)}
    text = "\n".join(lines)
    return [picture, *_write(experiment, text, result, settings)]


def _describe(trainings):
    return [
        {
            "name": one.folder.name,
            "steps": one.flags["train.steps"],
            "seconds": one.record["seconds"],
            "device": one.record["device"],
            "flags": one.flags,
        }
        for each in trainings.values()
        for one in each
    ]


def _write(experiment, text, result, settings):
    settings.output.mkdir(parents=True, exist_ok=True)
    paths = [_path(experiment, settings, kind) for kind in ("md", "json")]
    write_atomically(paths[0], text)
    write_atomically(
        paths[1],
        to_json(
            {
                "experiment": experiment,
                "profile": settings.profile.name,
                "arguments": list(settings.arguments),
                **result,
            }
        ),
    )
    return paths


def _path(experiment, settings, suffix):
    """No profile's results replace another's."""
    return settings.output / f"{experiment}-{settings.profile.name}.{suffix}"


def _made_by(settings):
    command = shlex.join(["python", "trainers/reproduce.py"])
    return f"Made by `{command} {shlex.join(settings.arguments)}`."


def _counter(progress):
    def count(done, total):
        if done % 100 == 0 or done == total:
            progress(f"{done}/{total} photos")

    return count
