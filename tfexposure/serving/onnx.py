"""ONNX files for editors, galleries and ONNX Runtime."""

import contextlib
import os
import tempfile
from pathlib import Path

import numpy as np

from tfexposure.errors import UserError, import_extra
from tfexposure.metrics import decibels
from tfexposure.runtime.keras_model import KerasModel
from tfexposure.runtime.manifest import FILE_NAME, make_manifest
from tfexposure.runtime.onnx_model import FILES, OnnxModel
from tfexposure.runtime.signatures import DEFAULT, FIELD, LOOK, first_line
from tfexposure.serving import scoring
from tfexposure.serving.network_functions import network_functions
from tfexposure.serving.onnx_graph import average_in_steps, name_axes
from tfexposure.storage import to_json, write_atomically

# Of the operations; ONNX Runtime has them since its version 1.12.
OPSET = 17
# Least PSNR against Keras, in dB: float32 files lose nothing.
QUALITY_FLOOR = 100.0


def convert_to_onnx(model: KerasModel) -> dict:
    """Converts a model to ONNX, float32, for photos of any size.

    The files are the signatures of `network_functions`: `look.onnx` and
    `field.onnx` if the network has affine coefficients, else `restore.onnx`.

    Args:
        model: `KerasModel`.

    Returns:
        dict of bytes by file name.

    Raises:
        UserError: if tf2onnx is not installed, or fails.
    """
    functions = network_functions(model)
    names = (LOOK, FIELD) if model.grid_spec else (DEFAULT,)
    return {FILES[name]: _converted(functions[name]) for name in names}


def export_onnx(loaded, folder, examples) -> dict:
    """Converts, compares with Keras, scores and writes one model.

    Args:
        loaded: `LoadedRun`.
        folder: where the files and `manifest.json` go.
        examples: `report.Examples` to score with.

    Returns:
        Row of `report.table`.

    Raises:
        UserError: if the files do not answer as the network does, or cannot
            be written.
    """
    model = KerasModel(loaded.generator)
    files = convert_to_onnx(model)
    manifest = make_manifest(
        model, loaded, format="ONNX", precision="float32", opset=OPSET
    )
    with tempfile.TemporaryDirectory() as temporary:
        write_onnx(temporary, files, manifest)
        compare(OnnxModel(temporary), model)
        score = scoring.score_model(
            lambda threads: OnnxModel(temporary, threads),
            sum(map(len, files.values())),
            model,
            examples.scored(model),
        )
    _check_quality(score["psnr_db"], "photos")
    score["real_photos"] = examples.real
    write_onnx(folder, files, manifest | {"score": score})
    return {
        "file": " + ".join(files),
        "precision": "float32",
        "size": "any",
        "gpu": "not tried",
        **score,
    }


def compare(exported: OnnxModel, model: KerasModel) -> float:
    """Runs an export on noise of several sizes beside its `KerasModel`.

    Returns:
        Least PSNR of an answer against Keras, in dB.

    Raises:
        UserError: if it is below `QUALITY_FLOOR`.
    """
    random = np.random.default_rng(0)
    found = []
    # From one pixel on: sides that the network's stride divides, and others.
    for size in [(1, 1), (9, 70), (133, 50), (64, 96)]:
        image = random.uniform(0, 1, (*size, 3)).astype("float32")
        if not model.grid_spec:
            found.append(_likeness(exported.restore, model.restore, image))
            continue
        thumbnail = random.uniform(0, 1, model.thumbnail_shape)
        thumbnail = thumbnail.astype("float32")
        # The slopes themselves differ by more, even between Keras run eagerly
        # and compiled: what counts is what they make of a picture.
        found.append(
            _likeness(
                exported.answer_by_grid, model.answer_by_grid, image, thumbnail
            )
        )
        slopes, embedding, _ = model.encode_photo(thumbnail)
        found.append(
            _likeness(
                exported.affine_coefficients,
                model.affine_coefficients,
                *(image, slopes, embedding),
            )
        )
    least = min(found)
    _check_quality(least, "noise")
    return least


def write_onnx(folder, files: dict, manifest: dict) -> None:
    """Writes the files of `convert_to_onnx`, and `manifest.json`.

    Without its manifest, which comes last, an export does not open.

    Raises:
        UserError: if they cannot be written.
    """
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
        (folder / FILE_NAME).unlink(missing_ok=True)
        for name in set(FILES.values()) - set(files):
            (folder / name).unlink(missing_ok=True)  # Of another model.
        for name, contents in files.items():
            write_atomically(folder / name, contents)
        write_atomically(folder / FILE_NAME, to_json(manifest))
    except OSError as error:
        raise UserError(f"could not write {folder}: {error}") from error


def _converted(function):
    """The contents of a file that does what a `tf.function` does."""
    tf2onnx = import_extra("tf2onnx", "onnx")
    try:
        with _same_environment("TF_CPP_MIN_LOG_LEVEL"):
            converted, _ = tf2onnx.convert.from_function(
                function, function.input_signature, opset=OPSET
            )
        average_in_steps(converted)
    except Exception as error:  # Of many kinds, all from the converter.
        raise UserError(
            f"conversion to ONNX failed: {first_line(error)}"
        ) from error
    name_axes(converted.graph)
    return converted.SerializeToString()


def _likeness(exported, expected, *inputs):
    """Least PSNR of what two functions answer, in dB; NaN counts as 0."""
    pairs = zip(
        _tuple(exported(*inputs)), _tuple(expected(*inputs)), strict=True
    )
    errors = [
        float(np.mean(np.square(np.subtract(*pair, dtype="float64"))))
        for pair in pairs
    ]
    if not np.all(np.isfinite(errors)):
        return 0.0
    return float(decibels(max(errors), cap=scoring.FLOAT_CAP))


def _tuple(values):
    return values if isinstance(values, tuple) else (values,)


def _check_quality(psnr_db, inputs):
    if psnr_db < QUALITY_FLOOR:
        raise UserError(
            f"the ONNX files' answers to {inputs} reach {psnr_db:.1f} dB "
            f"against Keras, below the {QUALITY_FLOOR:.0f} dB of float32"
        )


@contextlib.contextmanager
def _same_environment(name):
    """Takes back what is done to a variable: later processes inherit it."""
    before = os.environ.get(name)
    try:
        yield
    finally:
        os.environ.pop(name, None)
        if before is not None:
            os.environ[name] = before
