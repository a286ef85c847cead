"""Weights of models that used tensorflow-addons' SpectralNormalization.

tensorflow-addons ended with TensorFlow 2.15 and cannot be imported beside a
current one; its files can be read without it. Its layer divided the kernel
*variable* by sigma at every training step and used it as it stood at
inference, so a stored kernel is already normalised: it is given a sigma of 1.
"""

import dataclasses
import os
import re
from pathlib import Path

import h5py
import keras
import numpy as np

from tfexposure.errors import UserError
from tfexposure.layers import SpectralNormalization

_KEYS = {
    "kernel": "kernel",
    "w": "kernel",
    "layer/kernel": "kernel",
    "bias": "bias",
    "layer/bias": "bias",
    "sn_u": "u",
    "gamma": "gamma",
    "beta": "beta",
    "moving_mean": "moving_mean",
    "moving_variance": "moving_variance",
}
_WEIGHTED = re.compile(
    r"^(.*?)/?layer_with_weights-(\d+)/(.+)/\.ATTRIBUTES/VARIABLE_VALUE$"
)
_VALUES = {
    "batch_normalization": ("gamma", "beta", "moving_mean", "moving_variance"),
}


@dataclasses.dataclass
class _Unit:
    """A layer that holds weights, and its kind in Keras's words."""

    kind: str
    layer: keras.layers.Layer

    @property
    def name(self):
        return self.layer.name


def load_legacy(path, model, root=None) -> None:
    """Loads the weights of a tensorflow-addons model into a Keras 3 model.

    Layers are matched in the order of the data; `SpectralNormalization`
    wrappers of tensorflow-addons become those of `tfexposure.layers`. Noise,
    which older models did not have, keeps its weights.

    Args:
        path: a whole model or weights saved by Keras 2 (`.h5`), weights in
            the newer format (`.weights.h5`), or the prefix of a TensorFlow
            checkpoint of a functional or sequential model.
        model: the built model to load into: `UNetGenerator`,
            `PatchDiscriminator`, or a sequential or functional model of plain
            layers and `SpectralNormalization`.
        root: name of the model inside a checkpoint that holds several, such
            as `"generator"`.

    Raises:
        UserError: if the file cannot be read or its layers are not those of
            the model; nothing has been loaded then.
    """
    path = Path(path)
    units = _units(model)
    if path.suffix == ".h5":
        records = _read_h5(path, units)
    elif path.with_name(path.name + ".index").exists():
        records = _read_checkpoint(path, root)
    else:
        raise UserError(
            f"{path}: expected a .h5 file or the prefix of a TensorFlow "
            "checkpoint (beside PREFIX.index)"
        )
    if len(records) != len(units):
        raise UserError(
            f"{path}: holds {len(records)} layers with weights, the model "
            f"{len(units)}"
        )
    assignments = []
    for unit, record in zip(units, records, strict=True):
        assignments += _assignments(path, unit, record)
    for variable, value in assignments:
        variable.assign(value)


def _units(model):
    if hasattr(model, "blocks"):
        layers = []
        for block in model.blocks():
            layers += [block.convolution, block.normalization]
    else:
        layers = model.layers
    return [
        _Unit(_kind(layer), layer)
        for layer in layers
        if layer is not None and layer.weights
    ]


def _kind(layer):
    if isinstance(layer, SpectralNormalization):
        return "spectral_normalization"
    if isinstance(layer, keras.layers.BatchNormalization):
        return "batch_normalization"
    # Conv2DTranspose -> conv2d_transpose, as Keras names layers.
    name = re.sub("(.)([A-Z][a-z]+)", r"\1_\2", type(layer).__name__)
    return re.sub("([a-z])([A-Z])", r"\1_\2", name).lower()


def _read_h5(path, units):
    try:
        with h5py.File(path, "r") as file:
            group = file.get("model_weights", file)
            if "layer_names" in group.attrs:
                return _read_keras2(group)
            return _read_keras3(path, file, units)
    except OSError as error:
        raise UserError(f"{path}: not a readable HDF5 file: {error}") from error


