"""Metrics against NumPy, scikit-image, colorsys and closed forms."""

import colorsys
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from skimage import color
from skimage import metrics as reference

from tfexposure import metrics


def photos(count=3, height=17, width=23, seed=0):
    generator = np.random.default_rng(seed)
    return generator.random((count, height, width, 3)).astype(np.float32)


def pair(seed=0):
    """Targets and similar photos."""
    target = photos(seed=seed)
    noise = np.random.default_rng(seed + 1).normal(0, 0.1, target.shape)
    return target, np.clip(target + noise, 0, 1).astype(np.float32)


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def features_by_numpy(photo):
    photo = photo.astype(np.float64)
    luminance = photo @ [0.27, 0.67, 0.06]
    saturation = [colorsys.rgb_to_hls(*p)[2] for p in photo.reshape(-1, 3)]
    return luminance.mean(), 2 * luminance.std(), np.mean(saturation)


def test_exposure_features_agree_with_numpy_and_colorsys():
    images = photos()
    images[0, 0, 0] = 0.5  # grey, black and white pixels have no saturation
    images[0, 0, 1] = 0
    images[0, 0, 2] = 1
    images[1] **= 0.2  # the lighter half of HLS
    expected = [features_by_numpy(image) for image in images]
    np.testing.assert_allclose(
        array(metrics.exposure_features(images)), expected, atol=2e-6
    )
    flat = metrics.exposure_features(np.ones((1, 4, 5, 3), np.float32))
    np.testing.assert_allclose(array(flat), [[1, 0, 0]], atol=1e-6)


def test_histogram_similarity_agrees_with_numpy():
    generator = np.random.default_rng(3)
    first, second = generator.random((40, 3)), generator.random((25, 3)) ** 2
    first[0] = 1  # belongs to the last bin
    expected = []
    for one, other in zip(first.T, second.T, strict=True):
        one = np.histogram(one, 32, (0, 1))[0] / 40
        other = np.histogram(other, 32, (0, 1))[0] / 25
        expected.append(100 * np.minimum(one, other).sum())
    got = array(metrics.histogram_similarity(first, second))
    np.testing.assert_allclose(got, expected, rtol=1e-5)
    same = array(metrics.histogram_similarity(first, first))
    np.testing.assert_allclose(same, 100, rtol=1e-6)
    apart = metrics.histogram_similarity(first * 0, first * 0 + 0.5)
    np.testing.assert_allclose(array(apart), 0)


def test_split_half_similarity_grows_with_the_set_and_is_repeatable():
    features = np.random.default_rng(0).random((2000, 3))
    small = metrics.split_half_similarity(features[:60])
    large = metrics.split_half_similarity(features)
    assert (small < large).all() and (large < 100).all()
    again = metrics.split_half_similarity(features[:60])
    np.testing.assert_array_equal(small, again)
    equal = metrics.split_half_similarity(np.full((6, 3), 0.3))
    np.testing.assert_allclose(equal, 100)
    with pytest.raises(ValueError, match="two rows"):
        metrics.split_half_similarity(features[:1])


def test_patches_are_those_of_the_reduced_squares():
    """Of a photo whose values tell where they come from."""
    rows, columns = np.mgrid[0:160, 0:480] / 480.0
    image = np.stack([rows, columns, rows * 0], -1)
    found = metrics.draw_patches(image, 3)
    assert found.shape == (16, 64, 64, 3)
    np.testing.assert_array_equal(found, metrics.draw_patches(image, 3))
    # Neighbours of 80 pixels are two of 160 apart, and the first is the mean
    # of two.
    np.testing.assert_allclose(np.diff(found[..., 0], axis=1), 2 / 480)
    np.testing.assert_allclose(np.diff(found[..., 1], axis=2), 2 / 480)
    tops = (found[:, 0, 0, 0] * 480 - 0.5) / 2
    np.testing.assert_allclose(tops, np.round(tops), atol=1e-9)
    assert 0 <= tops.min() < tops.max() <= 16
    lefts = found[:, 0, 0, 1].reshape(4, 4)
    # One square each four, somewhere along the photo.
    assert np.ptp(lefts, axis=1).max() <= 16 * 2 / 480
    assert np.ptp(lefts) > 50 / 480


def test_noise_floor_of_patches_is_of_photos():
    features = np.random.default_rng(0).random((60, 3))
    repeated = np.repeat(features[:, None], 16, axis=1)
    np.testing.assert_allclose(
        metrics.split_half_similarity(repeated),
        metrics.split_half_similarity(features),
    )


