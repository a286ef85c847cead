"""Spectral normalisation, noise, batch normalisation, padding."""

import keras
import numpy as np
import pytest
from keras import ops

from tfexposure.layers import (
    BatchNormalization,
    ConvBlock,
    NoiseInjection,
    SpectralNormalization,
    pad_to_multiple,
    seed_noise,
)

RNG = np.random.default_rng(0)


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def conv(**kwargs):
    return keras.layers.Conv2D(6, 3, padding="same", **kwargs)


def transposed(**kwargs):
    return keras.layers.Conv2DTranspose(5, 2, strides=2, **kwargs)


def largest_singular_value(layer):
    kernel = numpy(layer.kernel)
    return np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]))[1][0]


@pytest.mark.parametrize(
    ("inner", "shape"),
    [
        (conv, (None, 8, 9, 4)),
        (transposed, (None, 4, 5, 4)),
        (lambda: keras.layers.Dense(7), (None, 5)),
    ],
)
def test_sigma_equals_numpys_svd(inner, shape):
    layer = SpectralNormalization(inner())
    layer.build(shape)
    assert float(layer.sigma()) == pytest.approx(
        largest_singular_value(layer), rel=1e-5
    )
    # The kernel moves, as in training: the iteration has to follow.
    change = RNG.normal(0, 0.1, layer.kernel.shape)
    layer.kernel.assign(layer.kernel + change.astype("float32"))
    for _ in range(50):
        layer.update()
    assert float(layer.sigma()) == pytest.approx(
        largest_singular_value(layer), rel=0.01
    )


def test_the_norm_of_the_used_kernel_is_one():
    layer = SpectralNormalization(conv())
    layer.build((None, 8, 9, 4))
    kernel = numpy(layer.normalized_kernel()).reshape(-1, 6)
    assert np.linalg.svd(kernel)[1][0] == pytest.approx(1, rel=1e-5)


def test_the_norm_of_a_2x2_transposed_convolution_is_one_as_an_operator():
    # With stride = kernel size taps do not overlap, so sigma bounds exactly.
    layer = SpectralNormalization(transposed(use_bias=False))
    layer.build((1, 3, 3, 2))
    columns = []
    for index in range(3 * 3 * 2):
        unit = np.zeros(3 * 3 * 2, "float32")
        unit[index] = 1
        columns.append(numpy(layer(unit.reshape(1, 3, 3, 2))).ravel())
    operator = np.stack(columns, 1)
    assert np.linalg.svd(operator)[1][0] == pytest.approx(1, rel=1e-5)


def test_the_output_is_the_inner_layers_with_the_kernel_divided():
    layer = SpectralNormalization(conv())
    x = RNG.normal(size=(1, 8, 9, 4)).astype("float32")
    layer.build(x.shape)
    plain = conv()
    plain.build(x.shape)
    plain.set_weights([layer.normalized_kernel(), layer.layer.bias])
    np.testing.assert_array_equal(numpy(layer(x)), numpy(plain(x)))


def test_calls_change_nothing_and_updates_only_the_vectors():
    layer = SpectralNormalization(conv())
    x = RNG.normal(size=(1, 8, 9, 4)).astype("float32")
    layer.build(x.shape)
    layer.kernel.assign(layer.kernel * 3 + 0.1)
    before = [numpy(w).copy() for w in layer.weights]
    trained, evaluated = layer(x, training=True), layer(x, training=False)
    np.testing.assert_array_equal(numpy(trained), numpy(evaluated))
    for old, new in zip(before, layer.weights, strict=True):
        np.testing.assert_array_equal(old, numpy(new))
    layer.update()
    changed = [
        weight.name
        for old, weight in zip(before, layer.weights, strict=True)
        if not np.array_equal(old, numpy(weight))
    ]
    assert sorted(changed) == ["u", "v"]


@pytest.mark.tf_only
def test_the_gradient_flows_through_sigma():
    # d/dW of sum(C * W / sigma(W)), by central differences in float64.
    import tensorflow as tf

    keras.config.set_floatx("float64")
    try:
        inner = keras.layers.Dense(4, use_bias=False, dtype="float64")
        layer = SpectralNormalization(inner)
        layer.build((None, 3))
        direction = RNG.normal(size=(3, 4))
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(layer.normalized_kernel() * direction)
        gradient = tape.gradient(loss, layer.kernel.value).numpy()
        weights = numpy(layer.kernel)

        def value(matrix):
            return np.sum(matrix / np.linalg.svd(matrix)[1][0] * direction)

        expected = np.zeros_like(weights)
        for index in np.ndindex(*weights.shape):
            step = np.zeros_like(weights)
            step[index] = 1e-6
            difference = value(weights + step) - value(weights - step)
            expected[index] = difference / 2e-6
        np.testing.assert_allclose(gradient, expected, atol=1e-6)
        # The function does not depend on the kernel's length.
        assert abs(np.sum(gradient * weights)) < 1e-9
    finally:
        keras.config.set_floatx("float32")


