"""The `natural` model's local network, for clipped channels."""

import keras
from keras import layers, ops

from tfexposure.layers import register


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


@register
class ClipFiller(keras.layers.Layer):
    """Local branch: a U-Net at half size and below, steered by the code.

    Args:
        widths: channels at 1/2, 1/4, ... of the photo's size.

    Output: (N, H/2, W/2, 13), per channel a row of the matrix and the offset,
    then the lift of values near white.
    """

    def __init__(self, widths=(24, 48, 64, 96, 96)):
        super().__init__()
        self.arguments = dict(widths=widths)

        def active(width, strides=1):
            # Rectified levels have died in training, and with them all that
            # lower ones knew.
            return conv(width, strides, activation="leaky_relu")

        self.downs = [active(width, 2) for width in widths]
        self.encoders = [active(width) for width in widths]
        self.steers = [
            layers.Dense(2 * width, kernel_initializer="zeros")
            for width in widths
        ]
        self.narrows = [conv(width, 1, 1, None) for width in widths[:-1]]
        self.decoders = [
            (active(width), active(width)) for width in widths[:-1]
        ]
        self.decoder_list = [layer for pair in self.decoders for layer in pair]
        self.head = layers.Conv2D(
            13, 3, padding="same", kernel_initializer="zeros"
        )

    def call(self, x, code):
        links = []
        for down, encode in zip(self.downs, self.encoders, strict=True):
            x = encode(down(x))
            links.append(x)
        x = self._steer(x, code, -1)
        for level in reversed(range(len(self.narrows))):
            x = enlarge(self.narrows[level](x)) + links[level]
            x = self._steer(x, code, level)
            first, second = self.decoders[level]
            x = x + second(first(x))
        return self.head(x)

    def _steer(self, x, code, level):
        scale, shift = ops.split(self.steers[level](code), 2, axis=-1)
        channels = x.shape[-1]
        scale = ops.reshape(scale, (-1, 1, 1, channels))
        shift = ops.reshape(shift, (-1, 1, 1, channels))
        return x * (1.0 + scale) + shift

    def get_config(self):
        return {**super().get_config(), **self.arguments}


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
