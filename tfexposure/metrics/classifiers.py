"""Classifiers for the Inception Score, opened by name, path or hub handle.

Only Inception-v3 with its ImageNet weights gives an "Inception Score"; any
other classifier gives a "classifier score", and scores of different weights
do not compare. TensorFlow is imported only for SavedModels.
"""

import json
from pathlib import Path

import keras
import numpy as np
from keras import ops

from tfexposure.errors import UserError, import_extra

INCEPTION_SCORE = "Inception Score"
CLASSIFIER_SCORE = "classifier score"

_HUB_PREFIXES = ("http://", "https://", "gs://", "file://")
_INCEPTION_SIZE = 299

HELP = (
    "imagenet (Inception-v3, downloaded by Keras); a path: Inception-v3 "
    "weights (.h5), a Keras classifier (.keras), arrays (.npz, with the "
    "model's .json beside it) or a SavedModel folder; or a tensorflow-hub "
    "handle (https://...)."
)


class Classifier:
    """Gives class probabilities of photos.

    Args:
        predict: takes float32 (N, size, size, 3) in [0, 1], returns (N, K),
            logits or probabilities.
        size: side of its input, in pixels.
        weights: what it is and whose weights it has, for tables.
        label: `INCEPTION_SCORE` or `CLASSIFIER_SCORE`.
    """

    def __init__(self, predict, size, weights, label=CLASSIFIER_SCORE):
        self._predict = predict
        self.size = size
        self.weights = weights
        self.label = label

    def prepare(self, image):
        """Cuts the largest centred square and resizes it to the input.

        Args:
            image: float (H, W, 3) in [0, 1].

        Returns:
            NumPy float32 (size, size, 3).
        """
        height, width = image.shape[:2]
        side = min(height, width)
        top, left = (height - side) // 2, (width - side) // 2
        square = image[top : top + side, left : left + side]
        resized = ops.image.resize(
            square,
            (self.size, self.size),
            interpolation="bilinear",
            antialias=True,
            data_format="channels_last",
        )
        return np.asarray(ops.convert_to_numpy(resized), np.float32)

    def probabilities(self, images):
        """Classifies prepared photos.

        Args:
            images: float32 (N, size, size, 3) in [0, 1].

        Returns:
            NumPy float32 (N, K), rows summing to 1.
        """
        answer = ops.convert_to_numpy(self._predict(images))
        answer = np.asarray(answer, np.float64)
        sums = answer.sum(axis=-1)
        if (answer < 0).any() or not np.allclose(sums, 1, atol=1e-3):
            answer = np.exp(answer - answer.max(axis=-1, keepdims=True))
        answer /= answer.sum(axis=-1, keepdims=True)
        return answer.astype(np.float32)


def open_classifier(handle):
    """Opens a classifier.

    Args:
        handle: see `HELP`.

    Returns:
        A `Classifier`.

    Raises:
        UserError: if there is no such classifier, or it cannot be loaded.
    """
    if handle == "imagenet":
        return _open_inception("imagenet", "Keras ImageNet weights")
    if handle.startswith(_HUB_PREFIXES):
        return _open_hub(handle)
    path = Path(handle)
    if path.suffix == ".npz" and path.is_file():
        return _open_arrays(path)
    if path.suffix == ".h5" and path.is_file():
        return _open_inception(str(path), path.name)
    if path.suffix == ".keras" and path.is_file():
        model = keras.saving.load_model(path, compile=False)
        return _of_model(model, _in_unit_range, path.name)
    if (path / "saved_model.pb").is_file():
        return _open_hub(str(path))
    raise UserError(
        f"--inception={handle} is no classifier that exists. Expected: {HELP}"
    )


def _open_inception(weights, name):
    try:
        model = keras.applications.InceptionV3(weights=weights)
    except Exception as error:  # Downloads and HDF5 raise many kinds.
        raise UserError(
            f"The Inception-v3 weights ({weights}) cannot be loaded: {error}. "
            "Keras downloads them on first use; without a network, give "
            "--inception a path, such as that of its "
            "inception_v3_weights_tf_dim_ordering_tf_kernels.h5."
        ) from error
    return _of_model(
        model,
        lambda images: images * 2 - 1,
        f"Inception-v3, {name}",
        INCEPTION_SCORE,
    )


def _open_arrays(path):
    """Opens `<name>.npz`, or `<name>_f16.npz`, beside `<name>.json`."""
    description = path.with_name(path.stem.removesuffix("_f16") + ".json")
    if not description.is_file():
        raise UserError(
            f"{path} needs the model's {description.name} beside it."
        )
    model = keras.models.model_from_json(description.read_text())
    with np.load(path) as arrays:
        model.set_weights(
            [arrays[key].astype(np.float32) for key in sorted(arrays.files)]
        )
    size = json.loads(description.read_text()).get("input_size", 260)
    # This family of files scales inside, from 0-255.
    return _of_model(
        model, lambda images: images * 255, description.stem, size=size
    )


def _open_hub(handle):
    hub = import_extra("tensorflow_hub", "hub")
    try:
        loaded = hub.load(handle)
    except Exception as error:  # Network, archive and graph errors.
        raise UserError(
            f"--inception={handle} cannot be loaded by tensorflow-hub: {error}"
        ) from error
    signatures = getattr(loaded, "signatures", {})
    for name in ("serving_default", "default", "image_classification"):
        if name in signatures:
            predict = _signature(signatures[name])
            break
    else:
        if not callable(loaded):
            raise UserError(
                f"--inception={handle} offers no call to classify with. "
                f"Its signatures: {sorted(signatures)}"
            )
        predict = loaded
    return Classifier(predict, _INCEPTION_SIZE, handle)


def _signature(function):
    (name,) = function.structured_input_signature[1]

    def predict(images):
        outputs = function(**{name: images})
        for key in ("probabilities", "logits", "default"):
            if key in outputs:
                return outputs[key]
        return next(iter(outputs.values()))

    return predict


def _in_unit_range(images):
    return images


def _of_model(model, scale, weights, label=CLASSIFIER_SCORE, size=None):
    """Wraps a Keras model; a fixed input size of its own has precedence."""
    size = model.input_shape[1] or size or _INCEPTION_SIZE
    return Classifier(
        lambda images: model(scale(images), training=False),
        size,
        weights,
        label,
    )
