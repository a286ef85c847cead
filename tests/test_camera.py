"""The camera recipe against independent references."""

import dataclasses
import io
import os
import subprocess
import sys

import numpy as np
import pytest
from keras import ops
from PIL import Image
from skimage import data

from tfexposure.blind import camera
from tfexposure.imaging.exposure import overexpose
from tfexposure.imaging.transfer_curves import WIDE

PLAIN = camera.Recipe(
    gamma_share=1.0,
    noise=0.0,
    jpeg_share=0.0,
    untouched=0.0,
)


def _photos(count=2, size=64):
    picture = data.astronaut()
    return np.stack(
        [
            picture[64 * i : 64 * i + size, 160 : 160 + size]
            for i in range(count)
        ]
    )


def _run(recipe, seed=0, count=2):
    photos = _photos(count)
    cameras = camera.draw_cameras(np.random.default_rng(seed), photos, recipe)
    overexposed, target = camera.expose(photos, cameras)
    return photos, cameras, *map(ops.convert_to_numpy, (overexposed, target))


def test_power_law_agrees_with_the_papers_simulation():
    photos, cameras, overexposed, target = _run(PLAIN)
    tau = cameras["tau"].reshape(-1, 1, 1, 1)
    expected = ops.convert_to_numpy(overexpose(photos / np.float32(255), tau))
    # Half a step of dither, times the gain, and half a step of rounding.
    gain = tau ** (-1 / 2.2)
    assert (np.abs(overexposed - expected) <= (gain + 1.2) / 510).all()
    assert np.abs(target - photos / 255).max() <= 0.6 / 255 + 2e-3


def test_output_takes_256_values_and_no_gap_betrays_the_gain():
    recipe = camera.Recipe(**{**PLAIN.__dict__, "tau_fixed": 0.3})
    photos, _, overexposed, _ = _run(recipe)
    levels = overexposed * 255
    np.testing.assert_allclose(levels, np.rint(levels), atol=1e-4)
    found = np.unique(np.rint(levels[levels < 254]).astype(int))
    scaled = np.unique(np.rint(photos * 0.3 ** (-1 / 2.2)))
    assert len(found) > 1.3 * (scaled < 254).sum()


def test_tau_of_one_leaves_the_target():
    recipe = camera.Recipe(untouched=1.0, noise=0.0, jpeg_share=0.0)
    _, _, overexposed, target = _run(recipe)
    assert np.abs(overexposed - target).max() <= 0.51 / 255


def _display(curve, light, gain=1.0):
    """Reads `encode_table` at light, from its definition."""
    table = camera.encode_table(curve, gain, 2.0)
    return np.interp(
        (light / 2.0) ** 0.25, np.linspace(0, 1, len(table)), table
    )


def test_encode_tables_follow_the_closed_form():
    exponent, knee, gain = 1.1, 0.12, 2.5
    light = np.linspace(0, 2, 101)
    shown = _display(camera.camera_response(exponent, knee), light, gain)
    power = np.minimum(light * gain, 1) ** exponent
    np.testing.assert_allclose(
        shown, (1 + knee) * power / (power + knee), atol=2e-3
    )


def test_decode_tables_hold_the_root_of_light_by_channel():
    table = camera.decode_table(lambda values: 3 * values**2, (1, 0.5, 2), 4.0)
    values = np.linspace(0, 1, camera.TABLE_SIZE)
    light = 4 * table.astype("float64") ** 4
    for channel, gain in enumerate((1, 0.5, 2)):
        wanted = np.minimum(3 * values**2 * gain, 4)
        np.testing.assert_allclose(light[channel], wanted, atol=1e-5)


@pytest.mark.parametrize("quality", [40, 75, 92])
def test_jpeg_agrees_with_pillow(quality):
    picture = data.astronaut()[:128, 128:256]
    buffer = io.BytesIO()
    Image.fromarray(picture).save(
        buffer, "JPEG", quality=quality, subsampling=2
    )
    expected = np.asarray(Image.open(buffer)).astype("float32")
    ours = camera.jpeg(
        picture[None] / np.float32(255),
        np.array([quality], "float32"),
    )
    ours = ops.convert_to_numpy(ours)[0] * 255
    from_pillow = np.abs(ours - expected).mean()
    lost = np.abs(expected - picture).mean()
    # Pillow rounds in between and enlarges colour by a triangle filter.
    assert from_pillow < 0.6 * lost