def test_histogram_metric_equals_the_function():
    target, restored = pair()
    restored = restored**2
    metric = metrics.HistogramSimilarity()
    for i in range(3):
        metric.update_state(target[i : i + 1], restored[i : i + 1])
    expected = metrics.histogram_similarity(
        metrics.exposure_features(target), metrics.exposure_features(restored)
    )
    result = metric.result()
    assert list(result) == list(metrics.FEATURES)
    got = [float(result[name]) for name in metrics.FEATURES]
    np.testing.assert_allclose(got, array(expected), rtol=1e-5)
    metric.reset_state()
    metric.update_state(target, target)
    assert float(metric.result()["contrast"]) == pytest.approx(100)
    with pytest.raises(ValueError, match="sample_weight"):
        metric.update_state(target, target, np.ones(3))


def test_psnr_ssim_and_l1_agree_with_references():
    target, restored = pair()
    restored[2] = 1 - target[2]
    psnr = [
        reference.peak_signal_noise_ratio(a, b, data_range=1)
        for a, b in zip(target, restored, strict=True)
    ]
    ssim = [
        reference.structural_similarity(
            a.astype(np.float64),
            b.astype(np.float64),
            data_range=1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=-1,
        )
        for a, b in zip(target, restored, strict=True)
    ]
    l1 = np.abs(target.astype(np.float64) - restored).mean(axis=(1, 2, 3))
    got = array(metrics.psnr(target, restored))
    np.testing.assert_allclose(got, psnr, rtol=1e-5)
    got = array(metrics.ssim(target, restored))
    np.testing.assert_allclose(got, ssim, atol=2e-5)
    got = array(metrics.mean_l1(target, restored))
    np.testing.assert_allclose(got, l1, rtol=1e-5)


def test_perfect_restoration_has_the_best_values_and_order_is_free():
    target, restored = pair()
    cap = [metrics.PSNR_CAP] * 3
    assert array(metrics.psnr(target, target)) == pytest.approx(cap)
    assert array(metrics.ssim(target, target)) == pytest.approx([1] * 3)
    assert array(metrics.mean_l1(target, target)) == pytest.approx([0] * 3)
    for function in (metrics.psnr, metrics.ssim, metrics.mean_l1):
        there = array(function(target, restored))
        back = array(function(restored, target))
        np.testing.assert_allclose(there, back, rtol=1e-5)


def test_decibels_are_one_formula_for_numpy_and_keras():
    errors = np.array([1.0, 0.01, 1e-5, 1e-9, 0, np.nan], np.float32)
    expected = [0, 20, 50, 60, 60, np.nan]
    np.testing.assert_allclose(metrics.decibels(errors), expected, rtol=1e-6)
    tensor = metrics.decibels(keras.ops.convert_to_tensor(errors))
    np.testing.assert_allclose(array(tensor), expected, rtol=1e-6)
    assert metrics.decibels(1e-9, cap=150) == pytest.approx(90)


def test_lab_and_ciede2000_are_those_of_scikit_image():
    random = np.random.default_rng(0)
    first, second = random.uniform(0, 1, (2, 2000, 3))
    first[:3] = [[0, 0, 0], [1, 1, 1], [0.5, 0.5, 0.5]]
    second[:2] = [[0, 0, 0], [0.2, 0.2, 0.2]]
    lab = metrics.lab(first), metrics.lab(second)
    expected = color.rgb2lab(first), color.rgb2lab(second)
    np.testing.assert_allclose(lab, expected, atol=1e-3)
    np.testing.assert_allclose(
        metrics.ciede2000(*lab), color.deltaE_ciede2000(*expected), atol=1e-3
    )
    chroma = np.linalg.norm((expected[0] - expected[1])[:, 1:], axis=-1)
    np.testing.assert_allclose(
        metrics.chroma_difference(*lab), chroma, atol=2e-3
    )


