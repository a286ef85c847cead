"""Spectral and batch normalisation folded into plain convolutions."""

import keras
import numpy as np

from tfexposure.layers import constructor_arguments
from tfexposure.paper.generator import UNetGenerator


def fold(generator: UNetGenerator) -> UNetGenerator:
    """Returns a plain network that answers the same at inference.

    Spectral normalisation becomes part of the kernels, batch normalisation
    part of kernels and biases, and noise, which adds nothing at inference, is
    left out. Instance normalisation depends on the picture and stays.

    The arithmetic is float64; the answers differ from the generator's by
    rounding only.

    Args:
        generator: `UNetGenerator`, built.

    Returns:
        `UNetGenerator` without spectral or batch normalisation or noise.
    """
    keep_norm = generator.norm == "instance"
    options = constructor_arguments(generator) | dict(
        noise="none",
        norm="instance" if keep_norm else "none",
        spectral_normalization=False,
    )
    folded = UNetGenerator(**options, dtype="float32")
    folded.build((None, None, None, 3))
    for source, plain in zip(generator.blocks(), folded.blocks(), strict=True):
        kernel, bias = _folded(source)
        plain.layer.kernel.assign(kernel.astype("float32"))
        if plain.layer.use_bias:
            plain.layer.bias.assign(bias.astype("float32"))
        if plain.normalization is not None:
            weights = source.normalization.get_weights()
            plain.normalization.set_weights(weights)
    return folded


def _folded(block):
    """Returns a block's kernel and bias in float64."""
    layer = block.layer
    kernel = _float64(layer.kernel)
    # Transposed convolutions have their output channels second to last.
    transposed = isinstance(layer, keras.layers.Conv2DTranspose)
    channels = kernel.shape[-2 if transposed else -1]
    bias = _float64(layer.bias) if layer.use_bias else np.zeros(channels)
    if block.spectral:
        u = _float64(block.convolution.u)
        v = _float64(block.convolution.v)
        matrix = kernel.reshape(-1, kernel.shape[-1])
        kernel = kernel / np.sum(v * (matrix @ u))
    if block.norm == "batch":
        norm = block.normalization
        deviation = np.sqrt(_float64(norm.moving_variance) + norm.epsilon)
        scale = _float64(norm.gamma) / deviation
        kernel = kernel * (scale[:, None] if transposed else scale)
        bias = (bias - _float64(norm.moving_mean)) * scale
        bias = bias + _float64(norm.beta)
    return kernel, bias


def _float64(variable):
    return keras.ops.convert_to_numpy(variable).astype("float64")