def test_quality_zero_is_no_jpeg():
    picture = _photos(1) / np.float32(255)
    same = camera.jpeg(picture, np.zeros(1, "float32"))
    np.testing.assert_array_equal(ops.convert_to_numpy(same), picture)


def test_white_noise_is_white_and_differs_by_seed():
    seeds = np.array([1, 2, 1], "float32")
    uniform, four = camera.white_noise((3, 64, 64, 3), seeds)
    uniform, four = map(ops.convert_to_numpy, (uniform, four))
    np.testing.assert_array_equal(uniform[0], uniform[2])
    for noise, mean, spread in (
        (uniform, 0.5, 12**-0.5),
        (four, 2.0, (4 / 12) ** 0.5),
    ):
        assert abs(noise[0].mean() - mean) < 0.02
        assert abs(noise[0].std() - spread) < 0.02
        # Another seed, and the neighbours in height, width and channels.
        others = [noise[1], *(np.roll(noise[0], 1, axis) for axis in range(3))]
        for other in others:
            pair = np.corrcoef(noise[0].ravel(), other.ravel())[0, 1]
            assert abs(pair) < 0.03


def test_lifted_highlights_are_white_and_shadows_stay():
    values = np.linspace(0, 1, 101)
    lifted = camera.lift_highlights(values, 0.4)
    np.testing.assert_array_equal(lifted[values <= 0.45], values[:46])
    assert (np.diff(lifted) >= 0).all()
    assert lifted[values >= 0.85].min() == 1 and lifted[70] < 0.9


def test_raised_contrast_darkens_the_dark_and_keeps_both_ends():
    values = np.linspace(0, 1, 101)
    raised = camera.raise_contrast(values, 1.3, 0.8)
    assert (raised[0], raised[-1]) == (0, 1)
    assert (np.diff(raised) > 0).all()
    assert raised[25] < 0.6 * values[25] and raised[90] > 0.95 * values[90]
    np.testing.assert_array_equal(camera.raise_contrast(values, 1, 0), values)


