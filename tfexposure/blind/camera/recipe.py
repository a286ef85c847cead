"""Which cameras and exposures are drawn for training photos."""

import dataclasses
from collections.abc import Callable

import numpy as np

from tfexposure.blind.camera.response import (
    TABLE_SIZE,
    camera_response,
    decode_table,
    encode_table,
    expand_highlights,
    lift_highlights,
    raise_contrast,
)
from tfexposure.blind.camera.sensor import draw_sensor, saturate
from tfexposure.imaging.transfer_curves import GAMMA_2_2, SRGB, WIDE

# What a training photo is: a finished photo, one with light above white
# (`WIDE`), a real pair, or a photo that is to stay as it is.
FINISHED, LIGHT, PAIR, KEPT = range(4)
# Every so many rows and columns of a view are metered.
_METER_STEP = 9
# Light that no photo reaches.
_NO_CEILING = 1e3


@dataclasses.dataclass
class _Camera:
    """What is drawn of a camera and its two exposures.

    Attributes:
        decode: function from the photo's values to light.
        encode: function from light in [0, 1] to display values.
        encode_exposed: the same of the overexposed photo.
        tau: float in (0, 1], the light that becomes white.
        top: float, the greatest light that `decode` gives.
        gains: (3,), of light, per channel.
        ceiling: float, the light at which the sensor clips, before `sensor`.
        sensor: (3, 3), from the sensor's colours to the photo's.
        developed: (3, 3), the same with what the overexposed photo's colours
            lose.
        saturation: float, factor of the photo's own colours.
    """

    decode: Callable
    encode: Callable
    encode_exposed: Callable
    tau: float = 1.0
    top: float = 1.0
    gains: np.ndarray = dataclasses.field(default_factory=lambda: np.ones(3))
    ceiling: float = _NO_CEILING
    sensor: np.ndarray = dataclasses.field(default_factory=lambda: np.eye(3))
    developed: np.ndarray | None = None
    saturation: float = 1.0


def draw_cameras(rng, views, recipe, kind=FINISHED):
    """Draws one camera and exposure per photo.

    Args:
        rng: numpy.random.Generator.
        views: uint8 (N, H, W, 3), the photos; cameras meter them.
        recipe: Recipe.
        kind: what the photos are: `FINISHED`, `LIGHT`, `PAIR` or `KEPT`.

    Returns:
        dict of float32 arrays: `decode_table` (N, 3, TABLE_SIZE),
        `target_table` and `exposed_table` (N, TABLE_SIZE), `from_sensor` and
        `to_sensor` (N, 3, 3), and `ceiling`, `white` (the fourth root of white
        in the tables), `tau`, `saturation`, `noise`, `quality` (0: no JPEG)
        and `seed`, each (N,).
    """
    rows = [_draw_row(rng, view, recipe, kind) for view in views]
    return {
        name: np.stack([row[name] for row in rows]).astype("float32")
        for name in rows[0]
    }


def _draw_row(rng, view, recipe, kind):
    drawn = rng.uniform()
    formula = drawn < recipe.gamma_share + recipe.srgb_share
    formula = (formula and kind == FINISHED) or kind in (KEPT, PAIR)
    untouched = rng.uniform() < recipe.untouched or kind in (KEPT, PAIR)
    if formula:
        curve = GAMMA_2_2 if drawn < recipe.gamma_share else SRGB
        found = _draw_formula(rng, recipe, curve)
    elif rng.uniform() < recipe.developed:
        found = _draw_developed(rng, view, recipe, kind)
    else:
        found = _draw_camera(rng, view, recipe, kind)
    if untouched:
        found.tau, found.ceiling = 1.0, _NO_CEILING
        found.encode_exposed, found.developed = found.encode, None
    if recipe.tau_fixed:
        found.tau = recipe.tau_fixed
    low, high = recipe.jpeg_quality
    quality = rng.uniform(low, high) * (rng.uniform() < recipe.jpeg_share)
    top = found.top
    developed = found.sensor if found.developed is None else found.developed
    return {
        "decode_table": decode_table(found.decode, found.gains, top),
        "target_table": encode_table(found.encode, 1.0, top),
        "exposed_table": encode_table(
            found.encode_exposed, 1.0 / found.tau, top
        ),
        "to_sensor": np.linalg.inv(found.sensor),
        "from_sensor": developed,
        "ceiling": np.array(found.ceiling / top),
        "white": np.array(top**-0.25),
        "tau": np.array(found.tau),
        "saturation": np.array(found.saturation),
        "noise": np.array(rng.uniform(0, recipe.noise) * rng.integers(0, 2)),
        "quality": np.array(quality),
        "seed": np.array(rng.integers(0, 1 << 20)),
    }


def _draw_formula(rng, recipe, curve):
    """The paper's way: a power law, or the curve of sRGB, and a hard clip."""
    if recipe.tau_uniform:
        tau = rng.uniform(recipe.tau_min, 1.0)
    else:
        tau = np.exp(rng.uniform(np.log(recipe.tau_min), 0.0))
    return _Camera(curve.to_linear, curve.from_linear, curve.from_linear, tau)


