"""The `natural` model: blind correction that keeps what was not wrong.

One look at the whole photo, as a small thumbnail, gives a tone curve: how far
it is overexposed, and by what sort of camera. The curve alone makes the answer
wherever no channel is clipped, so nothing is invented there. Where a channel
is clipped, a local network replaces it by an affine function of all three,
which carries detail over from channels that survived.

    restored = curve(image) + mask * (matrix @ curve(image) + offset)

The thumbnail's share is computed once per photo; the rest has a finite
support and no statistics of the picture, so tiles join exactly.
"""

import math

import keras
from keras import layers, ops

from tfexposure.layers import pad_to_multiple, register

# Side of the thumbnail, in pixels: the whole photo, averaged to a square.
THUMBNAIL_SIZE = 128
# Ends of the tone curve's straight pieces; a shoulder bends most near white.
KNOTS = (0.0, 0.06, 0.14, 0.26, 0.4, 0.55, 0.7, 0.8, 0.88, 0.94, 0.975, 1.0)
# A channel counts as clipped from below 255 on, because JPEG moves values:
# not at all up to the first, fully from the second value on.
CLIP_FROM, CLIP_TO = 0.88, 0.97
# The thumbnail's share of clipped pixels is stricter: few values below white.
SHARE_FROM, SHARE_TO = 0.97, 0.995
# Centres of the thumbnail's histogram, narrow near black and white.
_BINS = (0.0, 0.03, 0.07, 0.12, 0.18, 0.25, 0.32, 0.39, 0.46, 0.53, 0.6, 0.67)
_BINS += (0.74, 0.8, 0.85, 0.89, 0.92, 0.945, 0.965, 0.98, 0.99, 1.0)


def with_clip_share(image):
    """Adds to RGB how surely each channel is clipped: (..., 3) -> (..., 6).

    Averages hide a few blown pixels; their share is what tells a photo that
    lost its highlights from one that is merely bright.

    Args:
        image: NumPy array or tensor, floats in [0, 1].
    """
    share = ops.clip((image - SHARE_FROM) / (SHARE_TO - SHARE_FROM), 0.0, 1.0)
    return ops.concatenate([image, share], axis=-1)


