"""TFLite files for phones, browsers and small machines."""

import tempfile
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import tensorflow as tf

from tfexposure.errors import UserError
from tfexposure.runtime.keras_model import KerasModel
from tfexposure.runtime.manifest import append_manifest
from tfexposure.runtime.signatures import DEFAULT, FIELD, LOOK
from tfexposure.serving import lite_checks
from tfexposure.serving.network_functions import network_functions
from tfexposure.storage import write_atomically

# Precision -> least PSNR against Keras, in dB, that a file is good for. 40 dB
# is where 8-bit pictures stop looking alike; a float32 file loses nothing.
QUALITY_FLOORS = {
    "float32": 100.0,
    "float16": 60.0,
    "dynamic_int8": 50.0,
    "int8": 40.0,
    "int16x8": 45.0,
}
PRECISIONS = tuple(QUALITY_FLOORS)
# These take the range of every tensor from example pictures.
CALIBRATED = ("int8", "int16x8")


def convert_to_tflite(
    model: KerasModel,
    precision: str = "float32",
    size: int | None = None,
    examples: Iterable[dict] | None = None,
) -> bytes:
    """Converts a model to a TFLite file's contents.

    Its signatures are those of `network_functions`, on the same weights, in a
    file of floating point and any size; in others there is `serving_default`
    alone. Only built-in operations are used.

    Args:
        model: `KerasModel`; for `int16x8` one of `shuffle=False`.
        precision: `"float32"`; `"float16"`: weights of 16 bits;
            `"dynamic_int8"`: weights of 8 bits, activations quantised as they
            come; `"int8"`: all of 8 bits, and uint8 pixels in and out;
            `"int16x8"`: weights of 8, activations of 16 bits, on slow
            reference kernels.
        size: side of the only picture size, N being 1; None for any.
        examples: inputs by name, float32, N being 1, from which `int8` and
            `int16x8` learn the range of every tensor.

    Returns:
        bytes, checked for lost weights and foreign operations; a float32 file
        is also run and compared with TensorFlow.

    Raises:
        UserError: if the conversion does not give the network's answers.
        ValueError: for an unknown precision, a size the stride does not
            divide, or missing examples.
    """
    if precision not in PRECISIONS:
        raise ValueError(
            f"`precision` must be one of {list(PRECISIONS)}. "
            f"Received: {precision!r}"
        )
    module = _Module(model, size)
    options: dict[str, Any] = {}
    if precision != "float32":
        options["optimizations"] = [tf.lite.Optimize.DEFAULT]
    if precision in CALIBRATED:
        examples = list(examples or ())
        if not examples:
            raise ValueError(f"`examples` are needed for {precision!r}")
        options["representative_dataset"] = lambda: iter(examples)
    if precision == "int8":
        options["inference_input_type"] = tf.uint8
        options["inference_output_type"] = tf.uint8
    has_grid = model.grid_spec and size is None and precision not in CALIBRATED
    with tempfile.TemporaryDirectory() as folder:
        converter = _converter(module, has_grid, folder)
        for name, value in options.items():
            setattr(converter, name, value)
        converter.target_spec.supported_ops = [_operations(precision)]
        if precision == "float16":
            converter.target_spec.supported_types = [tf.float16]
        try:
            contents = converter.convert()
        except Exception as error:  # Of many kinds, all from the converter.
            reason = str(error).strip().splitlines()[0]
            raise UserError(
                f"conversion to TFLite ({precision}) failed: {reason}"
            ) from error
    lite_checks.check_contents(contents, model, precision)
    if precision == "float32":
        lite_checks.compare(contents, model, size)
    return contents


def write_tflite(path, contents: bytes, manifest: dict) -> Path:
    """Writes a TFLite file with its manifest appended as a zip.

    `unzip -p FILE manifest.json` reads it; interpreters do not see it.

    Raises:
        UserError: if it cannot be written.
    """
    path = Path(path)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary.write_bytes(contents)
        append_manifest(temporary, manifest)
        write_atomically(path, temporary.read_bytes())
    except OSError as error:
        raise UserError(f"could not write {path}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def _converter(module, has_grid, folder):
    if not has_grid:
        return tf.lite.TFLiteConverter.from_concrete_functions(
            [module.serving_default.get_concrete_function()], module
        )
    # Several signatures share their weights only by way of a SavedModel.
    # In the order of names: who knows no signatures takes the first.
    names = (DEFAULT, FIELD, LOOK)
    signatures = {name: getattr(module, name) for name in names}
    tf.saved_model.save(module, folder, signatures=signatures)
    return tf.lite.TFLiteConverter.from_saved_model(
        folder, signature_keys=names
    )


def _operations(precision):
    sets = tf.lite.OpsSet
    if precision == "int8":
        return sets.TFLITE_BUILTINS_INT8
    if precision == "int16x8":
        return sets.EXPERIMENTAL_TFLITE_BUILTINS_ACTIVATIONS_INT16_WEIGHTS_INT8
    return sets.TFLITE_BUILTINS


class _Module(tf.Module):
    """The signatures; tracks plain variables and no Keras object."""

    def __init__(self, model, size):
        super().__init__()
        self.parameters = model.graph.variables
        if size is not None and (size < 1 or size % model.stride):
            raise ValueError(
                f"`size` should be a multiple of {model.stride}. "
                f"Received: {size}"
            )
        for name, function in network_functions(model, size).items():
            setattr(self, name, function)
