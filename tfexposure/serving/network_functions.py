"""The network alone as signatures, which exports of every kind have."""

import tensorflow as tf

from tfexposure.runtime.signatures import DEFAULT, FIELD, LOOK, LOOKED


def network_functions(model, size: int | None = None) -> dict:
    """Makes signatures of the network's functions of tensors.

    `serving_default` takes a window, `image` (N, H, W, 3) in [0, 1], and the
    whole photo's `thumbnail` if the network looks at it, and answers
    `restored`. If the network has affine coefficients there are two more:
    `serving_look` takes the thumbnail and answers `slopes`, `code`, the
    embedding, and `exposure`, see `Model.encode_photo`; `serving_field` takes
    the former two and the photo at reduced size, and answers `field`.

    Args:
        model: `KerasModel`.
        size: side of the only picture size, N being 1; None for any.

    Returns:
        dict of tf.function by name.
    """
    graph = model.graph

    def restore(image, thumbnail=None):
        return {"restored": graph.restore_tile(image, thumbnail)}

    def look(thumbnail):
        found = graph.encode_photo(thumbnail)
        return dict(zip(LOOKED, found, strict=True))

    def field(image, slopes, code):
        return {"field": graph.affine_coefficients(image, slopes, code)}

    count = None if size is None else 1
    image = tf.TensorSpec((count, size, size, 3), tf.float32, "image")
    if not model.thumbnail:
        return {DEFAULT: _function(restore, image)}
    shape = (count, *model.thumbnail_shape)
    thumbnail = tf.TensorSpec(shape, tf.float32, "thumbnail")
    functions = {DEFAULT: _function(restore, image, thumbnail)}
    if model.grid_spec:
        functions[LOOK] = _function(look, thumbnail)
        found = functions[LOOK].get_concrete_function().structured_outputs
        known = [
            tf.TensorSpec(found[name].shape, tf.float32, name)
            for name in ("slopes", "code")
        ]
        functions[FIELD] = _function(field, image, *known)
    return functions


def _function(function, *specs):
    return tf.function(function, specs, autograph=False)
