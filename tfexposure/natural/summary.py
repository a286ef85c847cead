"""The `natural` model's look at the whole photo: how far is it overexposed?

The trunk is the first half of EfficientNet-lite2 (Liu and Tan, 2020; after
Tan and Le, EfficientNet, 2019): whether a scene is bright or overexposed is
told by what is in it, and that network's ImageNet weights, with which training
begins, know much of it that a few thousand photos do not teach.
"""

import keras
import numpy as np
from keras import layers, ops

from tfexposure.errors import UserError
from tfexposure.layers import register
from tfexposure.natural.curve import KNOTS, clip_mask

# Per stage: kernel, stride, expansion, repeats; the lite2 table, cut off.
_STAGES = ((3, 1, 1, 1), (3, 2, 6, 3), (5, 2, 6, 3), (3, 2, 6, 4), (5, 1, 6, 2))
# Pooled for the decision: strides 8 and 16.
_POOLED = (2, 3, 4)
# Centres of the thumbnail's histogram, narrow near black and white.
_BINS = (0.0, 0.03, 0.07, 0.12, 0.18, 0.25, 0.32, 0.39, 0.46, 0.53, 0.6, 0.67)
_BINS += (0.74, 0.8, 0.85, 0.89, 0.92, 0.945, 0.965, 0.98, 0.99, 1.0)


class _Block:
    """Inverted residual: expand, filter each channel, project; no norms."""

    def __init__(self, channels, filters, kernel, strides, expansion):
        self.convs = []
        if expansion > 1:
            self.convs.append(layers.Conv2D(channels * expansion, 1))
        self.convs.append(
            layers.DepthwiseConv2D(kernel, strides, padding="same")
        )
        self.convs.append(layers.Conv2D(filters, 1))
        self._adds = strides == 1 and channels == filters

    def __call__(self, inputs):
        x = inputs
        for conv in self.convs[:-1]:
            x = ops.relu6(conv(x))
        x = self.convs[-1](x)
        return inputs + x if self._adds else x


@register
class PhotoSummary(keras.layers.Layer):
    """Whole-photo branch: thumbnail -> slopes of the tone curve and a code.

    Args:
        widths: channels of the stem and of the five stages.
        code_size: length of the code that steers the local network.
        dropout: share of pooled features dropped in training.
    """

    def __init__(
        self, widths=(32, 16, 24, 48, 88, 120), code_size=64, dropout=0.2
    ):
        super().__init__()
        self.arguments = dict(
            widths=widths, code_size=code_size, dropout=dropout
        )
        self.stem = layers.Conv2D(widths[0], 3, 2, padding="same")
        # What is clipped comes in beside the colours, at first unheard.
        self.clip_stem = layers.Conv2D(
            widths[0],
            3,
            2,
            padding="same",
            use_bias=False,
            kernel_initializer="zeros",
        )
        self.stages, channels = [], widths[0]
        for width, (kernel, strides, expansion, repeats) in zip(
            widths[1:], _STAGES, strict=True
        ):
            stage = []
            for index in range(repeats):
                step = 1 if index else strides
                stage.append(_Block(channels, width, kernel, step, expansion))
                channels = width
            self.stages.append(stage)
        self.trunk = [
            conv
            for stage in self.stages
            for block in stage
            for conv in block.convs
        ]
        self.hidden = layers.Dense(128, activation="relu")
        self.drop = layers.Dropout(dropout)
        self.code = layers.Dense(code_size, activation="relu")
        self.gain = layers.Dense(1, kernel_initializer="zeros")
        self.bends = layers.Dense(len(KNOTS) - 1, kernel_initializer="zeros")

    def call(self, thumbnail, training=False):
        picture, clipped = thumbnail[..., :3], thumbnail[..., 3:]
        # The range that the ImageNet weights were trained on.
        x = self.stem(picture * (255 / 128) - 127 / 128)
        x = ops.relu6(
            x
            + self.clip_stem(ops.concatenate([clip_mask(picture), clipped], -1))
        )
        pooled = []
        for index, stage in enumerate(self.stages):
            for block in stage:
                x = block(x)
            if index in _POOLED:
                pooled += [ops.mean(x, axis=(1, 2)), ops.max(x, axis=(1, 2))]
        features = ops.concatenate(
            [
                *pooled,
                self._histogram(picture),
                # Spreads the shares near none at all.
                ops.sqrt(ops.mean(clipped, axis=(1, 2)) + 1e-4),
            ],
            axis=-1,
        )
        features = self.drop(features, training=training)
        code = self.code(self.hidden(features))
        # One curve for all channels: cameras have one, and a curve for each
        # would tint photos of one colour.
        log_slopes = self.gain(code) + self.bends(code)
        return ops.exp(ops.clip(log_slopes, -4.0, 2.0)), code

    def begin_with_imagenet(self, path):
        """Takes the trunk's weights from EfficientNet-lite2.

        Args:
            path: `.npz` of that network's arrays in the order of its layers,
                convolutions' kernels and biases, batch norms folded in.

        Raises:
            UserError: if the arrays do not fit.
        """
        weights = [v for conv in (self.stem, *self.trunk) for v in conv.weights]
        try:
            with np.load(path) as arrays:
                found = [arrays[name] for name in arrays.files[: len(weights)]]
        except (OSError, ValueError) as error:
            raise UserError(f"{path}: no array file: {error}") from error
        for variable, array in zip(weights, found, strict=True):
            if array.shape != tuple(variable.shape):
                raise UserError(
                    f"{path}: {variable.path} needs {tuple(variable.shape)}, "
                    f"found {array.shape}: not EfficientNet-lite2"
                )
            variable.assign(array.astype("float32"))

    @staticmethod
    def _histogram(thumbnail):
        # Every fourth pixel tells as much about the shares of values.
        thumbnail = thumbnail[:, ::2, ::2]
        found = []
        for low, centre, high in zip(
            (-0.03, *_BINS), _BINS, (*_BINS[1:], 1.01), strict=False
        ):
            rise = (thumbnail - low) / (centre - low)
            fall = (high - thumbnail) / (high - centre)
            hat = ops.clip(ops.minimum(rise, fall), 0.0, 1.0)
            found.append(ops.mean(hat, axis=(1, 2)))
        # Roots spread the small counts, where the differences matter.
        return 2.0 * ops.sqrt(ops.concatenate(found, axis=-1) + 1e-4)

    def get_config(self):
        return {**super().get_config(), **self.arguments}
