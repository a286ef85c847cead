"""How bright a photo was meant to be is ambiguous: a distribution of curves."""

import math

import keras
import numpy as np
from keras import layers, ops

from tfexposure.blind.global_encoder import Branch, GlobalEncoder
from tfexposure.blind.tone_curve import KNOTS
from tfexposure.imaging.clipping import clip_mask
from tfexposure.imaging.luminance import luminance_of_channels
from tfexposure.imaging.tone_curve import pieces_of
from tfexposure.imaging.transfer_curves import GAMMA_2_2
from tfexposure.layers import register

# Errors below 35 dB are none.
_NO_ERROR = 3e-4
# How sharply the best hypothesis wins. Two that differ by 1 dB weigh 2.5 to 1.
_DECISION = 4.0
# Where the curves win over the identity with less than the first, the photo is
# left alone; from the second on the answer is taken in full.
_WINS = (0.5, 0.9)
# Every so many rows and columns of the thumbnail tell hypotheses apart.
_STEP = 4


@register
class CurveDistribution(Branch):
    """Predicts several tone curves, and how probable each one is.

    The first hypothesis is that nothing is wrong with the photo: its curve is
    the identity. What a power law clipped looks much like what a camera
    squeezed, a white hall like a blown one; a single answer would lie in
    between, and be wrong for all of them.

    Input: thumbnails (N, 128, 128, 9). Output: what `judge` returns.

    Args:
        widths, embedding_size, dropout: see `GlobalEncoder`.
        hypotheses: number of curves beside the identity.

    Reference:
        Bishop, Mixture density networks (1994); Rupprecht et al., Learning in
        an uncertain world (2017).
    """

    def __init__(
        self,
        widths=(24, 32, 48, 64, 96),
        embedding_size=64,
        dropout=0.3,
        hypotheses=6,
        **kwargs,
    ):
        self.hypotheses = hypotheses
        super().__init__(widths, embedding_size, dropout, **kwargs)

    def _make(self, widths, embedding_size, dropout):
        self.encoder = GlobalEncoder(
            widths, embedding_size, dropout, True, histogram_step=2
        )
        count = self.hypotheses
        # Logarithms: of the whole curve's slope, and of each piece's beside
        # it. Curves that began alike would stay so.
        self.gains = layers.Dense(
            count,
            kernel_initializer="zeros",
            bias_initializer=_Ramp(-0.1, -0.9),
        )
        pieces = (len(KNOTS) - 1) * count
        self.slopes = layers.Dense(pieces, kernel_initializer="zeros")
        self.logits = layers.Dense(count + 1, kernel_initializer="zeros")

    def build(self, input_shape):
        self.encoder.build(input_shape)
        for layer in (self.gains, self.slopes, self.logits):
            layer.build((None, self.embedding_size))

    def call(self, thumbnail, training=False):
        return self.judge(thumbnail, training=training)

    def judge(self, thumbnail, training=False):
        """Decides for a curve.

        Returns:
            Positive slopes (N, pieces) of the best curve, see `tone_curve`; the
            embedding (N, embedding_size); and the exposure (N, 3): the share of
            the answer that the photo needs, see `choose`, then mean and
            standard deviation of its stops, see `stops`.
        """
        slopes, logits, embedding = self.distribution(
            thumbnail, training=training
        )
        best, share = self.choose(slopes, logits, thumbnail)
        stops = self.stops(slopes, logits, thumbnail)
        exposure = ops.concatenate([share, *(s[:, None] for s in stops)], 1)
        return best, embedding, exposure

    def distribution(self, thumbnail, training=False):
        """Predicts the distribution.

        Returns:
            Slopes (N, 1 + hypotheses, pieces), the first ones 1, logits
            (N, 1 + hypotheses), and the embedding (N, embedding_size).
        """
        embedding = self.encoder(thumbnail, training=training)
        # One curve for all channels: cameras have one, and a curve for each
        # would tint photos of one colour.
        pieces = ops.reshape(
            self.slopes(embedding), (-1, self.hypotheses, len(KNOTS) - 1)
        )
        log_slopes = self.gains(embedding)[..., None] + pieces
        slopes = ops.exp(ops.clip(log_slopes, -4.0, 2.0))
        identity = ops.ones_like(slopes[:, :1])
        slopes = ops.concatenate([identity, slopes], axis=1)
        return slopes, self.logits(embedding), embedding

    def choose(self, slopes, logits, thumbnail):
        """Decides for the curve whose expected PSNR is the best.

        Args:
            slopes, logits: what `distribution` returned.
            thumbnail: (N, 128, 128, 9).

        Returns:
            Slopes (N, pieces), a geometric mean of the best ones but for the
            identity, and the share of the answer that the photo needs, in
            [0, 1], (N, 1): 0 where the identity is best.
        """
        samples = thumbnail[:, ::_STEP, ::_STEP, :3]
        products = CurveErrors(samples, samples).products
        apart = slopes[:, :, None] - slopes[:, None]
        square = ops.einsum("nijp,npq,nijq->nij", apart, products, apart)
        probable = ops.softmax(logits)
        expected = ops.einsum(
            "nj,nij->ni",
            probable,
            ops.log(ops.maximum(square, 0.0) + _NO_ERROR),
        )
        weights = ops.softmax(-_DECISION * expected)
        wins = 1.0 - weights[:, :1]
        others = weights[:, 1:, None] / ops.maximum(wins[..., None], 1e-6)
        mean = ops.sum(others * ops.log(slopes[:, 1:]), axis=1)
        return ops.exp(mean), clip_mask(wins, _WINS)

    def stops(self, slopes, logits, thumbnail):
        """By how many stops the hypotheses darken, and how they spread.

        Returns:
            Mean and standard deviation (N,) over the distribution.
        """
        image = thumbnail[:, ::_STEP, ::_STEP, :3]
        pieces = ops.mean(
            luminance_of_channels(
                *(pieces_of(image[..., channel], KNOTS) for channel in range(3))
            ),
            axis=(1, 2),
        )
        means = ops.einsum("nkp,np->nk", slopes, pieces)
        light = GAMMA_2_2.to_linear(ops.maximum(means, 1e-3))
        stops = ops.log2(light[:, :1] / light)
        probable = ops.softmax(logits)
        mean = ops.sum(probable * stops, axis=1, keepdims=True)
        spread = ops.sum(probable * ops.square(stops - mean), axis=1)
        return mean[:, 0], ops.sqrt(spread)


