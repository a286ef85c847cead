"""Each pixel formula: NumPy = tensors = its standard, and stands once."""

import ast
import doctest
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from keras import ops

from tfexposure.imaging import (
    area_resize,
    clipping,
    exposure,
    luminance,
    surround,
    thumbnail,
    tone_curve,
    transfer_curves,
)

FORMULAS = (
    area_resize,
    clipping,
    exposure,
    luminance,
    surround,
    thumbnail,
    tone_curve,
    transfer_curves,
)
TABLE = (0.0, 0.1, 0.2, 0.5, 1.0)
KNOTS = (0.0, 0.1, 0.55, 0.9, 1.0)
# Where a formula changes its piece.
BREAKS = [0.0, 1.0, 0.04045, 0.0031308, 0.5, *TABLE, *KNOTS]
BREAKS += [*clipping.MASK_RAMP, *clipping.COUNT_RAMP, *clipping.MEAN_RAMP]
quick = settings(max_examples=25, deadline=None)


def values(dtype):
    """Values in [0, 1]: any, and those at and next to breaks."""
    breaks = np.array(BREAKS, dtype)
    near = np.concatenate([np.nextafter(breaks, dtype(end)) for end in (0, 1)])
    near = near[(near == 0) | (near > np.finfo(dtype).tiny)]
    width = np.finfo(dtype).bits
    return st.one_of(
        st.sampled_from([*breaks.tolist(), *near.tolist()]),
        st.floats(0, 1, width=width, allow_subnormal=False),
    )


def images(shapes):
    """Arrays in [0, 1] of either type."""
    return st.sampled_from([np.float32, np.float64]).flatmap(
        lambda dtype: arrays.arrays(dtype, shapes, elements=values(dtype))
    )


# Few shapes: JAX compiles each operation for each.
ANY_SHAPE = st.sampled_from([(1,), (3, 2), (1, 2, 5, 3)])


def rgb():
    """Batches of images."""
    return images(st.sampled_from([(1, 1, 1, 3), (2, 5, 3, 3), (1, 2, 4, 3)]))


def check(formula, image, expected, ulps=16, slope=1.0):
    """Holds NumPy's answer and the tensors' against float64's."""
    ours = formula(image)
    assert isinstance(ours, np.ndarray) and ours.dtype == image.dtype
    theirs = formula(ops.convert_to_tensor(image))
    assert not isinstance(theirs, np.ndarray)
    for answer in (ours, ops.convert_to_numpy(theirs)):
        step = max(np.finfo(answer.dtype).eps, np.finfo(image.dtype).eps)
        tolerance = ulps * slope * step
        np.testing.assert_allclose(answer, expected, rtol=0, atol=tolerance)


def srgb_to_linear(display):
    """IEC 61966-2-1, its two pieces written out, on float64."""
    display = np.asarray(display, np.float64)
    power = ((display + 0.055) / 1.055) ** 2.4
    return np.where(display <= 0.04045, display / 12.92, power)


def srgb_from_linear(light):
    light = np.asarray(light, np.float64)
    power = 1.055 * light ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, 12.92 * light, power)


def gamma_to_linear(display):
    return np.asarray(display, np.float64) ** 2.2


def gamma_from_linear(light):
    return np.asarray(light, np.float64) ** (1 / 2.2)


def table_to_linear(display):
    places = np.linspace(0, 1, len(TABLE))
    return np.interp(np.asarray(display, np.float64), places, TABLE)


def table_from_linear(light):
    places = np.linspace(0, 1, len(TABLE))
    return np.interp(np.asarray(light, np.float64), TABLE, places)


# Each curve, and the formula of its standard.
CURVES = {
    "gamma": (transfer_curves.GAMMA_2_2, gamma_to_linear, gamma_from_linear),
    "srgb": (transfer_curves.SRGB, srgb_to_linear, srgb_from_linear),
    "table": (
        transfer_curves.TableResponse(TABLE),
        table_to_linear,
        table_from_linear,
    ),
}


each_curve = pytest.mark.parametrize("curve", sorted(CURVES))


