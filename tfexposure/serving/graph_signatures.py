"""The signatures of a SavedModel: what a server answers."""

import dataclasses

import tensorflow as tf

from tfexposure.runtime.graph_correct import Options, correct_whole
from tfexposure.runtime.graph_tiles import restore_whole
from tfexposure.runtime.signatures import (
    BYTES_IN,
    BYTES_OUT,
    FIELD,
    LOOK,
    LOOKED,
    OF_BYTES,
    OF_BYTES_OPTIONS,
)
from tfexposure.serving import image_codec
from tfexposure.serving.network_functions import network_functions

# As of a JPEG; it bounds what the look at a photo takes of memory.
MAX_SIDE = 65_535
# What is told of each photo beside the answer: see `correct_whole`.
_TOLD = {
    "changed": tf.bool,
    "share": tf.float32,
    "stops": tf.float32,
    "stops_spread": tf.float32,
    "clipped": tf.float32,
}
_OPTIONS = {
    "strength": (tf.float32, 0.0, 1.0),
    "ev": (tf.float32, -5.0, 5.0),
    "stops": (tf.float32, -1.0, 5.0),
    "force": (tf.bool, False, True),
}


def tiled_signatures(model, max_pixels, tile):
    """Makes the signatures of a network that restores tile by tile.

    Args:
        model: `KerasModel`.
        max_pixels: int, pixels above which a request is refused.
        tile: int, side of a tile in pixels.

    Returns:
        dict of tf.function by name: `serving_default`, `serving_uint8`,
        `serving_bytes`.
    """

    def whole(image):
        image = _checked(image, max_pixels)
        return {"restored": restore_whole(model, image, tile)}

    def of_bytes(image_bytes):
        def one(index):
            contents = image_bytes[index]
            image, is_grey = image_codec.decode(
                contents, index, max_pixels, MAX_SIDE
            )
            restored = restore_whole(model, image[None], tile)[0]
            return {BYTES_OUT: image_codec.encode(restored, contents, is_grey)}

        return _each(one, image_bytes, {BYTES_OUT: tf.string})

    return {
        "serving_default": _function(whole, _images(tf.float32)),
        "serving_uint8": _function(whole, _images(tf.uint8)),
        OF_BYTES: _function(of_bytes, _bytes()),
    }


def correcting_signatures(model, max_pixels):
    """Makes the signatures of a model that corrects photos as a whole.

    Args:
        model: `KerasModel` with affine coefficients.
        max_pixels: int, pixels above which a request is refused.

    Returns:
        dict of tf.function by name: `serving_default`, `serving_uint8` and
        `serving_bytes`; `serving_options` and `serving_bytes_options`, which
        take `Options`, too; `serving_look` and `serving_field`, the network
        alone, for clients that work at full size themselves.
    """
    graph, look, field = _traced_once(model)
    correct = {
        dtype: _function(
            lambda image, *options: correct_whole(
                graph, image, Options(*options)
            ),
            tf.TensorSpec((None, None, 3), dtype, "image"),
            *_option_specs(()),
        )
        for dtype in (tf.float32, tf.uint8)
    }

    def of_images(image, *options):
        image = _checked(image, max_pixels)
        options = _checked_options(options, tf.shape(image)[0])

        def one(index):
            mine = [values[index] for values in options]
            return correct[image.dtype](image[index], *mine)

        return _each(one, image, {"restored": image.dtype, **_TOLD})

    def of_bytes(image_bytes, *options):
        options = _checked_options(options, tf.size(image_bytes))

        def one(index):
            contents = image_bytes[index]
            image, is_grey = image_codec.decode(
                contents, index, max_pixels, MAX_SIDE
            )
            mine = [values[index] for values in options]
            told = correct[tf.uint8](image, *mine)
            restored = told.pop("restored")
            # What is left alone keeps its bytes, as on the command line.
            encoded = tf.cond(
                told["changed"],
                lambda: image_codec.encode(restored, contents, is_grey),
                lambda: contents,
            )
            return {BYTES_OUT: encoded, **told}

        return _each(one, image_bytes, {BYTES_OUT: tf.string, **_TOLD})

    options = _option_specs((None,))
    return {
        "serving_default": _function(of_images, _images(tf.float32)),
        "serving_uint8": _function(of_images, _images(tf.uint8)),
        OF_BYTES: _function(of_bytes, _bytes()),
        "serving_options": _function(of_images, _images(tf.uint8), *options),
        OF_BYTES_OPTIONS: _function(of_bytes, _bytes(), *options),
        LOOK: look,
        FIELD: field,
    }