def _read_keras2(group):
    records = []
    for layer in _words(group.attrs["layer_names"]):
        names = _words(group[layer].attrs["weight_names"])
        if names:
            records.append(
                {
                    _key(name.split("/")[-1].split(":")[0]): group[layer][name][
                        ()
                    ]
                    for name in names
                }
            )
    return records


def _read_keras3(path, file, units):
    """Layers are named by class and number, in no other order."""
    group = file.get("layers", file)
    counts, records = {}, []
    for unit in units:
        number = counts.get(unit.kind, 0)
        counts[unit.kind] = number + 1
        name = f"{unit.kind}_{number}" if number else unit.kind
        if name not in group:
            raise UserError(f"{path}: holds no layer {name} for {unit.name}")
        layer = group[name]
        record = {}
        if unit.kind == "spectral_normalization":
            # Its own variables are the kernel, once more, and u.
            record["u"] = layer["vars/1"][()]
            layer = layer["layer"]
        keys = _VALUES.get(unit.kind, ("kernel", "bias"))
        for index, key in enumerate(keys[: len(layer["vars"])]):
            record[key] = layer[f"vars/{index}"][()]
        records.append(record)
    kinds = "|".join(counts)
    found = sum(bool(re.fullmatch(rf"({kinds})(_\d+)?", n)) for n in group)
    return records if found == len(records) else [{}] * found


def _read_checkpoint(path, root):
    import tensorflow as tf  # noqa: TID251

    try:
        reader = tf.train.load_checkpoint(os.fspath(path))
    except (tf.errors.OpError, ValueError) as error:
        raise UserError(
            f"{path}: not a readable checkpoint: {error}"
        ) from error
    roots = {}
    for name in reader.get_variable_to_shape_map():
        match = _WEIGHTED.match(name)
        # Optimisers hang their moments below the variables.
        if match and ".OPTIMIZER_SLOT" not in name:
            layers = roots.setdefault(match[1], {})
            layers.setdefault(int(match[2]), {})[_key(match[3])] = name
    if root is None and len(roots) > 1:
        raise UserError(
            f"{path}: holds several models, {sorted(roots)}: name one by `root`"
        )
    if not roots or (root is not None and root not in roots):
        raise UserError(
            f"{path}: holds no {root or 'functional or sequential model'}; "
            f"models in it: {sorted(roots) or 'none'}"
        )
    layers = roots[root] if root is not None else next(iter(roots.values()))
    return [
        {key: reader.get_tensor(name) for key, name in layers[index].items()}
        for index in sorted(layers)
    ]


def _assignments(path, unit, record):
    """Returns (variable, value) pairs; nothing is assigned here."""
    layer, record = unit.layer, dict(record)
    pairs = []
    if unit.kind == "spectral_normalization":
        u, v = _singular_vectors(record.pop("u", None), record.get("kernel"))
        pairs = [(layer.u, u), (layer.v, v)]
        layer = layer.layer
    for key in list(record):
        pairs.append((getattr(layer, key, None), record.pop(key)))
    for variable, value in pairs:
        if variable is None or tuple(variable.shape) != np.shape(value):
            shape = None if variable is None else tuple(variable.shape)
            raise UserError(
                f"{path}: a {unit.kind} has a weight of shape "
                f"{np.shape(value)} where {unit.name} has {shape}"
            )
    expected = len(layer.weights) + 2 * (layer is not unit.layer)
    if len(pairs) != expected:
        raise UserError(
            f"{path}: {len(pairs)} weights for {unit.name}, which has "
            f"{expected}"
        )
    return pairs


def _singular_vectors(u, kernel):
    """Keeps u, and makes v such that sigma is 1."""
    if u is None or kernel is None:
        return None, None
    u = np.reshape(u, (-1, 1)).astype("float64")
    u /= max(np.linalg.norm(u), 1e-12)
    v = np.reshape(kernel, (-1, kernel.shape[-1])).astype("float64") @ u
    v /= max(np.sum(v**2), 1e-12)
    return u.astype("float32"), v.astype("float32")


def _key(name):
    return _KEYS.get(name, name)


def _words(values):
    return [v.decode() if isinstance(v, bytes) else str(v) for v in values]
