"""Tiny generators in every form that `open_model` opens."""

import json
import pathlib
import zipfile

import numpy as np

HALO = 6


class Module:
    """Builds a chain of 3x3 convolutions with pooling as a tf.Module.

    The field of view is real: pooling by 2 makes the stride 2 and the chain
    sees 6 pixels around, so a wrong halo or a misplaced window shows.
    """

    def __init__(self, thumbnail=None):
        import tensorflow as tf

        random = np.random.default_rng(7)

        def kernel(inputs, outputs):
            values = random.normal(0, 0.3, (3, 3, inputs, outputs))
            return tf.constant(values, tf.float32)

        weights = [kernel(3, 4), kernel(4, 4), kernel(4, 3)]

        def network(image):
            hidden = tf.nn.relu(tf.nn.conv2d(image, weights[0], 1, "SAME"))
            low = tf.nn.avg_pool2d(hidden, 2, 2, "SAME")
            low = tf.nn.relu(tf.nn.conv2d(low, weights[1], 1, "SAME"))
            size = tf.shape(image)[1:3]
            low = tf.image.resize(low, size, method="nearest")
            low.set_shape((None, None, None, 4))
            delta = tf.nn.conv2d(hidden + low, weights[2], 1, "SAME")
            return tf.sigmoid(delta) * 0.2 + image * 0.6

        self.module = tf.Module()
        if thumbnail is None:

            @tf.function(
                input_signature=[
                    tf.TensorSpec((None, None, None, 3), tf.float32, "image")
                ]
            )
            def serve(image):
                return {"restored": network(image)}

        else:

            @tf.function(
                input_signature=[
                    tf.TensorSpec((None, None, None, 3), tf.float32, "image"),
                    tf.TensorSpec(
                        (None, thumbnail, thumbnail, 3),
                        tf.float32,
                        "thumbnail",
                    ),
                ]
            )
            def serve(image, thumbnail):
                mean = tf.reduce_mean(thumbnail, (1, 2), keepdims=True)
                return {"restored": network(image) * mean}

        self.module.serve = serve


def save_model(folder, manifest=None, thumbnail=None):
    """Writes a SavedModel; returns its folder."""
    import tensorflow as tf

    module = Module(thumbnail).module
    tf.saved_model.save(
        module, str(folder), signatures={"serving_default": module.serve}
    )
    if manifest is not None:
        extra = pathlib.Path(folder, "assets.extra")
        extra.mkdir(exist_ok=True)
        (extra / "manifest.json").write_text(json.dumps(manifest))
    return folder


def save_lite(path, saved_model, manifest=None):
    """Converts a SavedModel to a .tflite file; returns its path."""
    import tensorflow as tf

    converter = tf.lite.TFLiteConverter.from_saved_model(
        str(saved_model), signature_keys=["serving_default"]
    )
    path = pathlib.Path(path)
    path.write_bytes(converter.convert())
    if manifest is not None:
        with zipfile.ZipFile(path, "a") as members:
            members.writestr("manifest.json", json.dumps(manifest))
    return path
