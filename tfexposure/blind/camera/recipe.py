"""Which cameras and exposures are drawn for training photos."""

import numpy as np

from tfexposure.blind.camera.response import (
    TABLE_SIZE,
    camera_response,
    exposure_tables,
    lift_highlights,
    raise_contrast,
)
from tfexposure.imaging.transfer_curves import GAMMA_2_2, SRGB

# Every so many rows and columns of a view are metered.
_METER_STEP = 9


def draw_cameras(rng, views, recipe):
    """Draws one camera and exposure per photo.

    Args:
        rng: numpy.random.Generator.
        views: uint8 (N, H, W, 3), the photos; cameras meter them.
        recipe: Recipe.

    Returns:
        dict of float32 arrays: `target_table` and `exposed_table`
        (N, 3, TABLE_SIZE), `camera` (1: a camera photo), `tau`, `saturation`,
        `noise`, `quality` (0: no JPEG), `halved` (1: chroma at half size) and
        `seed`, each (N,), and `glow` (N, 4), see `add_glow`.
    """
    rows = [_draw_camera(rng, view, recipe) for view in views]
    return {
        name: np.stack([row[name] for row in rows]).astype("float32")
        for name in rows[0]
    }


def _draw_camera(rng, view, recipe):
    kind = rng.uniform()
    if recipe.tau_uniform:
        tau = rng.uniform(recipe.tau_min, 1.0)
    else:
        tau = np.exp(rng.uniform(np.log(recipe.tau_min), 0.0))
    if rng.uniform() < recipe.untouched:
        tau = 1.0
    lift, glow, power, step, saturation = 0.0, np.zeros(4), 1.0, 0.0, 1.0
    gains = np.ones(3)
    camera_photo = kind >= recipe.gamma_share + recipe.srgb_share
    if camera_photo:
        encode = _draw_response(rng, recipe)
        saturation = rng.uniform(*recipe.saturation)
        lift = rng.uniform(0.1, 0.5) * (rng.uniform() < recipe.lit)
        glow = _draw_glow(rng, recipe)
        if rng.uniform() < recipe.contrast:
            power, step = rng.uniform(0.9, 1.4), rng.uniform(0.1, 1.0)
    else:
        curve = GAMMA_2_2 if kind < recipe.gamma_share else SRGB
        encode = curve.from_linear

    def scene(display):
        return raise_contrast(lift_highlights(display, lift), power, step)

    if camera_photo:
        gains[::2] = np.exp2(rng.normal(0, recipe.balance, 2))
        gains /= gains.max()
        values = scene(view[::_METER_STEP, ::_METER_STEP] / 255.0)
        dim, stops = _meter(rng, encode, values, gains, recipe)
        gains *= 2.0**dim
        tau = 1.0 if tau == 1 else 2.0**-stops
    tau = recipe.tau_fixed or tau
    target, exposed = exposure_tables(encode, tau, gains, scene)
    low, high = recipe.jpeg_quality
    quality = rng.uniform(low, high) * (rng.uniform() < recipe.jpeg_share)
    return {
        "target_table": target,
        "exposed_table": exposed,
        "camera": np.array(float(camera_photo)),
        "tau": np.array(tau),
        "saturation": np.array(saturation),
        "glow": glow,
        "noise": np.array(rng.uniform(0, recipe.noise) * rng.integers(0, 2)),
        "quality": np.array(quality),
        "halved": np.array(float(rng.uniform() < 0.6)),
        "seed": np.array(rng.integers(0, 1 << 20)),
    }


def _draw_response(rng, recipe):
    exponent = rng.uniform(0.55, 1.6)
    knee = np.exp(rng.uniform(*np.log(recipe.knee)))
    contrast = rng.uniform(-0.4, 0.7) * (rng.uniform() < 0.7)
    return camera_response(exponent, knee, contrast)


def _meter(rng, encode, values, gains, recipe):
    """Finds by how many stops the target is dimmed, and then overexposed."""
    scale = np.linspace(0, 1, TABLE_SIZE) ** 4
    display = encode(scale)
    light = np.interp(values, display, scale) * gains

    def stops_to(mean, low, high):
        for _ in range(8):
            middle = (low + high) / 2
            if np.interp(light * 2.0**middle, scale, display).mean() < mean:
                low = middle
            else:
                high = middle
        return (low + high) / 2

    # Never brighter than the photo: its own whites would become false clips.
    # The overexposed frame lies up to `stops` above the target.
    dim = stops_to(rng.normal(*recipe.target_mean), -5.0, 0.0)
    low, high = recipe.stops
    reached = np.interp(light * 2.0**dim, scale, display).mean()
    wanted = rng.normal(*recipe.exposed_mean)
    wanted += recipe.follow * (reached - recipe.target_mean[0])
    bright = stops_to(wanted, dim + low, dim + high)
    return dim, bright - dim


def _draw_glow(rng, recipe):
    radius = np.exp(rng.uniform(np.log(0.06), np.log(0.6)))
    # A wide light must be weak, or all of the photo were white.
    strength = np.exp(rng.uniform(0, np.log(16))) * min(1.0, 0.15 / radius)
    centre = rng.uniform(-0.1, 1.1, 2)
    return np.array([strength * (rng.uniform() < recipe.glow), radius, *centre])
