"""The global branch: a photo's thumbnail to its tone curve and embedding."""

import keras
from keras import layers, ops

from tfexposure.blind.camera_statistics import (
    HISTOGRAM_COUNT,
    STATISTICS_COUNT,
    camera_statistics,
    histograms,
)
from tfexposure.blind.local_unet import build_chain, conv
from tfexposure.blind.tone_curve import KNOTS
from tfexposure.imaging.clipping import MEAN_RAMP, clip_mask
from tfexposure.layers import constructor_arguments, full_precision, register

# The two middle levels see most of a scene; they get residual blocks.
_RESIDUAL_LEVELS = (2, 3)


class Branch(keras.layers.Layer):
    """A network of the thumbnail: what all of them are told.

    `_make` makes the inner layers.
    """

    def __init__(
        self,
        widths=(24, 32, 48, 64, 96),
        embedding_size=64,
        dropout=0.3,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.widths = tuple(widths)
        self.embedding_size = embedding_size
        self.dropout = dropout
        with full_precision(self):
            self._make(self.widths, embedding_size, dropout)

    def get_config(self):
        return {**super().get_config(), **constructor_arguments(self)}


@register
class GlobalEncoder(Branch):
    """Embeds a thumbnail (N, 128, 128, 9) as (N, embedding_size).

    Args:
        widths: channels after each halving of the thumbnail.
        embedding_size: length of the embedding.
        dropout: share of pooled features dropped in training.
        use_camera_statistics: whether `camera_statistics` are features, too.
        histogram_step: every so many rows and columns are counted.
    """

    def __init__(
        self,
        widths=(24, 32, 48, 64, 96),
        embedding_size=64,
        dropout=0.3,
        use_camera_statistics=False,
        histogram_step=1,
        **kwargs,
    ):
        super().__init__(widths, embedding_size, dropout, **kwargs)
        self.use_camera_statistics = use_camera_statistics
        self.histogram_step = histogram_step

    def _make(self, widths, embedding_size, dropout):
        self.downs = [conv(width, 2) for width in widths]
        residual_widths = [widths[level] for level in _RESIDUAL_LEVELS]
        self.residuals_in = [conv(width) for width in residual_widths]
        self.residuals_out = [
            conv(width, 1, 3, None) for width in residual_widths
        ]
        self.hidden = [layers.Dense(192, activation="relu") for _ in range(2)]
        self.feature_dropout = layers.Dropout(dropout)
        self.embedding = layers.Dense(embedding_size, activation="relu")

    def build(self, input_shape):
        # By shapes alone: a trace of `call` takes far longer. In its order,
        # which the initial weights follow.
        channels = input_shape[-1]
        for level, down in enumerate(self.downs):
            channels = build_chain([down], channels)
            if level in _RESIDUAL_LEVELS:
                index = _RESIDUAL_LEVELS.index(level)
                pair = self.residuals_in[index], self.residuals_out[index]
                build_chain(pair, channels)
        size = 2 * channels + HISTOGRAM_COUNT + input_shape[-1] // 3
        size += STATISTICS_COUNT if self.use_camera_statistics else 0
        for layer in (*self.hidden, self.embedding):
            layer.build((None, size))
            size = layer.units

    def call(self, thumbnail, training=False):
        image, clipped, samples = ops.split(thumbnail, 3, axis=-1)
        maps, step = self._convolve(image, clipped), self.histogram_step
        features = [
            ops.mean(maps, axis=(1, 2)),
            ops.max(maps, axis=(1, 2)),
            histograms(samples[:, ::step, ::step]),
            # Spreads the shares near none at all.
            ops.sqrt(ops.mean(clipped, axis=(1, 2)) + 1e-4),
        ]
        if self.use_camera_statistics:
            features.append(camera_statistics(samples, image, step))
        x = ops.concatenate(features, axis=-1)
        x = self.feature_dropout(x, training=training)
        for layer in self.hidden:
            x = layer(x)
        return self.embedding(x)

    def _convolve(self, image, clipped):
        mask = clip_mask(image, MEAN_RAMP)
        x = ops.concatenate([image * 2 - 1, mask, clipped], -1)
        for level, down in enumerate(self.downs):
            x = down(x)
            if level in _RESIDUAL_LEVELS:
                index = _RESIDUAL_LEVELS.index(level)
                inner = self.residuals_in[index](x)
                x = x + self.residuals_out[index](inner)
        return x


@register
class CurveExpert(Branch):
    """Predicts one tone curve and an embedding from a thumbnail.

    Input: (N, 128, 128, 9). Output: positive slopes (N, pieces), see
    `tone_curve`, and the embedding (N, embedding_size), which conditions the
    local network.

    Args:
        widths, embedding_size, dropout: see `GlobalEncoder`.
    """

    def _make(self, *arguments):
        self.encoder = GlobalEncoder(*arguments)
        # Logarithms: of the whole curve's slope, and of each piece's beside it.
        self.gain = layers.Dense(1, kernel_initializer="zeros")
        self.slopes = layers.Dense(len(KNOTS) - 1, kernel_initializer="zeros")

    def build(self, input_shape):
        self.encoder.build(input_shape)
        for layer in (self.gain, self.slopes):
            layer.build((None, self.embedding_size))

    def call(self, thumbnail, training=False):
        embedding = self.encoder(thumbnail, training=training)
        # One curve for all channels: cameras have one, and a curve for each
        # would tint photos of one colour.
        log_slopes = self.gain(embedding) + self.slopes(embedding)
        return ops.exp(ops.clip(log_slopes, -4.0, 2.0)), embedding