@each_curve
@quick
@given(image=images(ANY_SHAPE))
def test_curves_are_those_of_their_standards(curve, image):
    response, to_linear, from_linear = CURVES[curve]
    check(response.to_linear, image, to_linear(image))
    # A step of 12.92 in light near black is one of sRGB's pieces.
    check(response.from_linear, image, from_linear(image), slope=12.92)


def wide_to_linear(code):
    code = np.asarray(code, np.float64)
    above = 2 ** (6 * (code - 0.72) / 0.28)
    return np.where(code <= 0.72, (code / 0.72) ** 2.2, above)


def pq_to_linear(code):
    root = np.asarray(code, np.float64) ** (32 / 2523)
    share = np.maximum(root - 0.8359375, 0) / (18.8515625 - 18.6875 * root)
    return 10000 / 203 * share ** (16384 / 2610)


@pytest.mark.parametrize(
    ("curve", "to_linear"),
    [
        (transfer_curves.WIDE, wide_to_linear),
        (transfer_curves.PQResponse(203.0), pq_to_linear),
    ],
)
def test_light_above_white_is_coded_as_said(curve, to_linear):
    codes = np.linspace(0, 1, 101)
    light = to_linear(codes)
    assert light.max() > 40 and (np.diff(light) >= 0).all()
    for answer in (
        curve.to_linear(codes),
        ops.convert_to_numpy(curve.to_linear(ops.convert_to_tensor(codes))),
    ):
        np.testing.assert_allclose(answer, light, rtol=1e-3, atol=1e-6)
    back = curve.from_linear(ops.convert_to_tensor(light))
    np.testing.assert_allclose(ops.convert_to_numpy(back), codes, atol=1e-5)
    np.testing.assert_allclose(curve.from_linear(light), codes, atol=1e-5)


def test_pieces_add_up_to_the_curve():
    image = np.linspace(0, 1, 24).reshape(2, 4, 3)
    slopes = np.array([0.5, 2.0, 0.25, 1.0])
    pieces = tone_curve.pieces_of(image, KNOTS)
    whole = tone_curve.tone_curve(image, slopes, KNOTS)
    np.testing.assert_allclose(pieces @ slopes, whole, atol=1e-12)
    theirs = tone_curve.pieces_of(ops.convert_to_tensor(image), KNOTS)
    np.testing.assert_allclose(ops.convert_to_numpy(theirs), pieces, atol=1e-6)


@each_curve
@quick
@given(image=rgb(), tau=st.floats(0.05, 1))
def test_overexposure_is_equation_10(curve, image, tau):
    response, to_linear, from_linear = CURVES[curve]
    light = np.minimum(to_linear(image), tau) / tau
    # The gain in light is 1 / tau, and the curve is steepest near black.
    slope = 12.92 / tau
    check(
        lambda pixels: exposure.overexpose(pixels, tau, response),
        image,
        from_linear(light),
        slope=slope,
    )
    check(
        lambda pixels: exposure.invert(pixels, tau, response),
        image,
        from_linear(to_linear(image) * tau),
        slope=slope,
    )


@quick
@given(
    image=rgb(), taus=arrays.arrays("float64", 2, elements=st.floats(0.1, 1))
)
def test_each_photo_has_its_own_tau(image, taus):
    taus = taus[: len(image)].reshape(-1, 1, 1, 1)
    light = np.minimum(gamma_to_linear(image), taus) / taus
    check(
        lambda pixels: exposure.overexpose(pixels, taus),
        image,
        gamma_from_linear(light),
        slope=10.0,
    )


@quick
@given(levels=arrays.arrays("uint8", ANY_SHAPE))
def test_quantizing_undoes_dequantizing(levels):
    image = levels / 255
    noise = np.random.default_rng(0).uniform(-0.499, 0.499, image.shape)
    spread = np.clip((levels + noise) / 255, 0, 1)
    check(lambda pixels: exposure.dequantize(pixels, noise), image, spread)
    check(exposure.quantize, spread, image)


