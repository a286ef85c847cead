"""The generator: structure, sizes, field of view, files."""

import subprocess
import sys
from itertools import product

import keras
import numpy as np
import pytest
from keras import ops

from tfexposure.layers import spectral_norms
from tfexposure.paper.field_of_view import (
    field_of_view,
    support_radius,
    tile_halo,
)
from tfexposure.paper.generator import UNetGenerator

RNG = np.random.default_rng(0)


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def photo(height, width, batch=1):
    return RNG.random((batch, height, width, 3)).astype("float32")


@pytest.fixture(scope="module")
def generator():
    model = UNetGenerator(filters=4)
    model(photo(16, 16))
    # Away from the start, where noise scales are 0 and statistics trivial.
    for weight in model.weights:
        if weight.name in ("gamma", "moving_variance"):
            weight.assign(RNG.uniform(0.5, 2, weight.shape))
        elif weight.name in ("beta", "moving_mean", "scale"):
            weight.assign(RNG.normal(0, 0.3, weight.shape))
    return model


def expected_parameters(filters):
    """Counts kernels, biases, noise scales and batch statistics by hand."""
    f = filters
    widths = [f, 2 * f, 4 * f, 8 * f]
    # (kernel area, channels in, channels out) of all normalised layers.
    layers = [(9, f, f)]
    for below, width in zip(widths, widths[1:], strict=False):
        layers += [(9, below, width), (9, width, width)]
    layers += [(9, 8 * f, 8 * f)] * 2
    channels = 8 * f
    for width in reversed(widths):
        layers += [(4, channels, width), (9, 2 * width, width)]
        layers += [(9, width, width)]
        channels = width
    total = sum(k * i * o + 4 * o + o for k, i, o in layers)
    first = 9 * 3 * f + f + f  # bias instead of statistics
    last = f * 3 + 3
    return total + first + last


def test_parameter_count():
    model = UNetGenerator(filters=4)
    model.build((None, None, None, 3))
    vectors = sum(
        int(np.prod(v.shape))
        for layer in spectral_norms(model)
        for v in (layer.u, layer.v)
    )
    assert model.count_params() - vectors == expected_parameters(4)
    # SPEC 3 gives 20.6 M for the paper's width.
    assert round(expected_parameters(64) / 1e6, 1) == 20.6


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 7), (3, 50), (15, 33), (16, 16), (37, 20)]
)
def test_any_size_comes_back_in_range(generator, size):
    restored = numpy(generator(photo(*size, batch=2)))
    assert restored.shape == (2, *size, 3)
    assert restored.dtype == np.float32
    assert 0 <= restored.min() and restored.max() <= 1


def test_padding_does_not_change_what_fits(generator):
    x = photo(40, 24)
    mirrored = np.pad(x, ((0, 0), (0, 8), (0, 8), (0, 0)), mode="reflect")
    np.testing.assert_allclose(
        numpy(generator(x)), numpy(generator(mirrored))[:, :40, :24], atol=1e-6
    )


def test_noise_modes():
    def noisy(mode):
        model = UNetGenerator(filters=2, noise=mode)
        model.build((None, None, None, 3))
        return [block.noise is not None for block in model.blocks()]

    # 4 x 2 + 2 blocks encode, 4 x (1 + 2) decode, the last gives the colours.
    assert noisy("none") == [False] * 23
    assert noisy("decoder") == [False] * 10 + [True] * 12 + [False]
    assert noisy("all") == [True] * 22 + [False]


def test_noise_draws_anew_in_training_only(generator):
    x = photo(16, 16)
    trained = [numpy(generator(x, draw="sample")) for _ in range(2)]
    assert not np.array_equal(*trained)
    np.testing.assert_array_equal(numpy(generator(x)), numpy(generator(x)))
    fixed = [numpy(generator(x, draw="fixed")) for _ in range(2)]
    np.testing.assert_array_equal(*fixed)


def test_every_layer_draws_its_own_noise(generator):
    seeds = [b.noise.seed for b in generator.blocks() if b.noise is not None]
    assert len(set(seeds)) == len(seeds) == 22


def test_first_and_last_layer_are_not_normalised(generator):
    norms = [block.norm for block in generator.blocks()]
    assert norms == ["none"] + ["batch"] * 21 + ["none"]
    # A bias before a normalisation would only add rounding noise.
    biases = [block.layer.use_bias for block in generator.blocks()]
    assert biases == [True] + [False] * 21 + [True]


def test_every_convolution_is_spectrally_normalised(generator):
    assert len(spectral_norms(generator)) == 23
    for layer in spectral_norms(generator):
        kernel = numpy(layer.normalized_kernel())
        matrix = kernel.reshape(-1, kernel.shape[-1])
        assert np.linalg.svd(matrix)[1][0] == pytest.approx(1, rel=1e-4)


