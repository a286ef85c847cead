"""What an exported file says about itself: written and read here."""

import dataclasses
import json
import zipfile
from pathlib import Path

import tfexposure
from tfexposure.errors import UserError
from tfexposure.runtime.coefficient_grid import GridSpec
from tfexposure.runtime.model import STRIDE
from tfexposure.storage import commit, to_json

FILE_NAME = "manifest.json"
# Of manifests from before they told the halo: the default U-Net's.
_EARLY_HALO = 96


def make_manifest(model, run=None, **more) -> dict:
    """Describes an export: how it was made and how it is to be used.

    Args:
        model: `KerasModel` that is exported.
        run: `LoadedRun` it comes from, if any.
        **more: further entries, such as the signatures.

    Returns:
        dict of plain values: `model`, the name of one that comes with
        tfexposure; `config`, `step` and `weights` of the run (None
        without one), `versions`, `commit` (None if unknown), `halo` and
        `stride` in pixels, `exact_tiles` (False if tiles only nearly join;
        `halo` is then 0), `thumbnail` (side in pixels, or None), `guide` and
        `clip_share` where a client can apply the coefficients itself.
    """
    import keras
    import tensorflow as tf

    return {
        "made_by": "tfexposure",
        "model": run.name if run else None,
        "config": run.config if run else None,
        "step": run.step if run else None,
        "weights": run.weights if run else None,
        "versions": {
            "tfexposure": tfexposure.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        },
        "commit": commit(),
        "halo": model.halo,
        "stride": model.stride,
        "exact_tiles": model.exact_tiles,
        "thumbnail": model.thumbnail,
        "values": "float32, RGB, sRGB-encoded, in [0, 1]",
        **_client_notes(model),
        **more,
    }


def _client_notes(model):
    """For clients that make thumbnails, and apply coefficients, themselves."""
    if not model.grid_spec:
        return {}
    return {
        "clip_share": model.clip_share,
        "guide": dataclasses.asdict(model.grid_spec),
    }


def append_manifest(path, manifest):
    """Appends the manifest to a file as a zip that interpreters do not see.

    `unzip -p FILE manifest.json` reads it.
    """
    with zipfile.ZipFile(path, "a", zipfile.ZIP_STORED) as members:
        # Without the time of day: the same run gives the same file.
        members.writestr(zipfile.ZipInfo(FILE_NAME), to_json(manifest))


def add_manifest(folder, text):
    """Writes the manifest's text where a SavedModel keeps extra files."""
    extra = Path(folder, "assets.extra")
    extra.mkdir(exist_ok=True)
    (extra / FILE_NAME).write_text(text, encoding="utf-8")


def read_manifest(path):
    """Reads the manifest of a `.tflite` file or of an export's folder.

    Returns:
        dict, or None if it carries none.

    Raises:
        UserError: if it is no JSON object.
    """
    text = _manifest_of(Path(path))
    if text is None:
        return None
    try:
        manifest = json.loads(text)
    except ValueError:
        manifest = None
    if not isinstance(manifest, dict):
        raise UserError(f"{path}: its manifest is no JSON object")
    return manifest


def _manifest_of(path):
    if path.is_dir():
        # In a SavedModel, and in a folder of ONNX files.
        for file in (path / "assets.extra" / FILE_NAME, path / FILE_NAME):
            if file.exists():
                return file.read_text(encoding="utf-8")
        return None
    if not zipfile.is_zipfile(path):
        return None
    with zipfile.ZipFile(path) as members:
        if FILE_NAME not in members.namelist():
            return None
        return members.read(FILE_NAME)


def take_manifest(model, manifest, origin):
    """Sets a model's attributes to what its manifest says, if there is one.

    Args:
        model: `Model`.
        manifest: dict or None.
        origin: what errors call the model.

    Raises:
        UserError: if an entry is malformed.
    """
    if manifest is None:
        return
    for name, default in (("halo", _EARLY_HALO), ("stride", STRIDE)):
        value = manifest.get(name, default)
        if not isinstance(value, int) or value < (name == "stride"):
            raise UserError(
                f"{origin}: its manifest has {name} {value!r}; expected a "
                "whole number of pixels"
            )
        setattr(model, name, value)
    model.thumbnail = manifest.get("thumbnail")
    model.exact_tiles = manifest.get("exact_tiles", True)


def grid_spec_of(manifest, origin):
    """Returns how the coefficients are applied: a `GridSpec`, or None.

    Raises:
        UserError: if an earlier version of tfexposure wrote it.
    """
    notes = (manifest or {}).get("guide")
    if notes is None:
        return None
    if "lift" not in notes:
        raise UserError(
            f"{origin}: its manifest has a guide without `lift`: an earlier "
            "version of tfexposure exported it; export it again"
        )
    return GridSpec(tuple(notes["knots"]), tuple(notes["clip"]), notes["lift"])
