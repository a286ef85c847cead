"""The `natural` model's look at the whole photo: how far is it overexposed?"""

import keras
from keras import layers, ops

from tfexposure.blind.camera_statistics import (
    camera_evidence,
    histograms,
)
from tfexposure.blind.local_unet import conv
from tfexposure.blind.tone_curve import KNOTS
from tfexposure.imaging.clipping import MEAN_RAMP, clip_mask
from tfexposure.layers import register

# How sharply the answer goes over from one kind of photo to the other
# (BUILD_NOTES.md has the figures of other choices).
_SURENESS = 10.0


@register
class PhotoCode(keras.layers.Layer):
    """Thumbnail (N, 128, 128, 9) -> what a whole photo is like, (N, code_size).

    Args:
        widths: channels after each halving of the thumbnail.
        code_size: length of the code.
        dropout: share of pooled features dropped in training.
        tells_cameras: whether `camera_evidence` is looked at as well.
    """

    def __init__(
        self,
        widths=(24, 32, 48, 64, 96),
        code_size=64,
        dropout=0.3,
        tells_cameras=False,
    ):
        super().__init__()
        self.arguments = dict(
            widths=widths,
            code_size=code_size,
            dropout=dropout,
            tells_cameras=tells_cameras,
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
        self.hidden = [layers.Dense(192, activation="relu") for _ in range(2)]
        self.drop = layers.Dropout(dropout)
        self.code = layers.Dense(code_size, activation="relu")

    def call(self, thumbnail, training=False):
        picture, clipped, samples = ops.split(thumbnail, 3, axis=-1)
        mask = clip_mask(picture, MEAN_RAMP)
        x = ops.concatenate([picture * 2 - 1, mask, clipped], -1)
        for level, down in enumerate(self.downs):
            x = down(x)
            for first, second in self.blocks.get(level, ()):
                x = x + second(first(x))
        features = [
            ops.mean(x, axis=(1, 2)),
            ops.max(x, axis=(1, 2)),
            histograms(samples),
            # Spreads the shares near none at all.
            ops.sqrt(ops.mean(clipped, axis=(1, 2)) + 1e-4),
        ]
        if self.arguments["tells_cameras"]:
            features.append(camera_evidence(samples, picture))
        features = ops.concatenate(features, axis=-1)
        features = self.drop(features, training=training)
        for layer in self.hidden:
            features = layer(features)
        return self.code(features)

    def get_config(self):
        return {**super().get_config(), **self.arguments}


@register
class PhotoSummary(keras.layers.Layer):
    """Whole-photo branch: thumbnail -> slopes of the tone curve and a code.

    Input: (N, 128, 128, 9). Output: positive slopes (N, pieces), see
    `tone_curve`, and the code (N, code_size), which steers the local network.

    Args:
        widths, code_size, dropout: see `PhotoCode`.
    """

    def __init__(self, widths=(24, 32, 48, 64, 96), code_size=64, dropout=0.3):
        super().__init__()
        self.arguments = dict(
            widths=widths, code_size=code_size, dropout=dropout
        )
        self.code = PhotoCode(widths, code_size, dropout)
        self.gain = layers.Dense(1, kernel_initializer="zeros")
        self.bends = layers.Dense(len(KNOTS) - 1, kernel_initializer="zeros")

    def call(self, thumbnail, training=False):
        code = self.code(thumbnail, training=training)
        # One curve for all channels: cameras have one, and a curve for each
        # would tint photos of one colour.
        log_slopes = self.gain(code) + self.bends(code)
        return ops.exp(ops.clip(log_slopes, -4.0, 2.0)), code

    @property
    def codes(self):
        """The convolutional networks of the branch."""
        return [self.code]

    def get_config(self):
        return {**super().get_config(), **self.arguments}


@register
class JudgedSummary(keras.layers.Layer):
    """Whole-photo branch of the blind model: two summaries and a judge.

    What the paper's power law clipped looks much like what a camera squeezed,
    but calls for another answer, and one network that learns both kinds gives
    answers in between. Here each summary learns one kind of photo, and the
    judge, which sees `camera_evidence` as well, learns to tell them. The answer
    is the summaries' mean (of slopes the geometric one), weighted by what the
    judge holds likely. Input and output are those of `PhotoSummary`.

    Args:
        widths, code_size, dropout: see `PhotoSummary`.
    """

    def __init__(self, widths=(24, 32, 48, 64, 96), code_size=64, dropout=0.3):
        super().__init__()
        self.arguments = dict(
            widths=widths, code_size=code_size, dropout=dropout
        )
        self.plain = PhotoSummary(widths, code_size, dropout)
        self.camera = PhotoSummary(widths, code_size, dropout)
        self.judge = PhotoCode(widths, code_size, dropout, tells_cameras=True)
        self.verdict = layers.Dense(1, kernel_initializer="zeros")

    def call(self, thumbnail, training=False):
        plain, camera, odds = self.both(thumbnail, training=training)
        return self.mix(plain, camera, odds)

    def both(self, thumbnail, training=False):
        """Looks at photos as if they were of either kind.

        Returns:
            For photos of the power law, slopes (N, pieces) and code; the same
            for a camera's; (N, 1), the logarithm of the odds of the latter.
        """
        return (
            self.plain(thumbnail, training=training),
            self.camera(thumbnail, training=training),
            self.odds(thumbnail, training=training),
        )

    def odds(self, thumbnail, training=False):
        """The logarithm of the odds that a camera made the photo: (N, 1)."""
        return self.verdict(self.judge(thumbnail, training=training))

    def mix(self, plain, camera, odds):
        """Takes what `both` gave to one answer.

        Returns:
            Slopes (N, pieces) and code (N, code_size), between the two kinds'.
        """
        share = ops.sigmoid(_SURENESS * odds)
        (slopes, code), (camera_slopes, camera_code) = plain, camera
        return (
            slopes ** (1.0 - share) * camera_slopes**share,
            code + share * (camera_code - code),
        )

    @property
    def codes(self):
        """The convolutional networks of the branch."""
        return [self.plain.code, self.camera.code, self.judge]

    def get_config(self):
        return {**super().get_config(), **self.arguments}