class CurveErrors:
    """Square errors of any tone curve on one batch, from a few products.

    A curve is its slopes times `pieces_of`, so that the error is a quadratic
    form of the slopes; it costs nothing to ask for one more curve.

    Args:
        image: (N, H, W, 3), what curves are applied to.
        target: (N, H, W, 3), what they should give.
        weight: (N, H, W, 3) of values, or None for 1.

    Attributes:
        products: (N, pieces, pieces).
    """

    def __init__(self, image, target, weight=None):
        flat = math.prod(image.shape[1:])
        pieces = pieces_of(image, KNOTS)
        pieces = ops.reshape(pieces, (-1, flat, len(KNOTS) - 1))
        target = ops.reshape(target, (-1, flat, 1))
        weight = (
            ops.ones_like(target)
            if weight is None
            else ops.reshape(weight, (-1, flat, 1))
        )
        weight = weight / (ops.sum(weight, axis=1, keepdims=True) + 0.02 * flat)
        weighted = ops.transpose(weight * pieces, (0, 2, 1))
        self.products = ops.matmul(weighted, pieces)
        self._wanted = ops.matmul(weighted, target)
        self._power = ops.sum(weight * target * target, axis=1)

    def square(self, slopes):
        """Returns the mean square errors (N, K) of slopes (N, K, pieces)."""
        own, both = self._terms(slopes)
        return ops.maximum(own - 2.0 * both + self._power, 0.0) + _NO_ERROR

    def square_best_gain(self, slopes):
        """The same after the best gain of each curve, in [1/2, 2]."""
        own, both = self._terms(slopes)
        gain = ops.clip((both + 1e-3) / (own + 1e-3), 0.5, 2.0)
        square = gain * gain * own - 2.0 * gain * both + self._power
        return ops.maximum(square, 0.0) + _NO_ERROR

    def _terms(self, slopes):
        own = ops.einsum("nkp,npq,nkq->nk", slopes, self.products, slopes)
        return own, ops.matmul(slopes, self._wanted)[..., 0]


class _Ramp(keras.initializers.Initializer):
    """Equal steps from one value to another."""

    def __init__(self, first, last):
        self.first, self.last = first, last

    def __call__(self, shape, dtype=None):
        return ops.convert_to_tensor(
            np.linspace(self.first, self.last, shape[0]), dtype
        )

    def get_config(self):
        return {"first": self.first, "last": self.last}
