"""Models in Keras, run by TensorFlow; what every export is made from."""

import functools

import tensorflow as tf

from tfexposure.runtime.graph import graph_of
from tfexposure.runtime.model import Model


class KerasModel(Model):
    """Runs a generator, folded.

    Args:
        generator: `UNetGenerator` or `BlindRestorer`, built.
        shuffle: see `graph.graph_of`.

    Attributes:
        graph: `graph.Graph`, its functions of tensors, which exports trace.
        clip_share: values between which a channel of the whole photo goes
            over to clipped in the thumbnail, or None.

    Raises:
        ValueError: if the generator is of a kind that cannot be exported.
    """

    def __init__(self, generator, shuffle=True):
        self.graph = graph = graph_of(generator, shuffle)
        self.stride = graph.stride
        self.exact_tiles = graph.halo is not None
        self.halo = graph.halo or 0
        if graph.thumbnail_shape:
            self.thumbnail, _, self.thumbnail_channels = graph.thumbnail_shape
        self.grid_spec, self.clip_share = graph.grid_spec, graph.clip_share

    def restore(self, image, thumbnail=None):
        inputs = [image] if thumbnail is None else [image, thumbnail]
        return self._restore(*_batches(inputs)).numpy()[0]

    def encode_photo(self, thumbnail):
        known = self._encode_photo(*_batches([thumbnail]))
        return tuple(value.numpy()[0] for value in known)

    def affine_coefficients(self, image, slopes, embedding):
        inputs = _batches([image, slopes, embedding])
        return self._affine_coefficients(*inputs).numpy()[0]

    @functools.cached_property
    def _restore(self):
        inputs = [tf.TensorSpec((1, None, None, 3), name="image")]
        if self.thumbnail:
            shape = (1, *self.thumbnail_shape)
            inputs.append(tf.TensorSpec(shape, name="thumbnail"))
        return tf.function(self.graph.restore_tile, input_signature=inputs)

    @functools.cached_property
    def _encode_photo(self):
        return tf.function(self.graph.encode_photo)

    @functools.cached_property
    def _affine_coefficients(self):
        # Any size of picture is one trace.
        return tf.function(
            self.graph.affine_coefficients, reduce_retracing=True
        )


def _batches(arrays):
    return [tf.constant(array[None]) for array in arrays]