def test_master_weights_keep_their_precision_under_a_mixed_policy():
    layer = SpectralNormalization(conv(dtype="mixed_bfloat16"))
    x = RNG.normal(size=(1, 8, 9, 4)).astype("float32")
    output = layer(x, training=True)
    assert keras.backend.standardize_dtype(output.dtype) == "bfloat16"
    kernel = numpy(layer.kernel)
    assert kernel.dtype == np.float32
    rounded = numpy(ops.cast(ops.cast(kernel, "bfloat16"), "float32"))
    assert not np.array_equal(kernel, rounded)


def test_keras_constructor_and_errors():
    layer = SpectralNormalization(conv(), power_iterations=2)
    config = layer.get_config()
    assert config["power_iterations"] == 2
    clone = SpectralNormalization.from_config(config)
    assert isinstance(clone.layer, keras.layers.Conv2D)
    with pytest.raises(ValueError, match="greater than zero"):
        SpectralNormalization(conv(), power_iterations=0)
    with pytest.raises(ValueError, match="no `kernel`"):
        SpectralNormalization(keras.layers.ReLU()).build((None, 4))


def test_kernels_are_saved_once(tmp_path):
    model = keras.Sequential(
        [
            keras.Input((8, 8, 64)),
            SpectralNormalization(keras.layers.Conv2D(64, 3)),
        ]
    )
    model.save(tmp_path / "model.keras")
    size = (tmp_path / "model.keras").stat().st_size
    assert size < 1.5 * 4 * model.count_params()
    x = RNG.normal(size=(1, 8, 8, 64)).astype("float32")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(numpy(model(x)), numpy(loaded(x)))


def test_noise_starts_at_nothing_and_is_one_channel_times_scales():
    layer = NoiseInjection(seed=3)
    x = np.zeros((2, 40, 50, 3), "float32")
    np.testing.assert_array_equal(numpy(layer(x, training=True)), x)
    layer.scale.assign([1.0, 0.0, -2.0])
    noise = numpy(layer(x, training=True))
    assert abs(noise[..., 0].mean()) < 0.05
    assert noise[..., 0].std() == pytest.approx(1, abs=0.05)
    np.testing.assert_array_equal(noise[..., 1], 0)
    np.testing.assert_allclose(noise[..., 2], -2 * noise[..., 0], rtol=1e-6)
    again = numpy(layer(x, training=True))
    assert not np.array_equal(noise, again)


def test_noise_at_inference():
    layer = NoiseInjection(seed=3)
    x = np.zeros((1, 6, 5, 2), "float32")
    layer.build(x.shape)
    layer.scale.assign([1.0, 1.0])
    np.testing.assert_array_equal(numpy(layer(x)), x)
    fixed = [numpy(layer(x, draw="fixed")) for _ in range(2)]
    np.testing.assert_array_equal(*fixed)
    assert fixed[0].std() > 0.5
    sampled = [numpy(layer(x, draw="sample")) for _ in range(2)]
    assert not np.array_equal(*sampled)
    with pytest.raises(ValueError, match="'mean', 'fixed' or 'sample'"):
        layer(x, draw="other")


def test_seed_noise_repeats_a_step():
    model = keras.Sequential([NoiseInjection(1), NoiseInjection(2)])
    x = np.zeros((1, 6, 5, 2), "float32")
    model.build(x.shape)
    for layer in model.layers:
        layer.scale.assign([1.0, 1.0])
    seed_noise(model, seed=7)
    draws = [numpy(model(x, training=True)) for _ in range(3)]
    seed_noise(model, seed=7, step=2)
    np.testing.assert_array_equal(numpy(model(x, training=True)), draws[2])
    seed_noise(model, seed=8, step=2)
    assert not np.array_equal(numpy(model(x, training=True)), draws[2])


def test_batch_normalisation_survives_a_large_mean():
    # E[x^2] - E[x]^2 has no correct digit left here in float32.
    x = RNG.normal(1000, 1, (4, 8, 8, 3)).astype("float32")
    layer = BatchNormalization(epsilon=1e-5)
    result = numpy(layer(x, training=True))
    exact = x.astype("float64")
    mean, deviation = exact.mean((0, 1, 2)), exact.std((0, 1, 2))
    np.testing.assert_allclose(result, (exact - mean) / deviation, atol=2e-3)
    np.testing.assert_allclose(numpy(layer.moving_mean), mean * 0.01, rtol=1e-4)


def test_conv_block_round_trip():
    block = ConvBlock(conv(), noise_seed=4, norm="batch", activation="relu")
    block.build((None, 8, 9, 4))
    clone = ConvBlock.from_config(block.get_config())
    clone.build((None, 8, 9, 4))
    clone.set_weights(block.get_weights())
    x = RNG.normal(size=(1, 8, 9, 4)).astype("float32")
    np.testing.assert_array_equal(numpy(block(x)), numpy(clone(x)))
    with pytest.raises(ValueError, match="`norm`.*'layer'"):
        ConvBlock(conv(), norm="layer")


@pytest.mark.parametrize("size", [(1, 1), (1, 7), (2, 2), (15, 33), (16, 32)])
def test_padding_mirrors_as_numpy_does(size):
    image = RNG.random((1, *size, 3)).astype("float32")
    result = numpy(pad_to_multiple(image, 16))
    pads = [(0, -side % 16) for side in size]
    expected = np.pad(image, ((0, 0), *pads, (0, 0)), mode="reflect")
    np.testing.assert_array_equal(result, expected)