@quick
@given(image=rgb())
def test_luminance_is_a_weighted_mean(image):
    weights = np.array([0.27, 0.67, 0.06])
    check(luminance.luminance, image, image.astype("float64") @ weights)
    weights = np.array([0.2126, 0.7152, 0.0722])
    check(luminance.luma, image, image.astype("float64") @ weights)


@quick
@given(
    image=images(ANY_SHAPE),
    ends=st.sampled_from(
        [clipping.MASK_RAMP, clipping.COUNT_RAMP, clipping.MEAN_RAMP]
    ),
)
def test_masks_rise_between_their_ends(image, ends):
    rise = np.interp(image.astype("float64"), ends, (0, 1))
    slope = 1 / (ends[1] - ends[0])
    check(
        lambda pixels: clipping.clip_mask(pixels, ends), image, rise, 8, slope
    )
    check(
        lambda pixels: clipping.white_mask(pixels, ends),
        image,
        rise**2,
        8,
        2 * slope,
    )


@quick
@given(
    image=images(ANY_SHAPE),
    slopes=arrays.arrays(
        "float32", len(KNOTS) - 1, elements=st.floats(0.125, 4, width=32)
    ),
)
def test_tone_curve_joins_its_knots(image, slopes):
    slopes = slopes.astype(image.dtype)
    heights = np.cumsum([0, *(slopes.astype("float64") * np.diff(KNOTS))])
    check(
        lambda pixels: tone_curve.tone_curve(pixels, slopes, KNOTS),
        image,
        np.interp(image.astype("float64"), KNOTS, heights),
    )


def area_means(image, size):
    """Repeats each pixel `size` times, then averages whole blocks: float64."""
    for axis in (0, 1):
        many = np.moveaxis(
            np.repeat(image.astype("float64"), size, axis), axis, 0
        )
        means = many.reshape(size, -1, *many.shape[1:]).mean(1)
        image = np.moveaxis(means, 0, axis)
    return image


@quick
@given(image=rgb(), size=st.sampled_from([1, 2, 4, 5]), rows=st.integers(1, 5))
def test_area_resize_shares_pixels_by_area(image, size, rows):
    image = image.astype("float32")
    expected = np.stack([area_means(photo, size) for photo in image])
    check(
        lambda pixels: area_resize.area_resize(pixels, size),
        image,
        expected,
        64,
    )
    height, width = image.shape[1:3]
    strips = [
        (top, image[0, top : top + rows]) for top in range(0, height, rows)
    ]
    joined = area_resize.area_resize_strips(strips, height, width, size)
    np.testing.assert_allclose(joined, expected[0], atol=1e-5)


@quick
@given(views=images(st.tuples(st.just(2), st.just(4), st.just(6), st.just(3))))
def test_thumbnails_hold_means_shares_and_samples(views):
    blocks = views.astype("float64").reshape(2, 2, 2, 3, 2, 3)
    shares = np.clip((blocks - 0.97) / 0.025, 0, 1)
    expected = np.concatenate(
        [
            blocks.mean((2, 4)),
            shares.mean((2, 4)),
            blocks[:, :, 1, :, 1],
        ],
        axis=-1,
    )
    check(thumbnail.thumbnails_of_views, views, expected, slope=40.0)


def test_whole_photos_become_thumbnails():
    photo = np.random.default_rng(0).random((1, 300, 173, 3), "float32")
    ours = thumbnail.thumbnails_of(photo)
    theirs = thumbnail.thumbnails_of(ops.convert_to_tensor(photo))
    side, channels = thumbnail.THUMBNAIL_SIZE, thumbnail.THUMBNAIL_CHANNELS
    assert ours.shape == (1, side, side, channels)
    np.testing.assert_allclose(ours, ops.convert_to_numpy(theirs), atol=1e-4)


def of_tensors(formula, *inputs):
    """A formula's answer from tensors, as NumPy's."""
    answer = formula(*map(ops.convert_to_tensor, inputs))
    return ops.convert_to_numpy(answer)


