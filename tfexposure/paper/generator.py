"""The generator: a U-Net from an overexposed photo to a restored one."""

import keras
from keras import ops

from tfexposure.layers import (
    ConvBlock,
    build_chain,
    constructor_arguments,
    pad_to_multiple,
    register,
)

# Field of view -> number of 3x3 convolutions per level (the rest of the two
# are 1x1), number in the bottleneck, pooling size.
PRESETS = {
    140: ((2, 2, 2, 2), 2, 2),
    70: ((1, 1, 2, 2), 0, 2),
    47: ((2, 1, 1, 0), 0, 3),
}
NOISE_MODES = ("none", "decoder", "all")


@register
class UNetGenerator(keras.Model):
    """U-Net with spectral normalisation and learned noise.

    Four levels of two stride-1 convolutions and one 2x2 max pooling, two
    bottleneck convolutions, and the mirror image of it with transposed
    convolutions in place of the poolings and links between equal levels.

    Input: float (N, H, W, 3), overexposed, in [0, 1], any size. Output: same
    shape, restored, in [0, 1]. Sizes that the stride of 16 does not divide are
    padded by mirroring and cropped back.

    Args:
        filters: int, width of the first level; the others have 2, 4 and 8
            times that, the bottleneck 8.
        field_of_view: 47, 70 or 140, in pixels, of the encoder.
        noise: `"none"`, `"decoder"` or `"all"` (encoder and decoder).
        norm: `"batch"`, `"instance"` or `"none"`.
        skip: `"concat"` or `"add"`, how links join the decoder.
        upsampling: `"transpose"` (2x2, stride 2) or `"resize"` (nearest
            neighbour, then a 3x3 convolution).
        spectral_normalization: bool, on all convolutions.

    Call arguments:
        training: bool.
        draw: what the noise is at inference; see `NoiseInjection`.

    Reference:
        Le Jeune, sections 3.1, 3.3 and 4.3, Fig. 1; SPEC: output through a
        sigmoid, no noise on it.
    """

    def __init__(
        self,
        filters=64,
        field_of_view=140,
        noise="all",
        norm="batch",
        skip="concat",
        upsampling="transpose",
        spectral_normalization=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        _check("field_of_view", field_of_view, PRESETS)
        _check("noise", noise, NOISE_MODES)
        _check("skip", skip, ("concat", "add"))
        _check("upsampling", upsampling, ("transpose", "resize"))
        self.filters = filters
        self.field_of_view = field_of_view
        self.noise = noise
        self.norm = norm
        self.skip = skip
        self.upsampling = upsampling
        self.spectral_normalization = spectral_normalization
        self.stride = 16
        self._blocks = 0
        counts, bottleneck, self.pool_size = PRESETS[field_of_view]
        self.kernel_sizes = [_kernel_sizes(n) for n in counts]
        self.bottleneck_kernels = _kernel_sizes(bottleneck)
        widths = [filters * factor for factor in (1, 2, 4, 8)]

        self.pool = keras.layers.MaxPooling2D(
            self.pool_size, strides=2, padding="same"
        )
        self.encoder = [
            self._level(width, kernels, level == 0)
            for level, (width, kernels) in enumerate(
                zip(widths, self.kernel_sizes, strict=True)
            )
        ]
        self.bottleneck = self._level(widths[-1], self.bottleneck_kernels)
        self.upsamplers = []
        self.decoder = []
        for width, kernels in zip(
            reversed(widths), reversed(self.kernel_sizes), strict=True
        ):
            self.upsamplers.append(self._upsampler(width))
            self.decoder.append(self._level(width, kernels, decoder=True))
        self.output_block = ConvBlock(
            _conv(keras.layers.Conv2D, 3, 1),
            spectral=spectral_normalization,
            norm="none",
            name="output",
        )

    def _level(self, width, kernels, first=False, decoder=False):
        return [
            self._block(
                keras.layers.Conv2D,
                width,
                kernel,
                # The network's very first layer is not normalised.
                norm="none" if first and index == 0 else None,
                decoder=decoder,
            )
            for index, kernel in enumerate(kernels)
        ]

    def _upsampler(self, width):
        if self.upsampling == "transpose":
            return self._block(
                keras.layers.Conv2DTranspose, width, 2, strides=2, decoder=True
            )
        return self._block(keras.layers.Conv2D, width, 3, decoder=True)

    def _block(self, layer, width, kernel, strides=1, norm=None, decoder=False):
        norm = norm or self.norm
        noisy = self.noise == "all" or (decoder and self.noise == "decoder")
        self._blocks += 1
        return ConvBlock(
            _conv(layer, width, kernel, strides, use_bias=norm == "none"),
            spectral=self.spectral_normalization,
            noise_seed=self._blocks if noisy else None,
            norm=norm,
            activation="relu" if decoder else "leaky_relu",
            name=f"block_{self._blocks}",
        )

    def build(self, input_shape):
        channels = input_shape[-1]
        # Sizes do not matter to the weights; None also keeps every size legal.
        skips = []
        for level in self.encoder:
            channels = build_chain(level, channels)
            skips.append(channels)
        channels = build_chain(self.bottleneck, channels)
        concat = self.skip == "concat"
        for upsampler, level in zip(self.upsamplers, self.decoder, strict=True):
            channels = build_chain([upsampler], channels)
            channels = (skips.pop() if concat else 0) + channels
            channels = build_chain(level, channels)
        build_chain([self.output_block], channels)

    def call(self, inputs, training=False, draw="mean"):
        height, width = ops.shape(inputs)[1:3]
        x = pad_to_multiple(inputs, self.stride)
        options = dict(training=training, draw=draw)
        skips = []
        for level in self.encoder:
            for block in level:
                x = block(x, **options)
            skips.append(x)
            x = self.pool(x)
        for block in self.bottleneck:
            x = block(x, **options)
        for upsampler, level in zip(self.upsamplers, self.decoder, strict=True):
            if self.upsampling == "resize":
                x = ops.repeat(ops.repeat(x, 2, axis=1), 2, axis=2)
            x = upsampler(x, **options)
            skip = skips.pop()
            if self.skip == "concat":
                x = ops.concatenate([x, skip], axis=-1)
            else:
                x = x + skip
            for block in level:
                x = block(x, **options)
        logits = self.output_block(x, **options)
        # In float32 at least: 8 bits of bfloat16 would show as banding.
        dtype = keras.backend.result_type(logits.dtype, "float32")
        logits = ops.cast(logits, dtype)
        return ops.sigmoid(logits)[:, :height, :width]

    def blocks(self):
        """Returns all `ConvBlock`s in the order of the data."""
        levels = [*self.encoder, self.bottleneck]
        for upsampler, level in zip(self.upsamplers, self.decoder, strict=True):
            levels += [[upsampler], level]
        return [block for level in levels for block in level] + [
            self.output_block
        ]

    def encoder_geometry(self):
        """Returns (kernel, stride) of every layer up to the bottleneck."""
        layers = []
        for kernels in self.kernel_sizes:
            layers += [(kernel, 1) for kernel in kernels]
            layers.append((self.pool_size, 2))
        return layers + [(kernel, 1) for kernel in self.bottleneck_kernels]

    def path_geometry(self):
        """Returns ("conv" | "down" | "up", kernel) along the deepest path."""
        path = [
            ("conv" if stride == 1 else "down", kernel)
            for kernel, stride in self.encoder_geometry()
        ]
        for kernels in reversed(self.kernel_sizes):
            path.append(("up", 2))
            if self.upsampling == "resize":
                path.append(("conv", 3))
            path += [("conv", kernel) for kernel in kernels]
        return path

    def get_config(self):
        return {**super().get_config(), **constructor_arguments(self)}


def _kernel_sizes(wide):
    return [3] * wide + [1] * (2 - wide)


def _conv(layer, filters, kernel_size, strides=1, use_bias=True):
    return layer(
        filters,
        kernel_size,
        strides=strides,
        padding="same",
        use_bias=use_bias,
        kernel_initializer=keras.initializers.RandomNormal(0.0, 0.02),
        name="conv",
    )


def _check(name, value, allowed):
    if value not in allowed:
        raise ValueError(
            f"`{name}` must be one of {sorted(allowed)}. Received: {value!r}"
        )
