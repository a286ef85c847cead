"""The blind model: global tone curve and local affine transforms, joined."""

import math

import keras
from keras import ops

from tfexposure.blind.curve_distribution import CurveDistribution
from tfexposure.blind.global_encoder import CurveExpert
from tfexposure.blind.local_unet import (
    LIFT,
    MATRIX_ROWS,
    OFFSETS,
    LocalUNet,
    enlarge,
)
from tfexposure.blind.tone_curve import tone_curve
from tfexposure.imaging.clipping import MASK_RAMP, clip_mask, white_mask
from tfexposure.imaging.thumbnail import (
    THUMBNAIL_CHANNELS,
    THUMBNAIL_SIZE,
    thumbnails_of,
)
from tfexposure.imaging.transfer_curves import GAMMA_2_2
from tfexposure.layers import (
    constructor_arguments,
    full_precision,
    pad_to_multiple,
    register,
)


def mix_in(image, answer, exposure):
    """Mixes into images the share of an answer that their photos need.

    Args:
        image, answer: (N, H, W, 3).
        exposure: (N, 3), of `BlindRestorer.encode_photo`.
    """
    share = exposure[:, :1, None, None]
    return image + share * (answer - image)


@register
class BlindRestorer(keras.Model):
    """Gives an overexposed photo a natural exposure, blindly.

    Input: float (N, H, W, 3), display-encoded RGB in [0, 1]: whole photos, or
    the pair (image, thumbnail), where `image` may be a part of the photo and
    `thumbnail` is (N, 128, 128, 9) of the whole, as `thumbnail` makes it.
    Output: (N, H, W, 3); in [0, 1] unless training.

    Args:
        encoder_widths: see `GlobalEncoder`.
        embedding_size: see `GlobalEncoder`.
        unet_widths: see `LocalUNet`.
        dropout: see `GlobalEncoder`.
        clip: values between which a channel goes over to clipped: below
            white, because JPEG moves values and a soft border shows less, but
            no lower than it must be, since the curve alone knows the rest.
        lift: value from which all channels may be lifted together, to the
            full at the end of `clip`: around a lamp or the sun the curve of a
            whole photo ends too dark, where a camera's shoulder squeezed the
            glow. No higher than the start of `clip`; that says: no lift below.
        known_stops: how far every photo is overexposed, if that is known: the
            curve is then the line that undoes it, eq. (10), whatever the
            photo.
        hypotheses: see `CurveDistribution`.
    """

    def __init__(
        self,
        encoder_widths=(24, 32, 48, 64, 96),
        embedding_size=96,
        unet_widths=(24, 48, 64, 96, 96),
        dropout=0.3,
        clip=MASK_RAMP,
        lift=0.7,
        known_stops=None,
        hypotheses=8,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.encoder_widths = tuple(encoder_widths)
        self.embedding_size = embedding_size
        self.unet_widths = tuple(unet_widths)
        self.dropout = dropout
        self.clip = tuple(clip)
        self.lift = lift
        self.known_stops = known_stops
        self.hypotheses = hypotheses
        arguments = encoder_widths, embedding_size, dropout
        with full_precision(self):
            if known_stops is not None:
                # A known exposure leaves nothing to tell.
                self.global_branch = CurveExpert(*arguments)
            else:
                self.global_branch = CurveDistribution(*arguments, hypotheses)
            self.local_unet = LocalUNet(unet_widths)

    @property
    def multiple(self):
        """Tiles must start at multiples of this many pixels."""
        return 2 ** len(self.unet_widths)

    @property
    def halo(self):
        """Pixels around a tile that its answer depends on, rounded up."""
        levels = len(self.unet_widths)
        # Into level l (pixels of 2 ** (l + 1)): one 3x3 step and a 3x3 layer.
        reach = sum(2**level + 2 ** (level + 1) for level in range(levels))
        # Back to level l: one neighbour when enlarging, and two 3x3 layers.
        reach += sum(2 * 2 ** (level + 2) for level in range(levels - 1))
        reach += 2 + 2  # The head, and the last enlarging.
        return -(-reach // self.multiple) * self.multiple

    @property
    def flops_per_pixel(self):
        """Multiplications and additions of the local network, per pixel."""
        return sum(
            2 * math.prod(conv.kernel.shape) / 4**halvings
            for conv, halvings in self.local_unet.convolutions()
        )

    def call(self, inputs, training=False):
        if isinstance(inputs, list | tuple):
            image, thumbnail = inputs
        else:
            image, thumbnail = inputs, self.thumbnail(inputs)
        slopes, embedding, exposure = self.encode_photo(thumbnail, training)
        answer = self.restore(image, slopes, embedding, training=training)
        return mix_in(image, answer, exposure)

    def thumbnail(self, image):
        """Reduces whole photos (N, H, W, 3) to (N, 128, 128, 9)."""
        return thumbnails_of(image)

    def encode_photo(self, thumbnail, training=False):
        """Encodes whole photos by their thumbnails (N, 128, 128, 9).

        Returns:
            Slopes of the tone curve (N, pieces); the embedding
            (N, embedding_size); and the exposure (N, 3): the share of the
            answer that the photo needs, in [0, 1], by how many stops it is
            overexposed, and how far these spread: see `CurveDistribution`.
        """
        if self.known_stops is None:
            return self.global_branch.judge(thumbnail, training=training)
        slopes, embedding = self.global_branch(thumbnail, training=training)
        known = float(GAMMA_2_2.from_linear(2.0**-self.known_stops))
        slopes = ops.zeros_like(slopes) + known
        told = ops.convert_to_tensor([1.0, self.known_stops, 0.0], slopes.dtype)
        return slopes, embedding, ops.zeros_like(slopes[:, :1]) + told

    def clip_mask(self, image):
        """Says per channel how surely a value is clipped, in [0, 1]."""
        return clip_mask(image, self.clip)

    def white_mask(self, image):
        """Says per channel how near white a value is, in [0, 1]."""
        return white_mask(image, (self.lift, self.clip[1]))

    def restore(self, image, slopes, embedding, training=False):
        """Restores photos, or parts of them, that `encode_photo` encoded."""
        toned, correction = self.tone_and_correct(image, slopes, embedding)
        restored = toned + correction
        return restored if training else ops.clip(restored, 0.0, 1.0)

    def tone_and_correct(self, image, slopes, embedding):
        """Computes the tone curve's answer and what corrects it at full size.

        Args:
            image: (N, H, W, 3) in [0, 1].
            slopes: see `encode_photo`.
            embedding: see `encode_photo`.

        Returns:
            Two (N, H, W, 3): the sum is the answer; the second is 0 wherever
            `self.white_mask` is.
        """
        height, width = ops.shape(image)[1:3]
        padded = pad_to_multiple(image, self.multiple)
        toned = tone_curve(padded, slopes)
        coefficients = enlarge(self._coefficients(padded, toned, embedding))
        rows = [
            ops.sum(coefficients[..., row] * toned, axis=-1, keepdims=True)
            + coefficients[..., offset]
            for row, offset in zip(MATRIX_ROWS, OFFSETS, strict=True)
        ]
        correction = self.clip_mask(padded) * ops.concatenate(rows, axis=-1)
        lift = self.white_mask(padded) * coefficients[..., LIFT]
        correction = correction + lift
        return (
            toned[:, :height, :width],
            correction[:, :height, :width],
        )

    def affine_coefficients(self, image, slopes, embedding):
        """Computes the coefficients of the correction, which vary slowly.

        A photo of many pixels passes once, at reduced size; its coefficients
        are enlarged and applied at full size, where `clip_mask` has the
        detail.

        Args:
            image: (N, H, W, 3) in [0, 1].
            slopes: see `encode_photo`.
            embedding: see `encode_photo`.

        Returns:
            (N, H' / 2, W' / 2, 13), H' and W' rounded up to `multiple`: per
            channel, three factors of the curve's answer and an offset, for
            clipped values; then the lift of all values near white. See
            `MATRIX_ROWS`, `OFFSETS` and `LIFT` of `local_unet`.
        """
        padded = pad_to_multiple(image, self.multiple)
        toned = tone_curve(padded, slopes)
        return self._coefficients(padded, toned, embedding)

    def _coefficients(self, padded, toned, embedding):
        features = [padded * 2 - 1, toned * 2 - 1, self.clip_mask(padded)]
        return self.local_unet(ops.concatenate(features, -1), embedding)

    def build(self, input_shape=None):
        self.built = True
        thumbnail = THUMBNAIL_SIZE, THUMBNAIL_SIZE, THUMBNAIL_CHANNELS
        self.global_branch.build((None, *thumbnail))
        # Pixels, the curve's answer, and the mask, of three channels each.
        self.local_unet.build(
            (None, None, None, 9), (None, self.embedding_size)
        )

    def compute_output_shape(self, input_shape):
        if isinstance(input_shape[0], list | tuple):
            return tuple(input_shape[0])
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), **constructor_arguments(self)}
