"""The weights that come with the package.

Per model: `<name>.npz`, its weights as float16; `<name>.json`, where they come
from and what they reach; and for the one that `tfexposure correct` uses, the
same network as `<name>.tflite`, its weights of 8 bits, which needs neither
Keras nor TensorFlow.
"""

import hashlib
import json
from pathlib import Path

from tfexposure.errors import UserError

FOLDER = Path(__file__).parent
DEFAULT = "natural"


def names():
    """Lists the models that come with the package."""
    return sorted(path.stem for path in FOLDER.glob("*.json"))


def default_model_path():
    """Returns the `.tflite` file of the model used when none is named."""
    return FOLDER / f"{DEFAULT}.tflite"


def manifest(name=DEFAULT):
    """Returns what is known of a model: its making, data and metrics.

    Raises:
        UserError: if no model of that name comes with the package.
    """
    if name not in names():
        raise UserError(
            f"no pretrained model {name!r}; there is: {', '.join(names())}"
        )
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def load_pretrained(name=DEFAULT):
    """Rebuilds a model with its shipped weights.

    Args:
        name: one of `names()`.

    Returns:
        Built keras.Model, for float (N, H, W, 3) in [0, 1].

    Raises:
        UserError: if there is no such model, or its file is damaged.
    """
    about = manifest(name)
    path = FOLDER / f"{name}.npz"
    data = path.read_bytes()
    digest = hashlib.sha256(data).hexdigest()
    if digest != about["sha256"]:
        raise UserError(
            f"{path}: damaged, its SHA-256 is {digest}, expected "
            f"{about['sha256']}; install tfexposure again"
        )
    from tfexposure.weights import read_weights

    model = build(about["class"], about["arguments"])
    read_weights(model, path)
    return model


def build(kind, arguments):
    """Builds a network, its weights untrained.

    Args:
        kind: name of its class, `"BlindRestorer"` or `"UNetGenerator"`.
        arguments: dict, of its constructor.

    Raises:
        UserError: if there is no such class.
    """
    if kind == "BlindRestorer":
        from tfexposure.blind import BlindRestorer

        model = BlindRestorer(**arguments)
        model.build()
        return model
    if kind == "UNetGenerator":
        import keras

        from tfexposure.paper.generator import UNetGenerator

        model = UNetGenerator(**arguments)
        model(keras.KerasTensor((1, 64, 64, 3)))
        return model
    raise UserError(f"{kind!r} is no model that this version can rebuild")