def _draw(recipe, seed, count):
    views = np.tile(_photos(2), (count // 2, 1, 1, 1))
    return camera.draw_cameras(np.random.default_rng(seed), views, recipe)


def test_cameras_are_drawn_as_the_recipe_says():
    recipe = camera.Recipe(
        tau_min=0.2, untouched=0.3, jpeg_share=0.5, stops=(1.0, 2.0)
    )
    drawn = _draw(recipe, 1, 300)
    # Camera photos: white balance, and less colour.
    taken = drawn["saturation"] < 1
    assert abs(taken.mean() - 0.5) < 0.1
    # Their balance darkens channels.
    white = drawn["decode_table"].max(axis=2)
    assert (np.ptp(white[taken], axis=1) > 1e-3).mean() > 0.9
    np.testing.assert_allclose(white[~taken], 1, atol=1e-3)
    assert drawn["saturation"][taken].min() >= 0.4
    over = drawn["tau"] < 1
    assert drawn["tau"][~taken].min() >= 0.2
    assert 0.25 <= drawn["tau"][taken & over].min()
    assert drawn["tau"][taken & over].max() <= 0.5
    assert abs(over.mean() - 0.7) < 0.1
    assert abs((drawn["quality"] == 0).mean() - 0.5) < 0.1
    saved = drawn["quality"][drawn["quality"] > 0]
    assert saved.min() >= 70 and saved.max() <= 98
    again = _draw(recipe, 1, 300)
    for name, values in drawn.items():
        np.testing.assert_array_equal(values, again[name])


def test_camera_photos_are_metered():
    recipe = camera.Recipe(
        gamma_share=0.0,
        srgb_share=0.0,
        untouched=0.0,
        noise=0.0,
        jpeg_share=0.0,
        lit=0.0,
        balance=0.0,
        saturation=(1.0, 1.0),
        stops=(0.1, 5.0),
        target_mean=(0.25, 0.0),
        exposed_mean=(0.5, 0.0),
        follow=0.0,
    )
    _, cameras, overexposed, target = _run(recipe, 3, 2)
    # Every ninth row and column of the photo is metered.
    for images, wanted in ((target, 0.25), (overexposed, 0.5)):
        means = images.mean(axis=(1, 2, 3))
        np.testing.assert_allclose(means, wanted, atol=0.03)
    assert (cameras["tau"] < 0.9).all()
    # Brighter scenes stay so, where the exposure follows.
    recipe = dataclasses.replace(recipe, target_mean=(0.25, 0.05), follow=1.0)
    _, _, overexposed, target = _run(recipe, 4, 6)
    means = [images.mean(axis=(1, 2, 3)) for images in (overexposed, target)]
    np.testing.assert_allclose(means[0] - 0.5, means[1] - 0.25, atol=0.03)
    assert np.ptp(means[1]) > 0.08


def test_camera_photos_are_never_brighter_than_the_photo():
    recipe = dataclasses.replace(
        SCENES, contrast=0.0, lit=0.0, target_mean=(0.9, 0.0), stops=(1.0, 1.0)
    )
    _, _, target = _take(recipe, _photos(2), camera.FINISHED, 4)
    assert target.mean() <= _photos(2).mean() / 255 + 0.01


def test_less_saturation_moves_colours_towards_grey():
    cameras = _run(PLAIN)[1]
    photos = np.full((2, 32, 32, 3), (180, 90, 30), "uint8")
    cameras["saturation"] = np.array([1.0, 0.5], "float32")
    target = ops.convert_to_numpy(camera.expose(photos, cameras)[1])
    means = target.mean(axis=(1, 2)) * 255
    np.testing.assert_allclose(means[0], (180, 90, 30), atol=0.5)
    np.testing.assert_allclose(means[1], (140, 95, 65), atol=0.5)


@pytest.mark.tf_only
def test_both_backends_take_the_same_pictures(tmp_path):
    pytest.importorskip("jax")
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import numpy as np\n"
        "from test_camera import _run, camera\n"
        "np.save(sys.argv[2], _run(camera.Recipe(), 5, 4)[2])\n"
    )
    file = tmp_path / "jax.npy"
    subprocess.run(
        [sys.executable, "-c", script, os.path.dirname(__file__), file],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        check=True,
    )
    ours = _run(camera.Recipe(), 5, 4)[2]
    answers = [np.rint(images * 255) for images in (ours, np.load(file))]
    # The rounding of values that lie halfway may differ, and that of a
    # coefficient touches a block of 8 x 8 x 3 pixels: 0.004 of them all.
    assert (answers[0] != answers[1]).mean() < 5e-3
    assert np.abs(answers[0] - answers[1]).max() <= 1


def test_uniform_tau_is_drawn_as_the_recipe_says():
    recipe = camera.Recipe(
        gamma_share=1.0, untouched=0.0, tau_min=0.5, tau_uniform=True
    )
    # A quarter lies below 0.625; with a uniform logarithm, a third would.
    tau = _draw(recipe, 2, 300)["tau"]
    assert abs((tau < 0.625).mean() - 0.25) < 0.07
    assert 0.5 <= tau.min() and tau.max() <= 1


SCENES = camera.Recipe(
    gamma_share=0.0,
    srgb_share=0.0,
    untouched=0.0,
    noise=0.0,
    jpeg_share=0.0,
)


def _light(count=2, size=64):
    """Codes of a scene whose right half lies a stop above white."""
    light = np.full((count, size, size, 3), 0.2)
    light += np.linspace(0, 0.3, size)[:, None, None]
    light[:, :, size // 2 :] = 2.0
    codes = WIDE.from_linear(light)
    return np.uint8(np.rint(255 * codes))


def _take(recipe, photos, kind, seed=0):
    rng = np.random.default_rng(seed)
    cameras = camera.draw_cameras(rng, photos, recipe, kind)
    taken = camera.expose(photos, cameras)
    return cameras, *map(ops.convert_to_numpy, taken)


def test_light_above_white_is_in_the_target_and_lost_in_the_photo():
    recipe = dataclasses.replace(
        SCENES,
        target_mean=(0.35, 0.0),
        stops=(3.0, 3.5),
        metered=0.0,
        balance=0.0,
    )
    _, overexposed, target = _take(recipe, _light(), camera.LIGHT)
    np.testing.assert_allclose(target.mean(axis=(1, 2, 3)), 0.35, atol=0.05)
    assert (target[:, :, :30] < target[:, :, 34:].min()).all()
    assert overexposed[:, :, 34:].min() > 0.95
    # What is not clipped is brighter than it should be.
    assert (overexposed[:, :, :30] > target[:, :, :30]).mean() > 0.99


def test_a_developer_keeps_whites_near_white():
    recipe = dataclasses.replace(SCENES, developed=1.0, balance=0.0)
    photos = np.tile(_light(1), (6, 1, 1, 1))
    photos[:, :, 40:] = np.uint8(
        np.rint(255 * WIDE.from_linear(np.linspace(0.1, 1.5, 24)))
    )[:, None]
    cameras, overexposed, target = _take(recipe, photos, camera.LIGHT)
    whites = np.quantile(target.max(axis=-1), 0.99, axis=(1, 2))
    assert ((whites > 0.8) & (whites < 1)).all() and whites.mean() > 0.87
    low, high = recipe.slider
    assert (cameras["tau"] <= 2.0**-low).all()
    assert (cameras["tau"] >= 2.0**-high).all()
    assert (
        overexposed.mean(axis=(1, 2, 3)) > target.mean(axis=(1, 2, 3))
    ).all()


@pytest.mark.parametrize("kind", [camera.PAIR, camera.KEPT])
def test_photos_to_keep_are_kept(kind):
    recipe = dataclasses.replace(SCENES, developed=0.5)
    cameras, overexposed, target = _take(recipe, _photos(6), kind)
    assert (cameras["tau"] == 1).all()
    assert np.abs(overexposed - target).max() <= 0.51 / 255


def test_the_sensor_clips_in_its_own_colours():
    photos = np.full((2, 32, 32, 3), (60, 200, 30), "uint8")
    cameras = camera.draw_cameras(np.random.default_rng(0), photos, SCENES)
    matrix = np.array([[1.6, -0.5, -0.1], [-0.2, 1.5, -0.3], [0, -0.5, 1.5]])
    cameras["from_sensor"][:] = matrix
    cameras["to_sensor"][:] = np.linalg.inv(matrix)
    cameras["ceiling"][:] = 0.01
    _, table = cameras["decode_table"], cameras["exposed_table"]
    overexposed = ops.convert_to_numpy(camera.expose(photos, cameras)[0])
    values = photos[:, 0, 0] / 255
    grey = values.mean(axis=1, keepdims=True)
    values = grey + cameras["saturation"][:, None] * (values - grey)
    for index in range(2):
        root = [
            np.interp(value, np.linspace(0, 1, camera.TABLE_SIZE), row)
            for value, row in zip(
                values[index], cameras["decode_table"][index], strict=True
            )
        ]
        raw = np.minimum(np.linalg.inv(matrix) @ np.power(root, 4), 0.01)
        root = np.clip(matrix @ raw, 0, 1) ** 0.25
        wanted = np.interp(
            root, np.linspace(0, 1, camera.TABLE_SIZE), table[index]
        )
        found = overexposed[index].mean(axis=(0, 1))
        np.testing.assert_allclose(found, wanted, atol=1.5 / 255)


def test_expanded_highlights_are_brighter_and_rise():
    light = np.linspace(0, 1, 101)
    expanded = camera.expand_highlights(light, 4.0)
    np.testing.assert_array_equal(expanded[:41], light[:41])
    assert expanded[-1] == 4 and (np.diff(expanded) > 0).all()
