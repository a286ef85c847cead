"""VGG-19 features against Keras's own network and stored figures."""

import keras
import numpy as np
import pytest
from keras import ops
from PIL import Image, ImageFilter

from tfexposure.perceptual import (
    EQUAL_FACTORS,
    FEATURE_LAYERS,
    perceptual_loss,
    vgg19_features,
)

CROP = (100, 100, 228, 228)
RNG = np.random.default_rng(0)


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def picture():
    y, x = np.mgrid[0:48, 0:64] / 64.0
    planes = [x, y, 0.5 + 0.5 * np.sin(20 * x * y)]
    return np.stack(planes, -1)[None].astype("float32")


@pytest.fixture(scope="module")
def features():
    return vgg19_features("random")


def test_five_maps_of_the_known_sizes(features):
    shapes = [tuple(f.shape) for f in features(picture())]
    assert shapes == [
        (1, 48, 64, 64),
        (1, 24, 32, 128),
        (1, 12, 16, 256),
        (1, 6, 8, 512),
        (1, 3, 4, 512),
    ]
    assert features.count_params() == 20_024_384


def test_it_is_frozen(features):
    assert not features.trainable_weights
    x = picture()
    np.testing.assert_array_equal(
        numpy(features(x, training=True)[4]), numpy(features(x)[4])
    )


def test_only_what_is_asked_for_is_built():
    model = vgg19_features("random", FEATURE_LAYERS[:2])
    assert [layer.name for layer in model.layers if layer.weights] == [
        "block1_conv1",
        "block1_conv2",
        "block2_conv1",
        "block2_conv2",
    ]
    with pytest.raises(ValueError, match="block6_conv1"):
        vgg19_features("random", ("block6_conv1",))


def test_maps_equal_keras_applications_before_relu(features):
    official = keras.applications.VGG19(include_top=False, weights=None)
    for layer in features.layers:
        if layer.weights:
            official.get_layer(layer.name).set_weights(layer.get_weights())
    probe = keras.Model(
        official.input,
        [official.get_layer(name).output for name in FEATURE_LAYERS],
    )
    x = picture()
    scaled = keras.applications.vgg19.preprocess_input(x * 255)
    for ours, theirs in zip(features(x), probe(scaled), strict=True):
        np.testing.assert_allclose(
            np.maximum(numpy(ours), 0), numpy(theirs), rtol=1e-4, atol=1e-3
        )
        assert numpy(ours).min() < 0


def test_official_weights_give_the_stored_figures(shared):
    # Mean and deviation of each map with the official float32 file (MD5
    # 253f8cb515780f3b799900260a226db6); float16 weights come within 0.1 %.
    path = shared / "weights" / "vgg19_notop_imagenet_f16.npz"
    expected = [
        (6.74581, 107.80533),
        (-28.9936, 617.573),
        (392.1189, 1719.64941),
        (-709.32227, 806.68115),
        (-50.91805, 40.56104),
    ]
    for map_, (mean, deviation) in zip(
        vgg19_features(str(path))(picture()), expected, strict=True
    ):
        values = numpy(map_)
        assert values.std() == pytest.approx(deviation, rel=1e-3)
        assert values.mean() == pytest.approx(mean, abs=1e-3 * deviation)


def test_the_loss_by_hand():
    target = [np.zeros((2, 2, 3, 4), "float32")]
    restored = [np.full((2, 2, 3, 4), 2.55, "float32")]
    restored[0][1] = -25.5
    # Mean over 2 x 3 positions; 4 channels summed or averaged.
    literal = numpy(perceptual_loss(target, restored, "literal"))
    np.testing.assert_allclose(literal, [0.04, 0.4], rtol=1e-6)
    full = numpy(perceptual_loss(target, restored, "full"))
    np.testing.assert_allclose(full, [0.01, 0.1], rtol=1e-6)
    with pytest.raises(ValueError, match="'literal', 'full', 'equal'"):
        perceptual_loss(target, restored, "mean")


def test_equal_weights_the_maps():
    target = [np.zeros((1, 2, 3, c), "float32") for c in (4, 8, 16, 32, 32)]
    for index, factor in enumerate((9.37, 0.965, 0.444, 0.661, 10.69)):
        restored = list(target)
        restored[index] = restored[index] + np.float32(2.55)
        loss = numpy(perceptual_loss(target, restored, "equal"))
        # Sums of up to 192 floats of 32 bits.
        np.testing.assert_allclose(loss, [0.01 * factor], rtol=1e-5)
    with pytest.raises(ValueError):
        perceptual_loss(target[:1], target[:1], "equal")


def test_equal_maps_have_equal_shares(shared):
    """Of a blur, which the factors were not fitted to."""
    path = shared / "weights" / "vgg19_notop_imagenet_f16.npz"
    features = vgg19_features(str(path))
    folder = shared / "photos" / "samples"
    photo = Image.open(folder / "coffee.jpg").convert("RGB").crop(CROP)
    images = (photo, photo.filter(ImageFilter.GaussianBlur(1)))
    maps = [features(np.float32(image)[None] / 255) for image in images]
    terms = [
        factor * np.abs(numpy(one) - numpy(other)).mean() / 255
        for factor, one, other in zip(EQUAL_FACTORS, *maps, strict=True)
    ]
    shares = np.array(terms) / np.sum(terms)
    assert 0.1 < shares.min() < shares.max() < 0.4
    # Of `full`, one map has half and another a fiftieth.
    plain = shares / EQUAL_FACTORS
    assert plain.max() / plain.sum() > 0.4


def test_files_that_are_not_weights_are_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="nowhere.h5"):
        vgg19_features(str(tmp_path / "nowhere.h5"))
    np.savez(tmp_path / "other.npz", a=np.zeros(3))
    with pytest.raises(ValueError, match="other.npz does not hold VGG-19"):
        vgg19_features(str(tmp_path / "other.npz"))