@pytest.mark.parametrize(
    ("norm", "skip", "upsampling"),
    list(
        product(
            ("batch", "instance", "none"),
            ("concat", "add"),
            ("transpose", "resize"),
        )
    ),
)
def test_every_combination_runs(norm, skip, upsampling):
    model = UNetGenerator(
        filters=4, norm=norm, skip=skip, upsampling=upsampling
    )
    # Padded to 16 x 16, for which JAX has compiled most of it already.
    assert numpy(model(photo(15, 16))).shape == (1, 15, 16, 3)


@pytest.mark.parametrize("upsampling", ["transpose", "resize"])
@pytest.mark.parametrize("preset", [47, 70, 140])
def test_support_formulas_by_brute_force(preset, upsampling):
    model = UNetGenerator(
        filters=2,
        field_of_view=preset,
        noise="none",
        norm="none",
        upsampling=upsampling,
        spectral_normalization=False,
    )
    model.build((None, None, None, 3))
    assert field_of_view(model) == preset
    # With positive weights on a black photo nothing cancels and a bright
    # column wins every maximum: whatever can be influenced is.
    for weight in model.weights:
        weight.assign(ops.full(weight.shape, float(weight.name == "kernel")))
    size, middle = 256, 128
    impulses = np.eye(size, dtype="float32").reshape(size, 1, size, 1)
    inputs = np.broadcast_to(impulses, (size, 16, size, 3))
    restored = numpy(model(inputs))
    moved = np.any(restored != 0.5, axis=(1, 3))  # (input, output) columns
    touched = {p: np.flatnonzero(moved[:, p]) for p in range(middle, 144)}
    reach = max(
        max(position - pixels.min(), pixels.max() - position)
        for position, pixels in touched.items()
    )
    assert support_radius(model) == reach
    low = min(pixels.min() for pixels in touched.values())
    high = max(pixels.max() for pixels in touched.values())
    needed = max(middle - low, high - 143)
    assert tile_halo(model) == -(-needed // 16) * 16


@pytest.mark.parametrize("preset", [47, 70, 140])
def test_field_of_view_by_the_support_of_the_gradient(preset):
    # The encoder alone, rebuilt from its geometry out of plain convolutions
    # with positive weights.
    model = UNetGenerator(filters=2, field_of_view=preset)
    x = keras.Input((16, 256, 1))
    y = x
    for kernel, stride in model.encoder_geometry():
        y = keras.layers.Conv2D(
            1,
            kernel,
            strides=stride,
            padding="same",
            kernel_initializer="ones",
            use_bias=False,
        )(y)
    encoder = keras.Model(x, y)
    impulses = np.eye(256, dtype="float32").reshape(256, 1, 256, 1)
    inputs = np.broadcast_to(impulses, (256, 16, 256, 1))
    seen = np.flatnonzero(numpy(encoder(inputs))[:, 0, 8, 0])
    assert seen.max() - seen.min() + 1 == preset


def test_unknown_options_are_refused():
    for option in (
        {"field_of_view": 100},
        {"noise": "encoder"},
        {"norm": "layer"},
        {"skip": "none"},
        {"upsampling": "bilinear"},
    ):
        (name, value), *_ = option.items()
        with pytest.raises(ValueError, match=f"`{name}`.*{value}"):
            UNetGenerator(filters=4, **option)


def test_config_round_trip():
    options = dict(
        filters=4,
        field_of_view=47,
        noise="decoder",
        norm="instance",
        skip="add",
        upsampling="resize",
        spectral_normalization=False,
    )
    config = UNetGenerator(**options).get_config()
    assert {name: config[name] for name in options} == options
    assert UNetGenerator.from_config(config).get_config() == config


def test_keras_file_in_a_fresh_process(generator, tmp_path):
    x = photo(20, 33)
    np.save(tmp_path / "x.npy", x)
    generator.save(tmp_path / "generator.keras")
    program = (
        "import sys, keras, numpy as np\n"
        "import tfexposure.paper.generator\n"
        "model = keras.models.load_model('generator.keras')\n"
        "y = model(np.load('x.npy'))\n"
        "np.save('y.npy', keras.ops.convert_to_numpy(y))\n"
        "if keras.backend.backend() == 'jax':\n"
        "    assert 'tensorflow' not in sys.modules\n"
    )
    subprocess.run([sys.executable, "-c", program], cwd=tmp_path, check=True)
    np.testing.assert_allclose(
        np.load(tmp_path / "y.npy"), numpy(generator(x)), atol=1e-6
    )
