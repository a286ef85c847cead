"""The `natural` model: whole-photo curve and local filling, joined."""

import math

import keras
from keras import ops

from tfexposure.blind.global_encoder import (
    JudgedSummary,
    PhotoSummary,
)
from tfexposure.blind.local_unet import (
    ClipFiller,
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
    pad_to_multiple,
    register,
)


def _flops(conv, halvings):
    """Of a convolution, per pixel of a picture `halvings` times larger."""
    return 2 * math.prod(conv.kernel.shape) / 4**halvings


@register
class NaturalRestorer(keras.Model):
    """Gives an overexposed photo a natural exposure, blindly.

    Input: float (N, H, W, 3), display-encoded RGB in [0, 1]: whole photos, or
    the pair (image, thumbnail), where `image` may be a part of the photo and
    `thumbnail` is (N, 128, 128, 9) of the whole, as `thumbnail` makes it.
    Output: (N, H, W, 3); in [0, 1] unless training.

    Args:
        summary_widths: see `PhotoCode`.
        code_size: see `PhotoCode`.
        filler_widths: see `ClipFiller`.
        dropout: see `PhotoCode`.
        clip: values between which a channel goes over to clipped: below
            white, because JPEG moves values and a soft border shows less, but
            no lower than it must be, since the curve alone knows the rest.
        lift: value from which all channels may be lifted together, to the
            full at the end of `clip`: around a lamp or the sun the curve of a
            whole photo ends too dark, where a camera's shoulder squeezed the
            glow. No higher than the start of `clip`; that says: no lift below.
        stops: how far every photo is overexposed, if that is known: the curve
            is then the line that undoes it, eq. (10), whatever the photo.
    """

    def __init__(
        self,
        summary_widths=(24, 32, 48, 64, 96),
        code_size=64,
        filler_widths=(24, 48, 64, 96, 96),
        dropout=0.3,
        clip=MASK_RAMP,
        lift=0.7,
        stops=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.arguments = dict(
            summary_widths=list(summary_widths),
            code_size=code_size,
            filler_widths=list(filler_widths),
            dropout=dropout,
            clip=list(clip),
            lift=lift,
            stops=stops,
        )
        # Known stops leave nothing to judge.
        branch = JudgedSummary if stops is None else PhotoSummary
        self.summary_branch = branch(tuple(summary_widths), code_size, dropout)
        self.filler = ClipFiller(tuple(filler_widths))

    @property
    def multiple(self):
        """Tiles must start at multiples of this many pixels."""
        return 2 ** len(self.arguments["filler_widths"])

    @property
    def halo(self):
        """Pixels around a tile that its answer depends on, rounded up."""
        levels = len(self.arguments["filler_widths"])
        # Into level l (pixels of 2 ** (l + 1)): one 3x3 step and a 3x3 layer.
        reach = sum(2**level + 2 ** (level + 1) for level in range(levels))
        # Back to level l: one neighbour when enlarging, and two 3x3 layers.
        reach += sum(2 * 2 ** (level + 2) for level in range(levels - 1))
        reach += 2 + 2  # The head, and the last enlarging.
        return -(-reach // self.multiple) * self.multiple

    @property
    def flops_per_pixel(self):
        """Multiplications and additions of the local network, per pixel."""
        filler, total = self.filler, 0.0
        for level, (down, encode) in enumerate(
            zip(filler.downs, filler.encoders, strict=True)
        ):
            total += _flops(down, level + 1) + _flops(encode, level + 1)
        for level, narrow in enumerate(filler.narrows):
            total += _flops(narrow, level + 2)
            total += sum(_flops(c, level + 1) for c in filler.decoders[level])
        return total + _flops(filler.head, 1)

    @property
    def flops_per_photo(self):
        """The same of the whole-photo branch, once per photo."""
        convs = []
        for code in self.summary_branch.codes:
            convs += enumerate(code.downs)
            for level, pairs in code.blocks.items():
                convs += [(level, conv) for pair in pairs for conv in pair]
        pixels = THUMBNAIL_SIZE**2
        return pixels * sum(_flops(conv, level + 1) for level, conv in convs)

    def call(self, inputs, training=False):
        if isinstance(inputs, list | tuple):
            image, thumbnail = inputs
        else:
            image, thumbnail = inputs, self.thumbnail(inputs)
        slopes, code = self.summarize(thumbnail, training=training)
        return self.restore(image, slopes, code, training=training)

    def thumbnail(self, image):
        """Reduces whole photos (N, H, W, 3) to (N, 128, 128, 9)."""
        return thumbnails_of(image)

    def summarize(self, thumbnail, training=False):
        """Returns the tone curve's slopes (N, pieces) and the code."""
        slopes, code = self.summary_branch(thumbnail, training=training)
        if self.arguments["stops"] is not None:
            known = GAMMA_2_2.from_linear(2.0 ** -self.arguments["stops"])
            slopes = ops.zeros_like(slopes) + float(known)
        return slopes, code

    def clip_mask(self, image):
        """Says per channel how surely a value is clipped, in [0, 1]."""
        return clip_mask(image, self.arguments["clip"])

    def white_mask(self, image):
        """Says per channel how near white a value is, in [0, 1]."""
        ends = self.arguments["lift"], self.arguments["clip"][1]
        return white_mask(image, ends)

    def restore(self, image, slopes, code, training=False):
        """Restores photos, or parts of them, whose summary is known."""
        toned, correction = self.parts(image, slopes, code)
        restored = toned + correction
        return restored if training else ops.clip(restored, 0.0, 1.0)

    def parts(self, image, slopes, code):
        """Returns what the curve gives and what is added where it is clipped.

        Args:
            image: (N, H, W, 3) in [0, 1].
            slopes: see `summarize`.
            code: see `summarize`.

        Returns:
            Two (N, H, W, 3): the sum is the answer; the second is 0 wherever
            `self.white_mask` is.
        """
        height, width = ops.shape(image)[1:3]
        padded = pad_to_multiple(image, self.multiple)
        toned = tone_curve(padded, slopes)
        field = enlarge(self._field(padded, toned, code))
        rows = []
        for channel in range(3):
            part = field[..., 4 * channel : 4 * channel + 4]
            mixed = ops.sum(part[..., :3] * toned, axis=-1, keepdims=True)
            rows.append(mixed + part[..., 3:])
        correction = self.clip_mask(padded) * ops.concatenate(rows, axis=-1)
        correction = correction + self.white_mask(padded) * field[..., 12:]
        return (
            toned[:, :height, :width],
            correction[:, :height, :width],
        )

    def field(self, image, slopes, code):
        """What `parts` adds, as coefficients that vary slowly.

        A photo of many pixels is looked at once at reduced size; its field is
        enlarged and applied at full size, where `clip_mask` has the detail.

        Args:
            image: (N, H, W, 3) in [0, 1].
            slopes: see `summarize`.
            code: see `summarize`.

        Returns:
            (N, H' / 2, W' / 2, 13), H' and W' rounded up to `multiple`: per
            channel, three factors of the curve's answer and an offset, for
            clipped values; then the lift of all values near white.
        """
        padded = pad_to_multiple(image, self.multiple)
        return self._field(padded, tone_curve(padded, slopes), code)

    def _field(self, padded, toned, code):
        features = [padded * 2 - 1, toned * 2 - 1, self.clip_mask(padded)]
        return self.filler(ops.concatenate(features, -1), code)

    def build(self, input_shape=None):
        self.built = True
        slopes, code = self.summarize(
            keras.KerasTensor(
                (1, THUMBNAIL_SIZE, THUMBNAIL_SIZE, THUMBNAIL_CHANNELS)
            )
        )
        side = self.multiple
        self.restore(keras.KerasTensor((1, side, side, 3)), slopes, code)

    def compute_output_shape(self, input_shape):
        if isinstance(input_shape[0], list | tuple):
            return tuple(input_shape[0])
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), **self.arguments}
