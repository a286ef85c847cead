"""VGG-19 feature maps and the perceptual loss, eq. (5)."""

from pathlib import Path

import keras
import numpy as np
from keras import ops

# Convolutions per block, and the widths of the blocks.
_BLOCKS = ((2, 64), (2, 128), (4, 256), (4, 512), (4, 512))

# Five of the sixteen convolutions, regularly spaced (section 2.3).
FEATURE_LAYERS = (
    "block1_conv1",
    "block2_conv2",
    "block3_conv4",
    "block4_conv4",
    "block5_conv4",
)

NORMS = ("literal", "full", "equal")

# What gives the five maps, in the mean over channels, the same share of the
# loss of a restoration (benchmarks/perceptual_maps.py), and leaves its sum.
EQUAL_FACTORS = (9.37, 0.965, 0.444, 0.661, 10.69)

# Means of the training set in the order blue, green, red: Keras's "caffe"
# preprocessing, which the official weights were trained with.
_BGR_MEANS = (103.939, 116.779, 123.68)


def vgg19_features(weights, layers=FEATURE_LAYERS):
    """Builds the VGG-19 that yields feature maps before their ReLU.

    Only what `layers` need is built. The network is frozen: it runs in
    inference mode and owns no trainable weight.

    Args:
        weights: `"imagenet"` (Keras downloads the official file and checks
            its hash), `"random"` (for tests), or the path of the official
            no-top file: `.h5`, or `.npz` with keys `<layer>/kernel` and
            `<layer>/bias`.
        layers: names of the convolutions whose output is returned.

    Returns:
        keras.Model from float (N, H, W, 3) in [0, 1], display-encoded RGB, to
        a list of (N, h, w, c). Inputs are scaled to [0, 255], reordered to BGR
        and centred on the training means, without division.

    Raises:
        ValueError: if a layer is unknown, or the file lacks one.
        FileNotFoundError: if `weights` is neither a known word nor a file.
    """
    known = [
        f"block{block}_conv{index}"
        for block, (count, _) in enumerate(_BLOCKS, 1)
        for index in range(1, count + 1)
    ]
    unknown = set(layers) - set(known)
    if unknown:
        raise ValueError(f"VGG-19 has no layers {sorted(unknown)}")
    arrays = _load(weights, known)

    inputs = keras.Input((None, None, 3))
    x = _Preprocess()(inputs)
    outputs = {}
    for block, (count, filters) in enumerate(_BLOCKS, 1):
        for index in range(1, count + 1):
            name = f"block{block}_conv{index}"
            layer = keras.layers.Conv2D(
                filters, 3, padding="same", name=name, trainable=False
            )
            x = layer(x)
            if arrays is not None:
                layer.set_weights(arrays[name])
            outputs[name] = x
            if set(layers) <= set(outputs):
                break
            x = keras.layers.ReLU()(x)
        if set(layers) <= set(outputs):
            break
        x = keras.layers.MaxPooling2D(2)(x)
    model = keras.Model(inputs, [outputs[name] for name in layers])
    model.trainable = False
    return model


def perceptual_loss(target_features, restored_features, norm="literal"):
    """L1 distance of feature maps, each weighted by its size, eq. (5).

    Distances are divided by 255: feature units per unit of an input in
    [0, 1], as for the content loss.

    Args:
        target_features: list of (N, h, w, c), of `vgg19_features`.
        restored_features: the same for the reconstruction.
        norm: `"literal"`, the sum over channels and mean over positions that
            eq. (5) states; `"full"`, the mean over channels too; or
            `"equal"`, that times `EQUAL_FACTORS`, for the maps of
            `FEATURE_LAYERS`.

    Returns:
        float32 (N,).

    Raises:
        ValueError: for another norm, or other maps than `"equal"` knows.
    """
    total = 0.0
    for target, restored, factor in zip(
        target_features,
        restored_features,
        _factors(target_features, norm),
        strict=True,
    ):
        difference = ops.abs(
            ops.cast(target, "float32") - ops.cast(restored, "float32")
        )
        mean = ops.mean(difference, axis=(1, 2, 3)) / 255.0
        total += mean * factor
    return total


def _factors(maps, norm):
    """Returns the factor of each map's mean over all its values."""
    if norm not in NORMS:
        raise ValueError(f"`norm` must be one of {NORMS}. Received: {norm!r}")
    if norm == "equal":
        return EQUAL_FACTORS
    return [each.shape[-1] if norm == "literal" else 1 for each in maps]


@keras.saving.register_keras_serializable("tfexposure")
class _Preprocess(keras.layers.Layer):
    """[0, 1] RGB -> centred BGR of [0, 255]."""

    def call(self, inputs):
        bgr = ops.flip(inputs, axis=-1) * 255.0
        return bgr - ops.convert_to_tensor(_BGR_MEANS, dtype=bgr.dtype)


def _load(weights, names):
    """Returns {layer: [kernel, bias]}, or None for random weights."""
    if weights == "random":
        return None
    if weights == "imagenet":
        official = keras.applications.VGG19(include_top=False)
        return {name: official.get_layer(name).get_weights() for name in names}
    path = Path(weights)
    if not path.is_file():
        raise FileNotFoundError(
            f"VGG-19 weights: {weights!r} is neither 'imagenet' nor 'random' "
            "nor an existing .h5 or .npz file"
        )
    try:
        if path.suffix == ".npz":
            with np.load(path) as file:
                return {
                    name: [
                        file[f"{name}/{part}"].astype("float32")
                        for part in ("kernel", "bias")
                    ]
                    for name in names
                }
        official = keras.applications.VGG19(include_top=False, weights=path)
        return {name: official.get_layer(name).get_weights() for name in names}
    except (KeyError, OSError, ValueError) as error:
        raise ValueError(
            f"{path} does not hold VGG-19 without its top: {error}"
        ) from error