def test_best_gain_gives_brightness_away_and_nothing_else():
    target = photos(1)[0] * 0.6
    # Half the light; the blown corner must not steer the gain.
    restored = target * 0.5 ** (1 / 2.2)
    restored[:3, :3] = 1
    known = np.ones(target.shape[:2], bool)
    known[:3, :3] = False
    error = ((1 - target) ** 2)[~known].sum() / target.size
    assert metrics.psnr_best_gain(target, restored) == pytest.approx(
        -10 * np.log10(error), abs=1e-3
    )
    # Against a search over gains, with noise.
    restored = pair()[1][0] * 0.8
    light, wanted = restored**2.2, target**2.2
    mask = (light < 0.9) & (wanted < 0.9)
    gains = np.linspace(0.1, 1.5, 14001)
    errors = [((gain * light - wanted)[mask] ** 2).sum() for gain in gains]
    scaled = np.clip(light * gains[np.argmin(errors)], 0, 1) ** (1 / 2.2)
    expected = -10 * np.log10(((scaled - target) ** 2).mean())
    got = metrics.psnr_best_gain(target, restored)
    assert got == pytest.approx(expected, abs=0.01)
    assert metrics.psnr_best_gain(target * 0 + 1, target * 0 + 1) == 60


def test_same_mean_scales_display_values():
    target = photos(1)[0] * 0.6
    assert metrics.psnr_same_mean(target, target * 0.7) == 60
    restored = pair()[1][0]
    weights = [0.27, 0.67, 0.06]
    gain = (target @ weights).mean() / (restored @ weights).mean()
    error = (np.clip(restored * gain, 0, 1) - target) ** 2
    assert metrics.psnr_same_mean(target, restored) == pytest.approx(
        -10 * np.log10(error.mean()), abs=1e-4
    )


def test_whites_are_the_brightest_half_per_cent():
    ramp = np.linspace(0, 1, 1000, dtype=np.float32).reshape(20, 50, 1)
    image = np.repeat(ramp, 3, axis=-1)
    assert metrics.white_difference(image, image * 0.8) == pytest.approx(
        -0.2 * 0.995, abs=1e-3
    )
    assert metrics.white_difference(image * 0.8, image) > 0


def test_regions_count_only_their_pixels():
    target, restored = pair()
    region = np.zeros((3, 17, 23, 1), np.float32)
    region[0, 6:12, 6:20] = 1
    region[1, 7, 8] = 1
    difference = target.astype(np.float64) - restored
    inside = difference[0, 6:12, 6:20]
    l1 = array(metrics.mean_l1(target, restored, region))
    assert l1[0] == pytest.approx(np.abs(inside).mean(), rel=1e-5)
    assert l1[1] == pytest.approx(np.abs(difference[1, 7, 8]).mean(), rel=1e-5)
    psnr = array(metrics.psnr(target, restored, region))
    expected = -10 * np.log10((inside**2).mean())
    assert psnr[0] == pytest.approx(expected, rel=1e-5)
    _, full = reference.structural_similarity(
        target[0].astype(np.float64),
        restored[0].astype(np.float64),
        data_range=1,
        gaussian_weights=True,
        sigma=1.5,
        use_sample_covariance=False,
        channel_axis=-1,
        full=True,
    )
    ssim = array(metrics.ssim(target, restored, region))
    # Windows that leave the photo do not count: rows 6 to 11 stay.
    assert ssim[0] == pytest.approx(full[6:12, 6:18].mean(), abs=2e-5)
    for values in (l1, psnr, ssim):
        assert np.isnan(values[2]) and not np.isnan(values[:2]).any()


@pytest.mark.parametrize("name", ["psnr", "ssim", "mean_l1"])
def test_photo_metrics_average_photos_and_skip_empty_regions(name):
    kind = {"psnr": "PSNR", "ssim": "SSIM", "mean_l1": "MeanL1"}[name]
    metric = getattr(metrics, kind)()
    assert metric.name == name
    target, restored = pair()
    values = array(getattr(metrics, name)(target, restored))
    metric.update_state(target[:1], restored[:1])
    metric.update_state(target[1:], restored[1:])
    assert float(metric.result()) == pytest.approx(values.mean(), rel=1e-5)

    metric.reset_state()
    assert np.isnan(float(metric.result()))
    region = np.zeros((3, 17, 23, 1), np.float32)
    region[1, 5:9, 5:9] = 1
    metric.update_state(target, restored, sample_weight=region)
    function = getattr(metrics, name)
    expected = array(function(target[1:2], restored[1:2], region[1:2]))[0]
    assert float(metric.result()) == pytest.approx(expected, rel=1e-5)


def test_bad_shapes_are_refused():
    target = photos()
    with pytest.raises(ValueError, match="y_true.*y_pred"):
        metrics.psnr(target, target[:, :5])
    with pytest.raises(ValueError, match="11 x 11"):
        metrics.ssim(target[:, :10], target[:, :10])


