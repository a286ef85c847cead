"""The discriminator: one logit per patch, given the overexposed image."""

import keras
from keras import ops

from tfexposure.layers import (
    ConvBlock,
    build_chain,
    constructor_arguments,
    register,
)

# Field of view -> kernel sizes; every layer has stride 2.
PRESETS = {
    70: (4, 4, 4, 3, 3),
    94: (4, 4, 4, 4, 4),
    140: (4, 3, 4, 4, 3, 3),
}


@register
class PatchDiscriminator(keras.Model):
    """Stride-2 convolutions that end in one logit per patch.

    Input: pair (overexposed, candidate), each float (N, H, W, 3) in [0, 1];
    the candidate is the original or the reconstruction. Output: float32
    (N, h, w, 1), unbounded. **1 means fake, 0 real**, the reverse of the usual
    coding.

    Args:
        filters: int, width of the first layer; it doubles per layer up to 8
            times that.
        field_of_view: 70, 94 or 140, in pixels: the side of one logit's patch.
        norm: `"batch"`, `"instance"` or `"none"`; the first and the last layer
            are never normalised.
        spectral_normalization: bool, on all convolutions.

    Reference:
        Le Jeune, sections 3.1 and 4.3, Fig. 1.
    """

    def __init__(
        self,
        filters=64,
        field_of_view=70,
        norm="batch",
        spectral_normalization=True,
        **kwargs,
    ):
        super().__init__(**kwargs)
        if field_of_view not in PRESETS:
            raise ValueError(
                f"`field_of_view` must be one of {sorted(PRESETS)}. "
                f"Received: {field_of_view!r}"
            )
        self.filters = filters
        self.field_of_view = field_of_view
        self.norm = norm
        self.spectral_normalization = spectral_normalization
        self.kernel_sizes = PRESETS[field_of_view]
        last = len(self.kernel_sizes) - 1
        self.blocks = []
        for index, kernel in enumerate(self.kernel_sizes):
            plain = index in (0, last)
            layer = keras.layers.Conv2D(
                1 if index == last else filters * min(2**index, 8),
                kernel,
                strides=2,
                padding="same",
                use_bias=plain or norm == "none",
                kernel_initializer=keras.initializers.RandomNormal(0.0, 0.02),
                name="conv",
            )
            self.blocks.append(
                ConvBlock(
                    layer,
                    spectral=spectral_normalization,
                    norm="none" if plain else norm,
                    activation=None if index == last else "leaky_relu",
                    name=f"block_{index + 1}",
                )
            )

    def build(self, input_shape):
        channels = sum(shape[-1] for shape in input_shape)
        build_chain(self.blocks, channels)

    def call(self, inputs, training=False):
        overexposed, candidate = inputs
        x = ops.concatenate([overexposed, candidate], axis=-1)
        for block in self.blocks:
            x = block(x, training=training)
        return ops.cast(x, keras.backend.result_type(x.dtype, "float32"))

    def encoder_geometry(self):
        """Returns (kernel, stride) of every layer."""
        return [(kernel, 2) for kernel in self.kernel_sizes]

    def get_config(self):
        return {**super().get_config(), **constructor_arguments(self)}
