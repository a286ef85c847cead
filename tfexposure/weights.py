"""A network's weights as named arrays, in one `.npz`.

Keras names layers by counting them in the process, and lists weights by the
order of construction. Neither survives a change of the code, so arrays here are
named by the attributes that lead to them, as `encoder.0.1.layer.kernel`.
"""

import io
import zipfile

import numpy as np

from tfexposure.errors import UserError


def named_weights(network):
    """Finds the path of attributes to each weight of a network.

    Args:
        network: built keras.Model or Layer; its layers are attributes, or lie
            in lists, tuples and dicts that are.

    Returns:
        dict: path, such as `"encoder.0.1.layer.kernel"` -> keras.Variable, all
        of `network.weights`. A layer that several paths lead to has the first.

    Raises:
        ValueError: if a weight cannot be reached by public attributes.
    """
    found = {}
    _walk(network, "", found, set())
    missing = {v.path for v in network.weights} - {
        v.path for v in found.values()
    }
    if missing:
        raise ValueError(
            "`network` should hold its layers in public attributes. "
            f"Received one with unreachable weights: {sorted(missing)}"
        )
    return found


def _walk(layer, path, found, seen):
    """Adds the weights of a layer and of those below it to `found`."""
    seen.add(id(layer))
    below = layer._flatten_layers(include_self=False)
    theirs = {id(variable) for other in below for variable in other.weights}
    for name, child in _children(layer):
        if id(child) not in seen:
            _walk(child, f"{path}{name}.", found, seen)
    for variable in layer.weights:
        if id(variable) not in theirs:
            found[path + variable.name] = variable


def _children(layer):
    """Yields (name, layer) of a layer's public attributes."""
    for name, value in vars(layer).items():
        if not name.startswith("_"):
            yield from _layers_in(name, value)


def _layers_in(name, value):
    import keras

    if isinstance(value, keras.Layer):
        yield name, value
    elif isinstance(value, dict):
        for key, item in value.items():
            yield from _layers_in(f"{name}.{key}", item)
    elif isinstance(value, list | tuple):
        for index, item in enumerate(value):
            yield from _layers_in(f"{name}.{index}", item)


def pack_weights(network):
    """Returns a network's weights as float16 `.npz` bytes, an array a weight.

    The same weights give the same bytes.
    """
    arrays = {
        name: np.asarray(variable, "float16")
        for name, variable in named_weights(network).items()
    }
    buffer = io.BytesIO()
    np.savez_compressed(buffer, **arrays)
    return buffer.getvalue()


def read_weights(network, path, prefix=""):
    """Assigns the arrays of `pack_weights`, or of a checkpoint, to a network.

    Args:
        network: built keras.Model or Layer.
        path: of the `.npz`.
        prefix: of the arrays' names; `"averaged/"` in a checkpoint.

    Raises:
        UserError: if the file is no such file, or its names and shapes are not
            those of the network; nothing is assigned then.
    """
    try:
        with np.load(path) as file:
            arrays = {
                name.removeprefix(prefix): file[name].astype("float32")
                for name in file
                if name.startswith(prefix)
                # Checkpoints have the state of noise and dropout, too.
                and not name.startswith(f"{prefix}seed.")
            }
    except (OSError, EOFError, ValueError, zipfile.BadZipFile) as error:
        raise UserError(
            f"{path}: expected an .npz of named weights: {error}"
        ) from error
    try:
        assign(named_weights(network), arrays)
    except ValueError as error:
        raise UserError(f"{path}: {error}: another network's file") from error


def assign(variables, arrays):
    """Assigns all arrays, each to the variable of its name, or none.

    Raises:
        ValueError: if names or shapes differ.
    """
    for kind, names in (
        ("lacks", variables.keys() - arrays.keys()),
        ("has unknown", arrays.keys() - variables.keys()),
    ):
        if names:
            some = ", ".join(sorted(names)[:3])
            raise ValueError(
                f"{kind} {len(names)} of {len(variables)} arrays, such as "
                f"{some}"
            )
    for name, variable in variables.items():
        if arrays[name].shape != tuple(variable.shape):
            raise ValueError(
                f"{name} has shape {arrays[name].shape}, expected "
                f"{tuple(variable.shape)}"
            )
    for name, variable in variables.items():
        variable.assign(arrays[name])