def test_clipped_region_marks_any_full_channel():
    image = np.zeros((1, 2, 2, 3), np.float32)
    image[0, 0, 1, 2] = 1
    image[0, 1, 0] = 254 / 255
    region = array(metrics.clipped_region(image))
    np.testing.assert_array_equal(region[0, ..., 0], [[0, 1], [0, 0]])


def test_inception_score_has_its_closed_forms():
    classes = 7
    uniform = np.full((30, classes), 1 / classes, np.float32)
    mean, std = metrics.inception_score(uniform)
    assert float(mean) == pytest.approx(1, abs=1e-5)
    assert float(std) == pytest.approx(0, abs=1e-5)
    # Sorted by class, as the files of a folder often are.
    one_hot = np.repeat(np.eye(classes, dtype=np.float32), 10, axis=0)
    mean, std = metrics.inception_score(one_hot)
    assert float(mean) == pytest.approx(classes, rel=1e-5)
    same = np.tile(np.eye(classes, dtype=np.float32)[:1], (30, 1))
    assert float(metrics.inception_score(same)[0]) == pytest.approx(1)
    with pytest.raises(ValueError, match="at least 10"):
        metrics.inception_score(uniform[:9])


def test_inception_score_agrees_with_numpy_and_the_metric():
    generator = np.random.default_rng(0)
    probabilities = generator.dirichlet(np.full(7, 0.3), 45)
    scores = []
    for split in range(10):
        part = probabilities[split::10]
        divergence = part * (np.log(part) - np.log(part.mean(axis=0)))
        scores.append(np.exp(divergence.sum(axis=1).mean()))
    probabilities = probabilities.astype(np.float32)
    mean, std = metrics.inception_score(probabilities)
    assert float(mean) == pytest.approx(np.mean(scores), rel=1e-4)
    assert float(std) == pytest.approx(np.std(scores), rel=1e-3)

    metric = metrics.InceptionScore(classes=7)
    for batch in np.split(probabilities, [13, 20]):
        metric.update_state(batch)
    result = metric.result()
    assert float(result["mean"]) == pytest.approx(np.mean(scores), rel=1e-4)
    assert float(result["std"]) == pytest.approx(np.std(scores), rel=1e-3)


@pytest.mark.parametrize(
    "metric",
    [
        metrics.HistogramSimilarity(bins=8),
        metrics.InceptionScore(classes=3, splits=2),
        metrics.PSNR(),
    ],
    ids=lambda metric: metric.name,
)
def test_metrics_are_serialisable(metric):
    config = keras.metrics.serialize(metric)
    copy = keras.metrics.deserialize(config)
    assert type(copy) is type(metric)
    assert copy.get_config() == metric.get_config()


@pytest.mark.tf_only
def test_metrics_run_inside_tf_function():
    import tensorflow as tf

    target, restored = pair()
    made = [metrics.HistogramSimilarity(), metrics.SSIM(), metrics.PSNR()]

    @tf.function(input_signature=[tf.TensorSpec((None, None, None, 3))] * 2)
    def update(y_true, y_pred):
        for metric in made:
            metric.update_state(y_true, y_pred)

    update(target, restored)
    expected = array(metrics.ssim(target, restored)).mean()
    assert float(made[1].result()) == pytest.approx(expected, rel=1e-5)


@pytest.mark.tf_only
def test_the_same_numbers_on_jax_and_without_tensorflow(capsys):
    pytest.importorskip("jax")
    code = """
import sys
import numpy as np
from tfexposure import metrics
a = np.random.default_rng(0).random((2, 17, 23, 3)).astype("float32")
b = a ** 2
values = [metrics.psnr(a, b), metrics.ssim(a, b), metrics.mean_l1(a, b)]
metric = metrics.HistogramSimilarity()
metric.update_state(a, b)
values += list(metric.result().values())
p = a.reshape(-1, 17)
p /= p.sum(axis=1, keepdims=True)
values += metrics.inception_score(p)
print(*np.concatenate([np.ravel(np.asarray(v)) for v in values]))
"""
    done = subprocess.run(
        [
            *(sys.executable, "-c"),
            code + "assert 'tensorflow' not in sys.modules",
        ],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    exec(code, {})
    answers = [
        np.array(text.split(), float)
        for text in (done.stdout, capsys.readouterr().out)
    ]
    np.testing.assert_allclose(*answers, rtol=1e-4, atol=1e-5)