def area_resize(images, size):
    """Averages images to squares; every pixel counts by the area it shares.

    Args:
        images: (N, H, W, C), of any size.
        size: int, side of the square in pixels.

    Returns:
        (N, size, size, C).
    """
    height, width, channels = images.shape[1:]
    if height and width and height % size == 0 and width % size == 0:
        block = (height // size, width // size)
        # Strides spelt out: Keras 3.15 on JAX derails on the default.
        return ops.average_pool(images, block, block)
    height, width = ops.shape(images)[1:3]
    rows, columns = _area_weights(height, size), _area_weights(width, size)
    images = ops.einsum("sh,nhwc->nswc", rows, images)
    images = ops.einsum("tw,nswc->nstc", columns, images)
    return ops.reshape(images, (-1, size, size, channels))


def thumbnails_of(photos):
    """Makes the thumbnails (N, 128, 128, 6) of whole photos (N, H, W, 3)."""
    return area_resize(with_clip_share(photos), THUMBNAIL_SIZE)


def _area_weights(length, size):
    step = ops.cast(length, "float32") / size
    edges = ops.expand_dims(ops.arange(size, dtype="float32"), 1) * step
    pixels = ops.expand_dims(ops.arange(length, dtype="float32"), 0)
    shared = ops.minimum(edges + step, pixels + 1) - ops.maximum(edges, pixels)
    return ops.clip(shared, 0.0, 1.0) / step


def clip_mask(image):
    """Says per channel how surely a value is clipped, in [0, 1]."""
    return ops.clip((image - CLIP_FROM) / (CLIP_TO - CLIP_FROM), 0.0, 1.0)


def tone_curve(image, slopes):
    """Applies one rising curve per photo, linear between `KNOTS`.

    Args:
        image: (N, H, W, 3) in [0, 1].
        slopes: (N, len(KNOTS) - 1), positive.

    Returns:
        (N, H, W, 3), 0 at 0.
    """
    total = 0.0
    for index, (low, high) in enumerate(zip(KNOTS, KNOTS[1:], strict=False)):
        slope = ops.reshape(slopes[:, index], (-1, 1, 1, 1))
        total = total + slope * ops.clip(image - low, 0.0, high - low)
    return total


def _conv(filters, strides=1, kernel_size=3, activation="relu"):
    return layers.Conv2D(
        filters,
        kernel_size,
        strides,
        padding="same",
        activation=activation,
        kernel_initializer="he_normal" if activation else "zeros",
    )


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
        self.downs = [_conv(width, 2) for width in widths]
        # The two middle levels see most of a scene; they get residual blocks.
        self.blocks = {
            level: [(_conv(widths[level]), _conv(widths[level], 1, 3, None))]
            for level in (2, 3)
        }
        self.residuals = [
            conv for pair in self.blocks.values() for conv in pair[0]
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


@register
class ClipFiller(keras.layers.Layer):
    """Local branch: a U-Net at half size and below, steered by the code.

    Args:
        widths: channels at 1/2, 1/4, ... of the photo's size.

    Output: (N, H/2, W/2, 12), per channel a row of the matrix and the offset.
    """

    def __init__(self, widths=(24, 48, 64, 96, 96)):
        super().__init__()
        self.arguments = dict(widths=widths)
        self.downs = [_conv(width, 2) for width in widths]
        self.encoders = [_conv(width) for width in widths]
        self.steers = [
            layers.Dense(2 * width, kernel_initializer="zeros")
            for width in widths
        ]
        self.narrows = [_conv(width, 1, 1) for width in widths[:-1]]
        self.decoders = [(_conv(width), _conv(width)) for width in widths[:-1]]
        self.decoder_list = [conv for pair in self.decoders for conv in pair]
        self.head = layers.Conv2D(
            12, 3, padding="same", kernel_initializer="zeros"
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


def _flops(conv, halvings):
    """Of a convolution, per pixel of a picture `halvings` times larger."""
    return 2 * math.prod(conv.kernel.shape) / 4**halvings


@register
class NaturalRestorer(keras.Model):
    """Gives an overexposed photo a natural exposure, blindly.

    Input: float (N, H, W, 3), display-encoded RGB in [0, 1]: whole photos, or
    the pair (image, thumbnail), where `image` may be a part of the photo and
    `thumbnail` is (N, 128, 128, 6) of the whole, as `thumbnail` makes it.
    Output: (N, H, W, 3); in [0, 1] unless training.

    Args:
        summary_widths: see `PhotoSummary`.
        code_size: see `PhotoSummary`.
        filler_widths: see `ClipFiller`.
        dropout: see `PhotoSummary`.
    """

    def __init__(
        self,
        summary_widths=(24, 32, 48, 64, 96),
        code_size=64,
        filler_widths=(24, 48, 64, 96, 96),
        dropout=0.1,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.arguments = dict(
            summary_widths=list(summary_widths),
            code_size=code_size,
            filler_widths=list(filler_widths),
            dropout=dropout,
        )
        self.summary_branch = PhotoSummary(
            tuple(summary_widths), code_size, dropout
        )
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
        branch = self.summary_branch
        convs = [*enumerate(branch.downs)]
        for level, pairs in branch.blocks.items():
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
        """Averages whole photos (N, H, W, 3) to (N, 128, 128, 6)."""
        return thumbnails_of(image)

    def summarize(self, thumbnail, training=False):
        """Returns the tone curve's slopes (N, pieces) and the code."""
        return self.summary_branch(thumbnail, training=training)

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
            `clip_mask` is.
        """
        shape = ops.shape(image)
        padded = pad_to_multiple(image, self.multiple)
        toned = tone_curve(padded, slopes)
        mask = clip_mask(padded)
        features = ops.concatenate([padded * 2 - 1, toned * 2 - 1, mask], -1)
        field = enlarge(self.filler(features, code))
        rows = []
        for channel in range(3):
            part = field[..., 4 * channel : 4 * channel + 4]
            mixed = ops.sum(part[..., :3] * toned, axis=-1, keepdims=True)
            rows.append(mixed + part[..., 3:])
        correction = mask * ops.concatenate(rows, axis=-1)
        height, width = shape[1], shape[2]
        return (
            toned[:, :height, :width],
            correction[:, :height, :width],
        )

    def build(self, input_shape=None):
        self.built = True
        slopes, code = self.summarize(
            keras.KerasTensor((1, THUMBNAIL_SIZE, THUMBNAIL_SIZE, 6))
        )
        side = self.multiple
        self.restore(keras.KerasTensor((1, side, side, 3)), slopes, code)

    def compute_output_shape(self, input_shape):
        if isinstance(input_shape[0], list | tuple):
            return tuple(input_shape[0])
        return tuple(input_shape)

    def get_config(self):
        return {**super().get_config(), **self.arguments}
