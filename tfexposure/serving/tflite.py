"""TFLite files for phones, browsers and small machines."""

import zipfile
from pathlib import Path

import numpy as np
import tensorflow as tf

from tfexposure.config import write_atomically
from tfexposure.errors import UserError, import_extra
from tfexposure.serving import manifest as manifests
from tfexposure.serving.network import Network

# Operations that mean that weights were lost, or that plain LiteRT lacks.
_FORBIDDEN = ("Flex", "READ_VARIABLE", "VAR_HANDLE", "CUSTOM")
# Largest difference of a float32 file's answer from TensorFlow's.
TOLERANCE = 1e-4


def convert_to_tflite(network: Network, size: int | None = None) -> bytes:
    """Converts a network to a float32 TFLite file's contents.

    The only signature, `serving_default`, takes `image` (N, H, W, 3) in
    [0, 1], and `thumbnail` if the network looks at the whole photo, and
    answers `restored`. Only built-in operations are used.

    Args:
        network: `Network`.
        size: side of the only picture size, N being 1; None for any.

    Returns:
        bytes, checked: run once and compared with TensorFlow.

    Raises:
        UserError: if the conversion does not give the network's answers.
        ValueError: if the network's stride does not divide `size`.
    """
    module = _Module(network, size)
    converter = tf.lite.TFLiteConverter.from_concrete_functions(
        [module.serving_default.get_concrete_function()], module
    )
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS]
    try:
        contents = converter.convert()
    except Exception as error:  # Of many kinds, all from the converter.
        reason = str(error).strip().splitlines()[0]
        raise UserError(f"conversion to TFLite failed: {reason}") from error
    verify(contents, network, size)
    return contents


def write_tflite(path, contents: bytes, manifest: dict) -> Path:
    """Writes a TFLite file with its manifest appended as a zip.

    `unzip -p FILE manifest.json` reads it; interpreters do not see it.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    temporary = path.with_name(f".{path.name}.tmp")
    try:
        temporary.write_bytes(contents)
        with zipfile.ZipFile(temporary, "a", zipfile.ZIP_STORED) as members:
            # Without the time of day: the same run gives the same file.
            entry = zipfile.ZipInfo(manifests.FILE_NAME)
            members.writestr(entry, manifests.to_json(manifest))
        write_atomically(path, temporary.read_bytes())
    except OSError as error:
        raise UserError(f"could not write {path}: {error}") from error
    finally:
        temporary.unlink(missing_ok=True)
    return path


def operations(contents: bytes) -> set:
    """Returns the names of the operations in a TFLite file."""
    interpreter = _interpreter(contents)
    # pylint: disable-next=protected-access
    return {op["op_name"] for op in interpreter._get_ops_details()}


def verify(contents: bytes, network: Network, size: int | None) -> None:
    """Runs a float32 file and compares it with the network.

    A conversion can lose all weights without an error: the file is small, it
    loads, and it answers NaN.

    Raises:
        UserError: if it differs by more than `TOLERANCE`.
    """
    found = operations(contents)
    bad = sorted(op for op in found if op.startswith(_FORBIDDEN))
    if bad:
        raise UserError(
            f"the TFLite file needs operations that plain LiteRT lacks: {bad}"
        )
    run = runner(contents)
    generator = np.random.default_rng(0)
    # A float32 file holds at least its weights.
    weights = sum(4 * int(np.prod(v.shape)) for v in network.variables)
    if len(contents) < 0.9 * weights:
        raise UserError(
            f"the TFLite file has {len(contents)} bytes, its weights "
            f"{weights}: the conversion lost some"
        )
    sizes = [(size, size)] if size else [(1, 1), (33, 50)]
    for height, width in sizes:
        image = generator.uniform(0, 1, (1, height, width, 3))
        inputs = {"image": image.astype("float32")}
        if network.thumbnail:
            side = network.thumbnail
            small = generator.uniform(0, 1, (1, side, side, 3))
            inputs["thumbnail"] = small.astype("float32")
        answer = run(**inputs)["restored"]
        expected = network.restore_tile(*inputs.values()).numpy()
        difference = np.abs(answer - expected).max()
        if not difference <= TOLERANCE:  # NaN is not either.
            raise UserError(
                f"the TFLite file's answer to a picture of {height} x {width} "
                f"differs from TensorFlow's by {difference}"
            )


def runner(contents: bytes, threads: int = 1):
    """Returns the callable signature `serving_default` of a file."""
    return _interpreter(contents, threads).get_signature_runner(
        "serving_default"
    )


def _interpreter(contents, threads=1):
    litert = import_extra("ai_edge_litert.interpreter", "lite")
    return litert.Interpreter(model_content=contents, num_threads=threads)


class _Module(tf.Module):
    """The signature; tracks plain variables and no Keras object."""

    def __init__(self, network, size):
        super().__init__()
        self.parameters = network.variables
        if size is not None and size % network.stride:
            raise ValueError(
                f"`size` should be a multiple of {network.stride}. "
                f"Received: {size}"
            )

        def restore(image, thumbnail=None):
            return {"restored": network.restore_tile(image, thumbnail)}

        count = None if size is None else 1
        specs = [tf.TensorSpec((count, size, size, 3), tf.float32, "image")]
        if network.thumbnail:
            side = network.thumbnail
            specs.append(
                tf.TensorSpec((count, side, side, 3), tf.float32, "thumbnail")
            )
        self.serving_default = tf.function(restore, specs)
