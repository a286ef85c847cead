"""The local branch: a U-Net that predicts affine colour transforms."""

import keras
from keras import layers, ops

from tfexposure.layers import constructor_arguments, full_precision, register

# Channels of the affine coefficients: per colour channel its row of the
# matrix and its offset, then one lift for all three.
MATRIX_ROWS = (slice(0, 3), slice(4, 7), slice(8, 11))
OFFSETS = (slice(3, 4), slice(7, 8), slice(11, 12))
LIFT = slice(12, 13)
COEFFICIENT_COUNT = 13


def conv(filters, strides=1, kernel_size=3, activation="relu"):
    """A convolution of either branch; without activation it starts at 0."""
    return layers.Conv2D(
        filters,
        kernel_size,
        strides,
        padding="same",
        activation=activation,
        kernel_initializer="he_normal" if activation else "zeros",
    )


def build_chain(convolutions, channels):
    """Builds one after the other; returns the channels they end with."""
    for convolution in convolutions:
        convolution.build((None, None, None, channels))
        channels = convolution.filters
    return channels


@register
class LocalUNet(keras.layers.Layer):
    """Predicts affine coefficients by a U-Net at half size and below.

    Like HDRNet's, they vary slowly and act on the image at full size, where
    the mask of clipped values has the detail. FiLM conditions every level on
    the photo's embedding.

    Input: features (N, H, W, C), H and W multiples of 2 ** len(widths), and
    the embedding (N, embedding_size). Output: (N, H/2, W/2, 13), see
    `MATRIX_ROWS`, `OFFSETS` and `LIFT`.

    Args:
        widths: channels at 1/2, 1/4, ... of the image's size.

    Reference:
        Gharbi et al., Deep bilateral learning for real-time image enhancement
        (2017); Perez et al., FiLM: Visual reasoning with a general
        conditioning layer (2018).
    """

    def __init__(self, widths=(24, 48, 64, 96, 96), **kwargs):
        super().__init__(**kwargs)
        self.widths = tuple(widths)
        with full_precision(self):
            self._make()

    def _make(self):
        def active(width, strides=1):
            # Rectified levels have died in training, and with them all that
            # lower ones knew.
            return conv(width, strides, activation="leaky_relu")

        upper = self.widths[:-1]
        self.downs = [active(width, 2) for width in self.widths]
        self.encoders = [active(width) for width in self.widths]
        self.film = [
            layers.Dense(2 * width, kernel_initializer="zeros")
            for width in self.widths
        ]
        self.projections = [conv(width, 1, 1, None) for width in upper]
        self.decoders_in = [active(width) for width in upper]
        self.decoders_out = [active(width) for width in upper]
        self.head = layers.Conv2D(
            COEFFICIENT_COUNT, 3, padding="same", kernel_initializer="zeros"
        )

    def build(self, x_shape, embedding_shape):
        # By shapes alone, in the order of `call`, as the encoder is.
        channels = x_shape[-1]
        for pair in zip(self.downs, self.encoders, strict=True):
            channels = build_chain(pair, channels)
        self.film[-1].build(embedding_shape)
        for level in reversed(range(len(self.projections))):
            channels = build_chain([self.projections[level]], channels)
            self.film[level].build(embedding_shape)
            inner = self.decoders_in[level], self.decoders_out[level]
            channels = build_chain(inner, channels)
        build_chain([self.head], channels)

    def call(self, x, embedding):
        links = []
        for down, encode in zip(self.downs, self.encoders, strict=True):
            x = encode(down(x))
            links.append(x)
        x = self._modulate(x, embedding, -1)
        for level in reversed(range(len(self.projections))):
            x = enlarge(self.projections[level](x)) + links[level]
            x = self._modulate(x, embedding, level)
            x = x + self.decoders_out[level](self.decoders_in[level](x))
        return self.head(x)

    def _modulate(self, x, embedding, level):
        """FiLM: scales and shifts each channel by the embedding."""
        scale, shift = ops.split(self.film[level](embedding), 2, axis=-1)
        channels = x.shape[-1]
        scale = ops.reshape(scale, (-1, 1, 1, channels))
        shift = ops.reshape(shift, (-1, 1, 1, channels))
        return x * (1.0 + scale) + shift

    def convolutions(self):
        """Yields each convolution and the halvings before its output."""
        for level in range(len(self.widths)):
            yield self.downs[level], level + 1
            yield self.encoders[level], level + 1
        for level in range(len(self.widths) - 1):
            # Before the enlarging.
            yield self.projections[level], level + 2
            yield self.decoders_in[level], level + 1
            yield self.decoders_out[level], level + 1
        yield self.head, 1

    def get_config(self):
        return {**super().get_config(), **constructor_arguments(self)}


def enlarge(images):
    """Doubles height and width, linearly between pixel centres."""
    _, height, width, _ = images.shape
    if height is None or width is None:
        # `ops.image.resize` takes no size that only a graph's run will tell.
        return _doubled(_doubled(images, 1), 2)
    return ops.image.resize(
        images, (2 * height, 2 * width), interpolation="bilinear"
    )


def _doubled(images, axis):
    """Doubles rows (axis 1) or columns (axis 2): the same numbers."""
    first, but_last, but_first, last = (
        images[:, part] if axis == 1 else images[:, :, part]
        for part in (
            slice(None, 1),
            slice(None, -1),
            slice(1, None),
            slice(-1, None),
        )
    )
    before = ops.concatenate([first, but_last], axis)
    after = ops.concatenate([but_first, last], axis)
    pairs = ops.stack(
        [0.75 * images + 0.25 * before, 0.75 * images + 0.25 * after], axis + 1
    )
    shape = list(ops.shape(images))
    shape[axis] = 2 * shape[axis]
    return ops.reshape(pairs, shape)
