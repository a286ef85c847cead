"""One way to open a model, whatever it comes in."""

import pathlib

from tfexposure import pretrained
from tfexposure.errors import UserError
from tfexposure.quiet import import_tensorflow
from tfexposure.runtime import server
from tfexposure.runtime.lite import LiteModel
from tfexposure.runtime.model import Model
from tfexposure.runtime.onnx_model import OnnxModel, is_onnx_folder
from tfexposure.runtime.saved_model import SavedModel

MODEL_KINDS = (
    "a SavedModel folder, a .tflite file, a folder of ONNX files, the folder "
    "of a training run, the name of a model that comes with tfexposure or a "
    "server, as grpc://HOST:PORT/NAME or http://HOST:PORT/NAME"
)


def open_model(model=None):
    """Opens a model for restoring photos.

    Args:
        model: SavedModel folder, `.tflite` file, folder of ONNX files, run
            folder, one of `pretrained.names()`, or a server's address, such
            as `"grpc://localhost:8500/tfexposure"`; a `Model` is returned as
            it is; `None` means the file that tfexposure ships.

    Returns:
        a `Model`.

    Raises:
        UserError: if `model` is none of these or does not load.
    """
    if isinstance(model, Model):
        return model
    if model is None:
        return LiteModel(pretrained.default_model_path())
    if server.is_address(model):
        return server.open_address(model)
    path = pathlib.Path(model)
    if path.is_file() and path.suffix == ".tflite":
        return LiteModel(path)
    folder = _saved_model_folder(path)
    if folder is not None:
        return SavedModel(folder)
    if is_onnx_folder(path):
        return OnnxModel(path)
    is_run = (path / "config.json").is_file()
    if is_run or (not path.exists() and str(model) in pretrained.names()):
        return _open_keras(model, is_run)
    found = "holds none of these" if path.exists() else "does not exist"
    raise UserError(f"--model={model}: expected {MODEL_KINDS}; it {found}")


def _open_keras(model, is_run):
    # Keras and TensorFlow, which no other kind of model needs.
    import_tensorflow()
    from tfexposure.runtime import runs
    from tfexposure.runtime.keras_model import KerasModel

    if is_run:
        return KerasModel(runs.load_generator(model))
    return KerasModel(pretrained.load_pretrained(str(model)))


def _saved_model_folder(path):
    """The folder itself, or its highest version as a server would take it."""
    if (path / "saved_model.pb").is_file():
        return path
    if not path.is_dir():
        return None
    versions = [
        child
        for child in path.iterdir()
        if child.name.isdigit() and (child / "saved_model.pb").is_file()
    ]
    return max(versions, key=lambda child: int(child.name), default=None)


def open_whole_image(model):
    """Opens a model as a function of whole images, the network alone.

    Args:
        model: see `open_model`.

    Returns:
        A function from float32 (H, W, 3) in [0, 1] to the same, restored.

    Raises:
        UserError: if there is no such model, or if it takes one size alone.
    """
    opened = open_model(model)
    if opened.fixed_size:
        raise UserError(
            f"{model} takes photos of {opened.fixed_size} pixels only; "
            "a model for any size is needed here."
        )
    return opened.restore_photo
