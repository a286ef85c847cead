"""Exposure against float64 NumPy, on every kind of input it must take."""

import numpy as np
import pytest
from keras import ops

from tfexposure.imaging import exposure, transfer_curves

RNG = np.random.default_rng(0)


def reference(image, tau, gamma=2.2):
    light = image.astype("float64") ** gamma
    return (np.minimum(light, tau) / tau) ** (1 / gamma)


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


@pytest.fixture(params=["gamma", "srgb", "table"])
def response(request):
    if request.param == "table":
        return transfer_curves.TableResponse([0, 0.1, 0.2, 0.5, 1])
    return transfer_curves.get_response(request.param)


def test_tau_one_changes_nothing(response):
    image = RNG.random((1, 4, 5, 3))
    result = numpy(exposure.overexpose(image, 1.0, response))
    np.testing.assert_allclose(result, image, atol=1e-12)


def test_channels_are_clipped_separately():
    # Light 0.5 and more is white at tau 0.5; the blue channel stays below.
    pixel = np.array([[[[0.9, 0.8, 0.3]]]])
    result = numpy(exposure.overexpose(pixel, 0.5))[0, 0, 0]
    assert result[0] == result[1] == 1.0
    assert result[2] == pytest.approx(0.3 * 0.5 ** (-1 / 2.2))


def test_invert_undoes_the_gain_below_the_clip(response):
    image = RNG.random((1, 6, 5, 3))
    clipped = numpy(response.to_linear(image)) >= 0.5
    overexposed = exposure.overexpose(image, 0.5, response)
    result = numpy(exposure.invert(overexposed, 0.5, response))
    np.testing.assert_allclose(result[~clipped], image[~clipped], atol=1e-12)
    # What was clipped comes back as the level of the clip, flat.
    level = float(response.from_linear(np.array([0.5]))[0])
    np.testing.assert_allclose(result[clipped], level, atol=1e-12)


def test_inverse_of_the_paper_is_a_factor():
    image = RNG.random((1, 4, 4, 3))
    result = numpy(exposure.invert(image, 0.5))
    np.testing.assert_allclose(result, image * 0.7297, atol=1e-4)


def test_responses_are_inverse_to_themselves(response):
    display = np.linspace(0, 1, 1001)
    light = numpy(response.to_linear(display))
    assert np.all(np.diff(light) > 0) and light[0] == 0 and light[-1] == 1
    np.testing.assert_allclose(
        numpy(response.from_linear(light)), display, atol=1e-7
    )


def test_srgb_known_values():
    response = transfer_curves.SRGBResponse()
    light = numpy(response.to_linear(np.array([0.02, 0.5])))
    np.testing.assert_allclose(light, [0.0015480, 0.2140411], atol=1e-6)


@pytest.mark.tf_only
def test_the_same_inside_tf_data():
    import tensorflow as tf

    images = RNG.random((3, 4, 5, 3)).astype("float32")
    stream = tf.data.Dataset.from_tensor_slices(images).map(
        lambda image: exposure.overexpose(image, 0.5)
    )
    result = np.stack(list(stream.as_numpy_iterator()))
    np.testing.assert_allclose(result, reference(images, 0.5), atol=1e-6)


@pytest.mark.parametrize("tau", [0, -0.1, 1.5])
def test_tau_out_of_range_is_refused(tau):
    with pytest.raises(ValueError, match=r"`tau` must lie in \(0, 1\]"):
        exposure.overexpose(np.zeros((1, 2, 2, 3), "float32"), tau)


def test_integers_are_refused():
    with pytest.raises(ValueError, match="floating point.*uint8"):
        exposure.overexpose(np.zeros((1, 2, 2, 3), "uint8"), 0.5)


def test_unknown_response_and_bad_table_are_refused():
    with pytest.raises(ValueError, match="'gamma', 'srgb'.*'log'"):
        transfer_curves.get_response("log")
    with pytest.raises(ValueError, match="rise strictly"):
        transfer_curves.TableResponse([0, 0.5, 0.4, 1])
    with pytest.raises(ValueError, match="positive"):
        transfer_curves.GammaResponse(0)


def test_quantize_rounds_to_256_levels():
    values = np.array([0.0, 0.4 / 255, 0.6 / 255, 127.5 / 255, 1.0, 1.2])
    result = numpy(exposure.quantize(values)) * 255
    np.testing.assert_allclose(result, [0, 0, 1, 128, 255, 255], atol=1e-9)


def tau_from_gaps(levels):
    """Reads tau off the histogram: the gain whose products all occur.

    A gain applied to 8-bit values reaches only some of the 256 levels. The
    true one reaches every level that occurs; wrong ones miss some.
    """
    occurring = set(np.unique(levels[levels < 255]).tolist())
    candidates = np.arange(0.30, 1.0, 0.01)
    missed = []
    for tau in candidates:
        reached = np.floor(np.arange(256) * tau ** (-1 / 2.2) + 0.5)
        missed.append(len(occurring - set(reached.tolist())))
    fewest = [
        tau
        for tau, count in zip(candidates, missed, strict=True)
        if count == min(missed)
    ]
    return fewest, min(missed) / max(len(occurring), 1)


@pytest.mark.parametrize("tau", [0.42, 0.5, 0.73])
def test_histogram_gaps_reveal_tau_only_without_dequantisation(tau):
    levels = np.clip(RNG.normal(110, 50, (256, 256, 3)), 0, 255).round()
    photo = levels / 255
    leaky = exposure.quantize(exposure.overexpose(photo, tau))
    guesses, missed = tau_from_gaps(np.round(numpy(leaky) * 255))
    assert missed == 0
    assert any(abs(guess - tau) < 0.005 for guess in guesses)
    assert len(guesses) <= 3

    noise = RNG.uniform(-0.5, 0.5, photo.shape)
    cured = exposure.quantize(
        exposure.overexpose(exposure.dequantize(photo, noise), tau)
    )
    # Every level occurs, which only a gain of about 1 explains.
    assert len(np.unique(np.round(numpy(cured) * 255))) == 256
    guesses, _ = tau_from_gaps(np.round(numpy(cured) * 255))
    assert all(abs(guess - tau) > 0.1 for guess in guesses)
