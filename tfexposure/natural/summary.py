"""The `natural` model's look at the whole photo: how far is it overexposed?"""

import keras
from keras import layers, ops

from tfexposure.layers import register
from tfexposure.natural.curve import KNOTS, clip_mask
from tfexposure.natural.filler import conv

# Centres of the thumbnail's histogram, narrow near black and white.
_BINS = (0.0, 0.03, 0.07, 0.12, 0.18, 0.25, 0.32, 0.39, 0.46, 0.53, 0.6, 0.67)
_BINS += (0.74, 0.8, 0.85, 0.89, 0.92, 0.945, 0.965, 0.98, 0.99, 1.0)


@register
class PhotoSummary(keras.layers.Layer):
    """Whole-photo branch: thumbnail -> slopes of the tone curve and a code.

    Args:
        widths: channels after each halving of the thumbnail.
        code_size: length of the code that steers the local network.
        dropout: share of pooled features dropped in training.
    """

    def __init__(self, widths=(24, 32, 48, 64, 96), code_size=64, dropout=0.1):
        super().__init__()
        self.arguments = dict(
            widths=widths, code_size=code_size, dropout=dropout
        )
        self.downs = [conv(width, 2) for width in widths]
        # The two middle levels see most of a scene; they get residual blocks.
        self.blocks = {
            level: [(conv(widths[level]), conv(widths[level], 1, 3, None))]
            for level in (2, 3)
        }
        self.residuals = [
            layer for pair in self.blocks.values() for layer in pair[0]
        ]
        self.hidden = layers.Dense(128, activation="relu")
        self.drop = layers.Dropout(dropout)
        self.code = layers.Dense(code_size, activation="relu")
        self.gain = layers.Dense(1, kernel_initializer="zeros")
        self.bends = layers.Dense(len(KNOTS) - 1, kernel_initializer="zeros")

    def call(self, thumbnail, training=False):
        picture, clipped = thumbnail[..., :3], thumbnail[..., 3:]
        x = ops.concatenate([picture * 2 - 1, clip_mask(picture), clipped], -1)
        for level, down in enumerate(self.downs):
            x = down(x)
            for first, second in self.blocks.get(level, ()):
                x = x + second(first(x))
        features = ops.concatenate(
            [
                ops.mean(x, axis=(1, 2)),
                ops.max(x, axis=(1, 2)),
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