def _traced_once(model):
    """Makes the network's two functions, which all signatures call.

    Returns:
        `Graph` that calls them, and the functions as signatures.
    """
    functions = network_functions(model)
    look, field = functions[LOOK], functions[FIELD]
    once = dataclasses.replace(
        model.graph,
        encode_photo=lambda small: [look(small)[name] for name in LOOKED],
        affine_coefficients=lambda *inputs: field(*inputs)["field"],
    )
    return once, look, field


def _function(function, *specs):
    return tf.function(function, specs, autograph=False)


def _images(dtype):
    return tf.TensorSpec((None, None, None, 3), dtype, "image")


def _bytes():
    return tf.TensorSpec((None,), tf.string, BYTES_IN)


def _option_specs(shape):
    return [
        tf.TensorSpec(shape, dtype, name)
        for name, (dtype, *_) in _OPTIONS.items()
    ]


def _each(one, photos, dtypes):
    """Works on a batch one photo after the other, which bounds the memory.

    Args:
        one: function of an index, to a dict of tensors.
        photos: the batch, not empty.
        dtypes: types of these tensors by name.
    """
    count = tf.shape(photos)[0]
    with tf.control_dependencies(
        [tf.debugging.Assert(count > 0, [f"{BYTES_IN} is empty"])]
    ):
        places = tf.range(count)
    return tf.map_fn(
        one, places, fn_output_signature=dtypes, parallel_iterations=1
    )


def _checked_options(options, count):
    """Refuses options out of range; those of `Options()` where none came."""
    if not options:
        return [
            tf.fill([count], tf.cast(value, dtype))
            for value, (dtype, *_) in zip(
                Options(), _OPTIONS.values(), strict=True
            )
        ]
    checks = []
    for values, (name, (dtype, low, high)) in zip(
        options, _OPTIONS.items(), strict=True
    ):
        fits = tf.equal(tf.size(values), count)
        expected = f"{name}: expected one number a photo"
        if dtype != tf.bool:
            expected += f", from {low} to {high}"
            fits &= tf.reduce_all((values >= low) & (values <= high))
        checks.append(
            tf.debugging.Assert(fits, [expected + "; received", values])
        )
    with tf.control_dependencies(checks):
        return [tf.identity(values) for values in options]


def _checked(image, max_pixels):
    """Refuses, in the graph, what the network cannot work on.

    A server feeds whatever shape the request names. The declared shape is
    hidden first: the optimiser would take it for granted and drop the checks.
    """
    declared = image.shape
    image = tf.raw_ops.PlaceholderWithDefault(
        input=image, shape=tf.TensorShape(None)
    )
    shape = tf.shape(image)
    values = tf.reduce_prod(tf.cast(shape, tf.int64))
    fits = tf.equal(tf.rank(image), 4) & tf.reduce_all(shape[-1:] == 3)
    expected = "image: expected (N, H, W, 3), not empty; received"
    too_large = f"image: more than {max_pixels} pixels:"
    too_long = f"image: a side of more than {MAX_SIDE} pixels:"
    with tf.control_dependencies(
        [
            tf.debugging.Assert(fits & (values > 0), [expected, shape]),
            tf.debugging.Assert(
                values <= 3 * max_pixels, [too_large, values // 3]
            ),
            tf.debugging.Assert(
                tf.reduce_all(shape[1:-1] <= MAX_SIDE), [too_long, shape]
            ),
        ]
    ):
        return tf.ensure_shape(image, declared)
