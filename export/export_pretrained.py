"""Puts a run of `train_gan` into the package, under a name.

    python export/export_pretrained.py --run_dir=runs/blind
    python export/export_pretrained.py --run_dir=runs/paper --name=paper

Writes the weights as float16 and the manifest into `tfexposure/pretrained`,
and for `natural` the `.tflite` file that `tfexposure correct` uses by default.
"""

import datetime
import hashlib
import json
import sys
from pathlib import Path

from absl import app, flags

from tfexposure import pretrained, quiet, scripts
from tfexposure.config import RunDir
from tfexposure.errors import UserError
from tfexposure.layers import constructor_arguments
from tfexposure.storage import to_json, write_atomically
from tfexposure.weights import pack_weights, read_weights

_RUN_DIR = flags.DEFINE_string(
    "run_dir", None, "Folder of the run.", required=True
)
_NAME = flags.DEFINE_string(
    "name", pretrained.DEFAULT, "Of the model in the package."
)
_OUTPUT = flags.DEFINE_string(
    "output", str(pretrained.FOLDER), "Folder to write into."
)
_WEIGHTS = flags.DEFINE_enum(
    "weights",
    "best",
    ["best", "averaged", "live"],
    "Of the best validation, or of the newest checkpoint.",
)
_PRECISION = flags.DEFINE_string(
    "precision", "dynamic_int8", "Of the .tflite file; see export_tflite."
)
_DATA = flags.DEFINE_string(
    "data", "", "What the photos were, for the manifest."
)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    try:
        _export()
    except UserError as error:
        sys.exit(f"error: {error}")


def _export():
    quiet.import_tensorflow()
    from tfexposure.training.tasks import make_product

    run, name = RunDir(_RUN_DIR.value), _NAME.value
    config = run.read_config()
    model = make_product(config)
    _load(model, run)
    weights = pack_weights(model)
    about = {
        "class": type(model).__name__,
        "arguments": constructor_arguments(model),
        "parameters": model.count_params(),
        "sha256": hashlib.sha256(weights).hexdigest(),
        "date": datetime.date.today().isoformat(),
        "weights": _WEIGHTS.value,
        **_record(run),
        "settings": _without_folders(config.to_dict()),
        "data": _DATA.value,
    }
    if config.task == "blind":
        about["flops_per_pixel"] = round(model.flops_per_pixel)
    folder = Path(_OUTPUT.value)
    write_atomically(folder / f"{name}.npz", weights)
    text = to_json(dict(sorted(about.items())))
    write_atomically(folder / f"{name}.json", text)
    print(f"{folder / name}.npz: {len(weights) / 2**20:.2f} MiB")
    if name == pretrained.DEFAULT:
        # The file for phones holds what the float16 weights give.
        read_weights(model, folder / f"{name}.npz")
        _write_tflite(model, about, folder)


def _load(model, run):
    product = _product(run)
    if _WEIGHTS.value == "best":
        path = run.best / f"{product}.weights.h5"
        try:
            model.load_weights(path)
        except (OSError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"{path}: {reason}") from error
        return
    prefix = product if _WEIGHTS.value == "live" else "averaged"
    read_weights(model, _newest(run), f"{prefix}/")


def _product(run):
    return {"paper": "generator", "blind": "restorer"}[run.read_config().task]


def _newest(run):
    from tfexposure.training.checkpoints import existing_checkpoints

    paths = existing_checkpoints(run.checkpoints)
    if not paths:
        raise UserError(f"{run.checkpoints}: no checkpoint there")
    return Path(paths[-1])


def _record(run):
    """Returns step and validation of the weights, and which photos it saw."""
    if _WEIGHTS.value == "best":
        text = (run.best / "metrics.json").read_text(encoding="utf-8")
        figures = json.loads(text)
        step = figures.pop("step")
    else:
        step = int(_newest(run).stem.split("-")[1])
        figures = _validated(run, step)
    figures = {k: round(v, 4) for k, v in figures.items() if v is not None}
    text = (run.path / "run.json").read_text(encoding="utf-8")
    return {
        "step": step,
        "validation": figures,
        "photos": {
            name: {key: found[key] for key in ("count", "fingerprint")}
            for name, found in json.loads(text)["starts"][-1]["data"].items()
        },
    }


def _validated(run, step):
    """Returns what the log tells of the validation after a step."""
    lines = (run.path / "log.jsonl").read_text(encoding="utf-8").splitlines()
    told: dict[str, float] = {}
    for line in map(json.loads, lines):
        if line["step"] == step:
            told |= line
    return {
        name.removeprefix("metrics/"): value
        for name, value in told.items()
        if name.startswith("metrics/")
        and name != "metrics/discriminator_accuracy"
    }


def _write_tflite(model, about, folder):
    from tfexposure.runtime.keras_model import KerasModel
    from tfexposure.runtime.manifest import make_manifest
    from tfexposure.serving import tflite

    exported = KerasModel(model)
    contents = tflite.convert_to_tflite(exported, _PRECISION.value)
    path = tflite.write_tflite(
        folder / pretrained.default_model_path().name,
        contents,
        make_manifest(
            exported,
            format="TFLite",
            precision=_PRECISION.value,
            pretrained={key: about[key] for key in ("sha256", "step", "date")},
        ),
    )
    print(f"{path}: {path.stat().st_size / 2**20:.2f} MiB")


def _without_folders(settings):
    """Names files without the folders of the machine they were on."""
    if isinstance(settings, dict):
        return {key: _without_folders(v) for key, v in settings.items()}
    return Path(settings).name if isinstance(settings, str) else settings


def run():
    scripts.run(main)


if __name__ == "__main__":
    run()
