"""The blind inverse: fair, harmless where nothing is clipped."""

import keras
import numpy as np
import pytest
from PIL import Image

from tfexposure.evaluation import baselines
from tfexposure.imaging import exposure
from tfexposure.imaging.transfer_curves import SRGBResponse


def array(tensor):
    return keras.ops.convert_to_numpy(tensor)


def ramps():
    """Two photos with smooth values over the full range."""
    ramp = np.linspace(0, 0.98, 12 * 20, dtype=np.float32)
    image = np.repeat(ramp.reshape(1, 12, 20, 1), 3, axis=-1)
    return np.concatenate([image, image[:, ::-1] ** 2])


def test_photos_without_clipped_pixels_stay_as_they_are():
    photos = ramps()
    np.testing.assert_array_equal(
        array(baselines.tau_of_clipped_share(photos)), 1
    )
    np.testing.assert_allclose(
        array(baselines.invert_blind(photos)), photos, atol=1e-6
    )


def test_clipped_shares_count_any_and_all_channels():
    photos = np.zeros((2, 2, 4, 3), np.float32)
    photos[0, 0, 0] = 1
    photos[0, 0, 1, 1] = 1
    any_channel, all_channels = baselines.clipped_shares(photos)
    np.testing.assert_allclose(array(any_channel), [2 / 8, 0])
    np.testing.assert_allclose(array(all_channels), [1 / 8, 0])


def test_more_clipping_means_a_smaller_tau():
    photos = ramps()
    taus = [
        array(baselines.tau_of_clipped_share(exposure.overexpose(photos, tau)))
        for tau in (0.8, 0.5, 0.2)
    ]
    assert (np.diff(taus, axis=0) < 0).all()
    assert (np.array(taus) > 0).all() and (np.array(taus) < 1).all()


def test_the_inverse_uses_the_estimate_and_the_given_response():
    response = SRGBResponse()
    overexposed = exposure.overexpose(ramps(), 0.5, response)
    tau = array(baselines.tau_of_clipped_share(overexposed)).reshape(
        -1, 1, 1, 1
    )
    expected = exposure.invert(overexposed, tau, response)
    np.testing.assert_allclose(
        array(baselines.invert_blind(overexposed, response)),
        array(expected),
        atol=1e-6,
    )


def test_the_estimate_beats_a_constant_on_photos(shared):
    generator = np.random.default_rng(0)
    names = sorted((shared / "photos/scenes/valid").iterdir())[::4]
    true, guessed = [], []
    for name in names:
        photo = np.asarray(Image.open(name).convert("RGB"), np.float32)
        photo = photo[None, ::2, ::2] / 255
        if (photo.max(axis=-1) > 0.98).mean() > 0.01:
            continue
        tau = float(generator.uniform(0.1, 1))
        overexposed = exposure.overexpose(photo, tau)
        true.append(tau ** (1 / 2.2))
        guessed.append(
            float(array(baselines.tau_of_clipped_share(overexposed))[0])
            ** (1 / 2.2)
        )
    assert len(true) > 20
    error = np.abs(np.subtract(true, guessed)).mean()
    constant = np.abs(true - np.median(true)).mean()
    assert error < 0.75 * constant
    assert error == pytest.approx(0.07, abs=0.04)
