"""Puts a run of `train_device` into the package, under a name.

    python export/export_pretrained.py --run_dir=runs/natural
    python export/export_pretrained.py --run_dir=runs/paper --name=paper
    python export/export_pretrained.py --run_dir=runs/a --run_dir=runs/b

Of several runs, which share a beginning, the mean of the weights is taken
(Wortsman et al., Model soups, 2022); one that is named twice counts double.
Steps, settings and validation in the manifest are those of the last.

Writes the weights as float16 and the manifest into `tfexposure/pretrained`,
and for `natural` the `.tflite` file that `tfexposure correct` uses by default.
"""

import datetime
import hashlib
import json
from pathlib import Path

from absl import app, flags

from tfexposure import (
    pretrained,
    quiet,
)
from tfexposure.layers import constructor_arguments
from tfexposure.storage import to_json, write_atomically
from tfexposure.weights import (
    pack_weights,
    read_weights,
)

_RUN_DIR = flags.DEFINE_multi_string(
    "run_dir", None, "Folders of the runs.", required=True
)
_GLOBAL = flags.DEFINE_multi_string(
    "global_run_dir",
    [],
    "Runs to take the global branch of a blind model from instead.",
)
_NAME = flags.DEFINE_string(
    "name", pretrained.DEFAULT, "Of the model in the package."
)
_WEIGHTS = flags.DEFINE_enum(
    "weights", "best", ["best", "average", "live"], "Which of its weights."
)
_PRECISION = flags.DEFINE_string(
    "precision", "dynamic_int8", "Of the .tflite file; see export_tflite."
)
_DATA = flags.DEFINE_string(
    "data", "", "What the photos were, for the manifest."
)


def main(_):
    quiet.import_tensorflow()
    run_dirs, name = [Path(folder) for folder in _RUN_DIR.value], _NAME.value
    run_dir = run_dirs[-1]
    settings = json.loads((run_dir / "settings.json").read_text())
    if settings["model"] == "paper":
        kind, arguments = "UNetGenerator", {"filters": settings["filters"]}
    else:
        kind = "BlindRestorer"
        arguments = {key: settings[key] for key in ("clip", "lift", "dropout")}
        arguments["known_stops"] = settings["stops"]
    model = pretrained.build(kind, arguments)
    _load_mean(model, run_dirs)
    if _GLOBAL.value:
        _take_global_branch(model, [Path(folder) for folder in _GLOBAL.value])
    weights = pack_weights(model)
    about = {
        "class": kind,
        "arguments": constructor_arguments(model),
        "parameters": model.count_params(),
        "sha256": hashlib.sha256(weights).hexdigest(),
        "date": datetime.date.today().isoformat(),
        "weights": _WEIGHTS.value,
        "runs": len(run_dirs),
        **_best_record(run_dir / "log.jsonl"),
        "settings": _without_folders(settings),
        "data": _DATA.value,
    }
    if kind == "BlindRestorer":
        about["flops_per_pixel"] = round(model.flops_per_pixel)
    folder = pretrained.FOLDER
    write_atomically(folder / f"{name}.npz", weights)
    text = to_json(dict(sorted(about.items())))
    write_atomically(folder / f"{name}.json", text)
    print(f"{folder / name}.npz: {len(weights) / 2**20:.2f} MiB")
    if name == pretrained.DEFAULT:
        # The file for phones holds what the float16 weights give.
        read_weights(model, folder / f"{name}.npz")
        _write_tflite(model, about)


def _load_mean(model, run_dirs):
    total = 0.0
    for run_dir in run_dirs:
        model.load_weights(run_dir / f"{_WEIGHTS.value}.weights.h5")
        values = [value.numpy() for value in model.weights]
        total = (
            values
            if not total
            else [a + b for a, b in zip(total, values, strict=True)]
        )
    for variable, value in zip(model.weights, total, strict=True):
        variable.assign(value / len(run_dirs))


def _take_global_branch(model, run_dirs):
    other = pretrained.build("BlindRestorer", constructor_arguments(model))
    _load_mean(other, run_dirs)
    for mine, theirs in zip(
        model.global_branch.weights, other.global_branch.weights, strict=True
    ):
        mine.assign(theirs)


def _write_tflite(model, about):
    from tfexposure.runtime.keras_model import KerasModel
    from tfexposure.runtime.manifest import make_manifest
    from tfexposure.serving import tflite

    exported = KerasModel(model)
    contents = tflite.convert_to_tflite(exported, _PRECISION.value)
    path = tflite.write_tflite(
        pretrained.default_model_path(),
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
    return {
        key: Path(value).name if isinstance(value, str) else value
        for key, value in settings.items()
    }


def _best_record(log):
    """Returns the step and the validation that the best weights had."""
    with open(log, encoding="utf-8") as file:
        records = [json.loads(line) for line in file]
    scored = [record for record in records if "score" in record]
    best = max(scored, key=lambda record: record["score"])
    if _WEIGHTS.value != "best":
        best = scored[-1]
    figures = {k: round(v, 4) for k, v in best.items() if "/" in k}
    return {"step": best["step"], "validation": figures}


def run():
    app.run(main)


if __name__ == "__main__":
    run()