def _draw_camera(rng, view, recipe, kind):
    """A camera's two frames of a scene: one curve, metered and clipped."""
    exponent = rng.uniform(0.55, 1.6)
    knee = np.exp(rng.uniform(*np.log(recipe.knee)))
    contrast = rng.uniform(-0.4, 0.7) * (rng.uniform() < 0.7)
    encode = camera_response(exponent, knee, contrast)
    found = _Camera(WIDE.to_linear, encode, encode, top=2.0**WIDE.stops)
    if kind == FINISHED:
        found.decode, found.top = _finished(rng, encode, recipe), 8.0
    found.saturation = rng.uniform(*recipe.saturation)
    found.gains[::2] = np.exp2(rng.normal(0, recipe.balance, 2))
    found.gains /= found.gains.max()
    found.sensor = draw_sensor(rng)
    mean = rng.normal(*recipe.target_mean)
    metered = _Meter(found, view)
    # Never brighter than a finished photo: its own whites would become false
    # clips.
    dim = metered.stops_to(mean, -5.0, 0.0 if kind == FINISHED else 5.0)
    low, high = recipe.stops
    if rng.uniform() < recipe.metered:
        wanted = rng.normal(*recipe.exposed_mean)
        wanted += recipe.follow * (metered.mean(dim) - recipe.target_mean[0])
        stops = metered.stops_to(wanted, dim + low, dim + high) - dim
    else:
        stops = rng.uniform(low, high)
    found.gains *= 2.0**dim
    found.tau = found.ceiling = 2.0**-stops
    return found


def _finished(rng, encode, recipe):
    """Decodes a finished photo: what its scene may have been."""
    lift = rng.uniform(0.1, 0.5) * (rng.uniform() < recipe.lit)
    power, step = 1.0, 0.0
    if rng.uniform() < recipe.contrast:
        power, step = rng.uniform(0.9, 1.4), rng.uniform(0.1, 1.0)
    factor = 2.0 ** (rng.uniform(0, 2.5) * (rng.uniform() < recipe.expanded))
    light = np.linspace(0, 1, TABLE_SIZE) ** 4
    display = encode(light)

    def decode(values):
        values = raise_contrast(lift_highlights(values, lift), power, step)
        return expand_highlights(np.interp(values, display, light), factor)

    return decode


def _draw_developed(rng, view, recipe, kind):
    """The exposure slider of a raw developer, and a finished photo.

    Light is scaled before a film-like curve; the sensor clipped it before.
    The overexposed photo has less contrast and colour than the finished one.
    """
    exponent, knee = rng.uniform(0.6, 1.0), rng.uniform(0.15, 0.8)
    contrast = rng.uniform(0.0, 0.5)
    encode = camera_response(exponent, knee, contrast)
    flat = contrast - rng.uniform(0.0, 0.4)
    found = _Camera(
        WIDE.to_linear,
        encode,
        camera_response(exponent, knee, flat),
        top=2.0**WIDE.stops,
    )
    light = np.linspace(0, 1, TABLE_SIZE) ** 4
    display = encode(light)
    if kind == FINISHED:
        found.decode = lambda values: np.interp(values, display, light)
        found.top = 1.0
    found.gains[::2] = np.exp2(rng.normal(0, recipe.balance / 2, 2))
    found.gains /= found.gains.max()
    if kind == LIGHT:
        # Whites near white, as far as the middle allows.
        metered = _Meter(found, view)
        dim = metered.whites_to(rng.uniform(0.93, 0.995))
        darkest, brightest = (
            metered.stops_to(mean, -5.0, 5.0) for mean in (0.34, 0.54)
        )
        found.gains *= 2.0 ** np.clip(dim, darkest, brightest)
    stops = rng.uniform(*recipe.slider)
    # The frame was exposed for its highlights, or not quite.
    found.ceiling = 2.0 ** rng.uniform(-0.5, 2.0)
    found.tau = 2.0**-stops
    found.sensor = draw_sensor(rng)
    found.developed = saturate(rng.uniform(0.75, 1.0)) @ found.sensor
    return found


class _Meter:
    """Finds exposures by what a camera would show of a view."""

    def __init__(self, found, view):
        values = view[::_METER_STEP, ::_METER_STEP] / 255.0
        self._light = found.decode(values) * found.gains
        self._encode = found.encode

    def mean(self, stops):
        """Returns the mean display value at that many stops."""
        return self._encode(np.minimum(self._light * 2.0**stops, 1)).mean()

    def stops_to(self, mean, low, high):
        """Returns the stops that lead to a mean display value."""
        for _ in range(8):
            middle = (low + high) / 2
            if self.mean(middle) < mean:
                low = middle
            else:
                high = middle
        return (low + high) / 2

    def whites_to(self, level):
        """Returns the stops that lead the brightest 1 % to a level."""
        grid = np.linspace(0, 1, 256) ** 4
        light = np.interp(level, self._encode(grid), grid)
        return np.log2(light / (np.quantile(self._light.max(-1), 0.99) + 1e-6))