def test_surround_is_judged_alike_by_tensors():
    random = np.random.default_rng(4)
    answers = set()
    for _ in range(60):
        top, left = random.integers(0, 20, 2)
        bottom, right = 100 - random.integers(0, 20, 2) * (
            random.random() < 0.8
        )
        box = np.array([top, bottom, left, right], np.int32)
        size, drawn = np.array([100, 100], np.int32), random.integers(1, 8000)
        along = random.choice([0.5, 0.95, 1], 4, p=[0.1, 0.4, 0.5])
        inputs = box, size, np.int32(drawn), along.astype(np.float32)
        ours = surround.judge_surround(*inputs)
        theirs = surround.judge_surround(*map(ops.convert_to_tensor, inputs))
        assert ours == tuple(bool(answer) for answer in theirs)
        answers.add(tuple(map(bool, ours)))
    assert answers == {(False, False), (True, False), (False, True)}


@pytest.mark.parametrize(
    "module", FORMULAS, ids=lambda module: module.__name__.split(".")[-1]
)
def test_worked_examples(module):
    assert doctest.testmod(module).failed == 0


def test_arrays_need_no_keras():
    names = [module.__name__ for module in FORMULAS]
    program = f"""
import sys, importlib
import numpy as np
for name in {names}:
    importlib.import_module(name)
from tfexposure.imaging.exposure import invert, overexpose
from tfexposure.imaging.thumbnail import thumbnails_of
photo = np.ones((1, 4, 4, 3), "float32")
thumbnails_of(invert(overexpose(photo, 0.5), 0.5))
heavy = {{"keras", "tensorflow", "jax"}} & set(sys.modules)
assert not heavy, heavy
"""
    subprocess.run([sys.executable, "-c", program], check=True)


# --- Nothing outside `imaging` holds a formula ------------------------------

# Numbers of the curves; and those that give a ramp or the weights away where
# they stand together.
CURVE_NUMBERS = {2.2, 12.92, 0.0031308, 1.055, 0.04045}
GROUPS = (
    clipping.MASK_RAMP,
    clipping.COUNT_RAMP,
    clipping.MEAN_RAMP,
    luminance.LUMINANCE_WEIGHTS,
    luminance.LUMA_WEIGHTS,
)
FOLDERS = ("tfexposure", "trainers", "export", "benchmarks", "examples")
# `web/` is not looked at: a browser runs JavaScript, which has its own copies.
EXEMPT = {
    "tfexposure/imaging": "the formulas themselves",
}
# Numbers that mean something else: (file, number).


def numbers_of(source):
    """Yields (line, number) of the code; texts and comments are none."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, float):
            yield node.lineno, node.value


def formulas_in(source):
    """Yields (line, numbers) wherever a formula's numbers stand."""
    numbers = list(numbers_of(source))
    for line, number in numbers:
        if number in CURVE_NUMBERS:
            yield line, (number,)
    for group in GROUPS:
        for line in sorted({line for line, number in numbers}):
            near = {n for at, n in numbers if line <= at <= line + 2}
            if set(group) <= near and (line, group[0]) in numbers:
                yield line, group


def test_formulas_stand_in_imaging_alone(repository):
    found = []
    for folder in FOLDERS:
        for path in sorted((repository / folder).rglob("*.py")):
            name = path.relative_to(repository).as_posix()
            if any(name.startswith(f"{exempt}/") for exempt in EXEMPT):
                continue
            for line, numbers in formulas_in(path.read_text()):
                found.append(f"{name}:{line}: {numbers}")
    assert not found, "\n".join(["use tfexposure.imaging:", *found])


@pytest.mark.parametrize(
    ("source", "lines"),
    [
        ('"""Gamma 2.2."""\nlight = x**2.2  # 1.055\n', [2]),
        ("a = 1\nlow, high = 0.9, 0.99\n", [2]),
        ("low = 0.97\n\nhigh = 0.995\n", [1]),
        ("dot(x, (0.27,\n 0.67, 0.06))\n", [1]),
        ("low = 0.97\nb = 1\nc = 2\nhigh = 0.995\n", []),
        ("label = 'light ** 2.2'\n", []),
    ],
)
def test_formulas_are_found(source, lines):
    assert [line for line, _ in formulas_in(source)] == lines
