"""Requests that a server answers to itself before it answers others."""

import io
from pathlib import Path

import numpy as np
import tensorflow as tf
from PIL import Image

from tfexposure.errors import UserError
from tfexposure.serving.scoring import read_examples

FILE_NAME = "tf_serving_warmup_requests"
# Side in pixels; a server refuses to load a model whose warm-up fails, and is
# not ready until it is done.
SIDE = 256


def write_warmup(version, photos, limit: int = 2) -> Path:
    """Writes warm-up requests into a SavedModel, and answers them once.

    Args:
        version: folder `<base>/<version>` of the SavedModel.
        photos: folder of photos.
        limit: int, photos taken; each makes a request to every signature for
            whole pictures.

    Returns:
        Path of the file.

    Raises:
        UserError: if tensorflow-serving-api is missing, a photo is
            unreadable, or the model does not answer.
    """
    try:
        from tensorflow_serving.apis import prediction_log_pb2
    except ModuleNotFoundError as error:
        raise UserError(
            "warm-up requests need the messages of tensorflow-serving-api. "
            "Run: pip install --no-deps tensorflow-serving-api"
        ) from error
    signatures = tf.saved_model.load(str(version)).signatures
    records = []
    for image in read_examples(photos, SIDE, limit):
        pixels = np.round(image * 255).astype("uint8")
        for name, inputs in {
            "serving_default": {"image": image},
            "serving_uint8": {"image": pixels},
            "serving_bytes": {"image_bytes": np.array([_jpeg(pixels[0])])},
        }.items():
            log = prediction_log_pb2.PredictionLog()
            request = log.predict_log.request
            request.model_spec.signature_name = name
            for key, value in inputs.items():
                tensor = tf.make_tensor_proto(value)
                request.inputs[key].CopyFrom(tensor)
            records.append(log.SerializeToString())
            try:
                signatures[name](
                    **{key: tf.constant(v) for key, v in inputs.items()}
                )
            except tf.errors.OpError as error:
                raise UserError(
                    f"{version}: {name} does not answer the warm-up: {error}"
                ) from error
    path = Path(version, "assets.extra", FILE_NAME)
    temporary = path.with_name(f".{FILE_NAME}.tmp")
    with tf.io.TFRecordWriter(str(temporary)) as writer:
        for record in records:
            writer.write(record)
    temporary.replace(path)
    return path


def _jpeg(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "JPEG", quality=95)
    return buffer.getvalue()
