"""A generator as pure functions over plain variables, ready for export."""

import dataclasses
from collections.abc import Callable

import keras
import numpy as np
import tensorflow as tf

from tfexposure.blind import KNOTS, BlindRestorer
from tfexposure.blind.restorer import mix_in
from tfexposure.imaging.clipping import COUNT_RAMP
from tfexposure.imaging.thumbnail import THUMBNAIL_CHANNELS, THUMBNAIL_SIZE
from tfexposure.paper.field_of_view import tile_halo
from tfexposure.paper.generator import UNetGenerator
from tfexposure.runtime.coefficient_grid import GridSpec
from tfexposure.runtime.folding import fold


@dataclasses.dataclass(frozen=True)
class Graph:
    """A generator's functions of tensors; what `KerasModel` runs.

    Attributes:
        restore: function of a window, float32 (N, h, w, 3) in [0, 1], and of
            slopes and embedding, if there is `encode_photo`; answers the
            window, restored.
        variables: list of tf.Variable the functions read.
        stride: windows start at multiples of it, in pixels.
        halo: pixels around a window on which its inner pixels depend, or None
            if they depend on all of the photo, so that tiles do not join.
        thumbnail_shape: (T, T, channels) of the small copy of the whole photo
            that the network takes first, or None.
        encode_photo: function of thumbnails to slopes, embedding and exposure;
            see `BlindRestorer.encode_photo`.
        affine_coefficients: function like `restore`, of a photo at reduced
            size, to what corrects it at full size, (N, h', w', 13); or None.
        grid_spec: `GridSpec`, how these are applied.
        clip_share: see `KerasModel`.
    """

    restore: Callable
    variables: list
    stride: int
    halo: int | None
    thumbnail_shape: tuple | None = None
    encode_photo: Callable | None = None
    affine_coefficients: Callable | None = None
    grid_spec: GridSpec | None = None
    clip_share: tuple | None = None

    def restore_tile(self, image, thumbnail=None):
        """Restores a window, given its photo's thumbnail if it needs one."""
        if not self.thumbnail_shape or self.encode_photo is None:
            return self.restore(image)
        slopes, embedding, exposure = self.encode_photo(thumbnail)
        return mix_in(image, self.restore(image, slopes, embedding), exposure)


def graph_of(generator, shuffle: bool = True) -> Graph:
    """Returns the folded `Graph` of a generator.

    Args:
        generator: `UNetGenerator` or `BlindRestorer`, built.
        shuffle: bool, whether transposed convolutions become 1x1 convolutions
            and depth to space, the same numbers in operations that phones
            prefer.

    Raises:
        ValueError: if the generator is of a kind that cannot be exported.
    """
    if isinstance(generator, UNetGenerator):
        return _unet(generator, shuffle)
    if isinstance(generator, BlindRestorer):
        return _blind(generator)
    raise ValueError(
        "`generator` should be a UNetGenerator or a BlindRestorer. "
        f"Received: {type(generator).__name__}"
    )


def _unet(generator, shuffle):
    folded = fold(generator)
    instance = folded.norm == "instance"
    variables = {id(v): v.value for v in folded.variables}
    for block in folded.blocks():
        layer = block.layer
        if shuffle and isinstance(layer, keras.layers.Conv2DTranspose):
            for variable in layer.variables:
                del variables[id(variable)]
            block.convolution = _ShuffledConvolution(layer)
            for variable in block.convolution.variables:
                variables[id(variable)] = variable
    if folded.upsampling == "resize":
        for block in folded.upsamplers:
            block.convolution = _restating_channels(block.layer)
    return Graph(
        restore=lambda image: folded(image, training=False),
        variables=list(variables.values()),
        stride=folded.stride,
        # Instance normalisation averages over the whole picture.
        halo=None if instance else tile_halo(folded),
    )


def _blind(restorer):
    return Graph(
        restore=restorer.restore,
        variables=[v.value for v in restorer.weights],
        stride=restorer.multiple,
        halo=restorer.halo,
        thumbnail_shape=(THUMBNAIL_SIZE, THUMBNAIL_SIZE, THUMBNAIL_CHANNELS),
        encode_photo=restorer.encode_photo,
        affine_coefficients=restorer.affine_coefficients,
        grid_spec=GridSpec(tuple(KNOTS), tuple(restorer.clip), restorer.lift),
        clip_share=COUNT_RAMP,
    )


def _restating_channels(layer):
    """Tells the TFLite converter what enlarging by a dynamic size forgets."""
    channels = layer.kernel.shape[-2]

    def convolution(inputs):
        shape = tf.concat([tf.shape(inputs)[:3], [channels]], 0)
        return layer(tf.reshape(inputs, shape))

    return convolution


class _ShuffledConvolution:
    """A 2x2 transposed convolution of stride 2 as 1x1 and depth to space.

    The same numbers. With sizes known only at run time TFLite would compute
    the output's shape in operations that no accelerator takes.
    """

    def __init__(self, layer):
        kernel = keras.ops.convert_to_numpy(layer.kernel)
        rows, columns, filters, channels = kernel.shape
        self._size = rows
        self._kernel = tf.Variable(
            np.transpose(kernel, (3, 0, 1, 2)).reshape(
                1, 1, channels, rows * columns * filters
            ),
            trainable=False,
        )
        self.variables = [self._kernel]
        self._bias = None
        if layer.use_bias:
            bias = keras.ops.convert_to_numpy(layer.bias)
            self._bias = tf.Variable(
                np.tile(bias, rows * columns), trainable=False
            )
            self.variables.append(self._bias)

    def __call__(self, inputs):
        x = tf.nn.conv2d(inputs, self._kernel, 1, "SAME")
        if self._bias is not None:
            x = tf.nn.bias_add(x, self._bias)
        return tf.nn.depth_to_space(x, self._size)
