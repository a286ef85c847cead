"""How cameras overexpose: the training recipe of blind models.

A photo's `Camera` is drawn on the host, as two small tables and a few numbers;
the pixels are worked on by `keras.ops`, on whatever device trains, so that the
recipe needs no TensorFlow. A photo y passes through

    light = decode(y) * balance        response curve, white balance
    target = encode(min(light, 1))     what the photo should have been
    exposed = encode(min(light / tau, 1)), plus noise, JPEG, 8-bit rounding.

Both maps are one-dimensional per channel, so each is one table from display
values to display values, whatever the curve.

Two kinds of photos are drawn. Some are taken as the paper does, through a power
law (or the sRGB curve), and nothing else is done to them. The others are taken
as real cameras take scenes of high contrast: through curves with a shoulder,
the target darker than the average photo, because who exposes well keeps the
highlights.
"""

import dataclasses

import numpy as np
from keras import ops

# Entries of a table: a quarter of an 8-bit step lies between two of them at
# a slope of 4, and 4 is a strong overexposure.
TABLE_SIZE = 4096

# Annex K of the JPEG standard, quality 50.
_LUMA = (
    (16, 11, 10, 16, 24, 40, 51, 61),
    (12, 12, 14, 19, 26, 58, 60, 55),
    (14, 13, 16, 24, 40, 57, 69, 56),
    (14, 17, 22, 29, 51, 87, 80, 62),
    (18, 22, 37, 56, 68, 109, 103, 77),
    (24, 35, 55, 64, 81, 104, 113, 92),
    (49, 64, 78, 87, 103, 121, 120, 101),
    (72, 92, 95, 98, 112, 100, 103, 99),
)
_CHROMA = (
    (17, 18, 24, 47, 99, 99, 99, 99),
    (18, 21, 26, 66, 99, 99, 99, 99),
    (24, 26, 56, 99, 99, 99, 99, 99),
    (47, 66, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
    (99, 99, 99, 99, 99, 99, 99, 99),
)
_RGB_TO_YCC = np.array(
    [
        [0.299, 0.587, 0.114],
        [-0.168736, -0.331264, 0.5],
        [0.5, -0.418688, -0.081312],
    ],
    "float32",
)


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What is drawn for a photo, and how often.

    Attributes:
        tau_min: least share of full-scale light that becomes white; drawn
            log-uniformly in [tau_min, 1].
        tau_uniform: whether it is drawn uniformly there instead, as in the
            paper's last experiment.
        tau_fixed: if positive, tau is this for every photo.
        untouched: share of photos with tau 1, so that good photos stay good.
        gamma_share: share of photos taken through the paper's power law 2.2.
        srgb_share: the same for the sRGB curve; the rest are camera photos.
        lit: share of photos whose highlights are lifted to white first: good
            photos of real scenes have lamps and skies that are white.
        glow: share of photos that a light is put into or beside first, since
            lamps, the sun and bright skies are rare in photos that are not
            overexposed, and fall off gently to all sides.
        noise: greatest standard deviation of sensor noise, in display values.
        jpeg_share: share of photos saved as JPEG once.
        jpeg_quality: least and greatest quality of that JPEG.
        stops: camera photos: least and greatest overexposure, log2 of 1 / tau.
        dim: camera photos: least and greatest share of these stops by which
            the target, too, is darker than the photo at hand.
        balance: camera photos: standard deviation of the log2 gain of red and
            blue.
        contrast: camera photos: share whose contrast is raised first.
    """

    tau_min: float = 0.12
    tau_uniform: bool = False
    tau_fixed: float = 0.0
    untouched: float = 0.2
    gamma_share: float = 0.45
    srgb_share: float = 0.08
    lit: float = 0.2
    glow: float = 0.25
    noise: float = 0.008
    jpeg_share: float = 0.8
    jpeg_quality: tuple = (70, 98)
    stops: tuple = (0.3, 2.9)
    dim: tuple = (0.0, 0.35)
    balance: float = 0.15
    contrast: float = 0.5


def camera_response(exponent, knee, contrast=0.0):
    """Makes a camera's S-shaped curve from light to display values.

    `(1 + knee) * light ** exponent / (light ** exponent + knee)`, then a blend
    by `contrast` towards the smooth step `3 y ** 2 - 2 y ** 3`. A small knee
    is a long soft shoulder below white, a large one the plain power law.

    Args:
        exponent: float > 0.
        knee: float > 0.
        contrast: float in [-0.5, 1).

    Returns:
        Function of a NumPy array of light in [0, 1].

    Reference:
        Naka and Rushton (1966), as fitted to measured cameras by Eilertsen et
        al., HDR image reconstruction from a single exposure (2017), eq. (5).
    """

    def encode(light):
        power = light**exponent
        display = (1 + knee) * power / (power + knee)
        step = display * display * (3 - 2 * display)
        return display + contrast * (step - display)

    return encode


def lift_highlights(display, strength):
    """Lifts display values above the middle, so that the brightest clip."""
    share = np.clip((display - 0.45) / 0.5, 0, 1)
    share = share * share * (3 - 2 * share)
    return np.minimum(display * (1 + strength * share), 1)


def raise_contrast(display, power, share):
    """Darkens by a power, then blends towards the smooth step by a share."""
    display = display**power
    step = display * display * (3 - 2 * display)
    return display + share * (step - display)


def exposure_tables(encode, tau, balance=(1.0, 1.0, 1.0), scene=None):
    """Tabulates what a camera does to the display values of a good photo.

    Args:
        encode: increasing function from light to display values, both [0, 1].
        tau: float in (0, 1], the light that becomes white.
        balance: gain of light per channel.
        scene: function applied to the display values of the photo itself.

    Returns:
        Two float32 (3, TABLE_SIZE): the target's and the overexposed photo's
        display values at the photo's values 0, ..., 1.
    """
    # Light spans many stops: equal steps of its fourth root resolve them all.
    light = np.linspace(0, 1, 4 * TABLE_SIZE) ** 4
    display = encode(light)
    values = np.linspace(0, 1, TABLE_SIZE)
    if scene:
        values = scene(values)
    decoded = np.interp(values, display, light)
    balanced = decoded * np.asarray(balance)[:, None]

    def shown(gain):
        return np.interp(np.minimum(balanced * gain, 1), light, display)

    return shown(1.0).astype("float32"), shown(1.0 / tau).astype("float32")


def draw_cameras(rng, count, recipe):
    """Draws one camera and exposure per photo.

    Args:
        rng: numpy.random.Generator.
        count: int, N.
        recipe: Recipe.

    Returns:
        dict of float32 arrays: `target_table` and `exposed_table`
        (N, 3, TABLE_SIZE), `tau`, `noise`, `quality` (0: no JPEG), `halved`
        (1: chroma at half size) and `seed`, each (N,), and `glow` (N, 4), see
        `add_glow`.
    """
    rows = [_draw_camera(rng, recipe) for _ in range(count)]
    return {
        name: np.stack([row[name] for row in rows]).astype("float32")
        for name in rows[0]
    }


def _draw_camera(rng, recipe):
    kind = rng.uniform()
    tau = np.exp(rng.uniform(np.log(recipe.tau_min), 0.0))
    lift = rng.uniform(0.1, 0.5) * (rng.uniform() < recipe.lit)
    power, share = 1.0, 0.0
    gains, encode = np.ones(3), _power_law
    camera_photo = kind >= recipe.gamma_share + recipe.srgb_share
    if camera_photo:
        tau = 2.0 ** -rng.uniform(*recipe.stops)
        exponent = rng.uniform(0.55, 1.6)
        knee = np.exp(rng.uniform(np.log(0.08), np.log(0.7)))
        contrast = rng.uniform(-0.4, 0.7) * (rng.uniform() < 0.7)
        encode = camera_response(exponent, knee, contrast)
        if rng.uniform() < recipe.contrast:
            power, share = rng.uniform(1.0, 1.4), rng.uniform()
    elif kind >= recipe.gamma_share:
        encode = _srgb
    if recipe.tau_uniform:
        tau = rng.uniform(recipe.tau_min, 1.0)
    if rng.uniform() < recipe.untouched:
        tau = 1.0
    if recipe.tau_fixed:
        tau = recipe.tau_fixed
    if camera_photo:
        red, blue = np.exp2(rng.normal(0, recipe.balance, 2))
        # Never brighter than the photo: its own whites would become false
        # clips. The overexposed frame lies up to 1 / tau above the target.
        gains = np.array([red, 1.0, blue])
        gains *= tau ** rng.uniform(*recipe.dim) / gains.max()

    def scene(display):
        return raise_contrast(lift_highlights(display, lift), power, share)

    target, exposed = exposure_tables(encode, tau, gains, scene)
    low, high = recipe.jpeg_quality
    quality = rng.uniform(low, high) * (rng.uniform() < recipe.jpeg_share)
    return {
        "target_table": target,
        "exposed_table": exposed,
        "tau": np.array(tau),
        "glow": _draw_glow(rng, recipe),
        "noise": np.array(rng.uniform(0, recipe.noise) * rng.integers(0, 2)),
        "quality": np.array(quality),
        "halved": np.array(float(rng.uniform() < 0.6)),
        "seed": np.array(rng.integers(0, 1 << 20)),
    }


def _draw_glow(rng, recipe):
    radius = np.exp(rng.uniform(np.log(0.06), np.log(0.6)))
    # A wide light must be weak, or all of the photo were white.
    strength = np.exp(rng.uniform(0, np.log(16))) * min(1.0, 0.15 / radius)
    centre = rng.uniform(-0.1, 1.1, 2)
    return np.array([strength * (rng.uniform() < recipe.glow), radius, *centre])


def _power_law(light):
    return light ** (1 / 2.2)


def _srgb(light):
    high = 1.055 * np.maximum(light, 0.0031308) ** (1 / 2.4) - 0.055
    return np.where(light <= 0.0031308, 12.92 * light, high)


def expose(photos, cameras):
    """Takes the photos with the cameras, on the device.

    Args:
        photos: (N, H, W, 3) 8-bit values, of any numeric type; H and W
            multiples of 16.
        cameras: what `draw_cameras` returned.

    Returns:
        `overexposed` and `target`, float32 (N, H, W, 3) in [0, 1]; the former
        takes 256 values only.
    """
    photos = ops.cast(photos, "float32") / 255.0
    grain = white_noise(ops.shape(photos), cameras["seed"])
    # Fills the steps of 8 bits, so that no gap betrays the gain.
    values = ops.clip(photos + (grain[0] - 0.5) / 255.0, 0.0, 1.0)
    values = add_glow(values, cameras["glow"])
    target = look_up(cameras["target_table"], values)
    spread = _per_photo(cameras["noise"])
    # Four bytes' sum is close to a normal law; its deviation is 0.577.
    noisy = ops.clip(values + (grain[1] - 2.0) * (spread / 0.577), 0.0, 1.0)
    exposed = look_up(cameras["exposed_table"], noisy)
    saved = jpeg(exposed, cameras["quality"], cameras["halved"])
    return ops.floor(saved * 255.0 + 0.5) / 255.0, target


def add_glow(values, glow):
    """Lights the photos by a lamp each, as an emulsion shows it.

    `1 - (1 - value) ** (1 + strength / (1 + (distance / radius) ** 2) ** 2)`:
    near the lamp all values approach white, none reaches it.

    Args:
        values: (N, H, W, 3) in [0, 1].
        glow: (N, 4): strength (0: none), radius and centre (row, column) in
            units of the sides.

    Returns:
        (N, H, W, 3) in [0, 1].
    """
    strength, radius, row, column = (
        _per_photo(part) for part in ops.unstack(glow, 4, axis=1)
    )
    height, width = values.shape[1:3]
    rows = (ops.arange(height, dtype="float32") + 0.5) / height
    columns = (ops.arange(width, dtype="float32") + 0.5) / width
    down = ops.reshape(rows, (1, -1, 1, 1)) - row
    across = ops.reshape(columns, (1, 1, -1, 1)) - column
    square = (down * down + across * across) / (radius * radius)
    power = 1.0 + strength / ops.square(1.0 + square)
    return 1.0 - ops.power(ops.maximum(1.0 - values, 1e-6), power)


def look_up(tables, values):
    """Applies each photo's tables to its channels, to the nearest entry.

    Args:
        tables: (N, 3, TABLE_SIZE).
        values: (N, H, W, 3) in [0, 1].

    Returns:
        (N, H, W, 3).
    """
    size = tables.shape[-1]
    index = ops.cast(values * (size - 1) + 0.5, "int32")
    rows = ops.reshape(ops.arange(tables.shape[0] * 3), (-1, 1, 1, 3))
    return ops.take(ops.reshape(tables, (-1,)), index + rows * size)


def white_noise(shape, seeds):
    """Draws noise that is the same on every backend: a hash of the position.

    Args:
        shape: (N, H, W, 3).
        seeds: float32 (N,), whole numbers below 2 ** 20.

    Returns:
        Two float32 tensors of `shape`: uniform in [0, 1), and the sum of four
        uniform bytes in [0, 4), which is nearly normal around 2.
    """
    _, height, width, channels = shape
    # TensorFlow has no range of unsigned words.
    position = ops.arange(height * width * channels, dtype="int32")
    position = ops.reshape(position, (1, height, width, channels))
    position = ops.cast(position, "uint32")
    start = ops.cast(_per_photo(seeds), "uint32") * _word(0x9E3779B1)
    first = _mix(position + start)
    second = _mix(first + _word(0x85EBCA6B))
    uniform = ops.cast(ops.right_shift(first, _word(8)), "float32")
    four = sum(
        ops.cast(
            ops.bitwise_and(
                ops.right_shift(second, _word(8 * byte)), _word(255)
            ),
            "float32",
        )
        for byte in range(4)
    )
    return uniform / 2.0**24, four / 256.0


def _word(value):
    return ops.cast(np.uint32(value), "uint32")


def _mix(word):
    """The 32-bit finaliser `lowbias32` of Chris Wellons."""
    for shift, factor in ((16, 0x7FEB352D), (15, 0x846CA68B)):
        word = ops.bitwise_xor(word, ops.right_shift(word, _word(shift)))
        word = word * _word(factor)
    return ops.bitwise_xor(word, ops.right_shift(word, _word(16)))


def jpeg(images, quality, halved):
    """Saves and loads JPEG files, but for the entropy coding, which is exact.

    Args:
        images: (N, H, W, 3) in [0, 1]; H and W multiples of 16.
        quality: (N,), in [1, 100]; 0 leaves the photo as it is.
        halved: (N,), 1 where colour is stored at half size (4:2:0), else 0.

    Returns:
        (N, H, W, 3) in [0, 1].
    """
    ycc = ops.matmul(images * 255.0, _RGB_TO_YCC.T)
    luma = ycc[..., :1] - 128.0
    colour = ycc[..., 1:]
    quality = _per_photo(quality)
    luma = _round_blocks(luma, _LUMA, quality)
    full = _round_blocks(colour, _CHROMA, quality)
    small = ops.average_pool(colour, 2, 2)
    small = _round_blocks(small, _CHROMA, quality)
    small = ops.repeat(ops.repeat(small, 2, axis=1), 2, axis=2)
    colour = ops.where(_per_photo(halved) > 0.5, small, full)
    ycc = ops.concatenate([luma + 128.0, colour], axis=-1)
    rgb = ops.matmul(ycc, np.linalg.inv(_RGB_TO_YCC).T.astype("float32"))
    return ops.where(quality > 0, ops.clip(rgb / 255.0, 0.0, 1.0), images)


def _round_blocks(planes, table, quality):
    """Rounds the cosine coefficients of 8 x 8 blocks to the table's steps."""
    _, height, width, channels = planes.shape
    quality = ops.maximum(ops.floor(quality), 1.0)
    scale = ops.where(quality < 50, 5000.0 / quality, 200.0 - 2.0 * quality)
    steps = np.array(table, "float32").reshape(1, 1, 64, 1)
    steps = ops.floor((steps * scale + 50.0) / 100.0)
    steps = ops.clip(steps, 1.0, 255.0)
    # (N, rows, v, columns, u, C): v and u run inside a block.
    rows, columns = height // 8, width // 8
    blocks = ops.reshape(planes, (-1, rows, 8, columns, 8, channels))
    cosines = _cosines()
    freq = ops.einsum("nrvcuk,av,bu->nrcabk", blocks, cosines, cosines)
    freq = ops.reshape(freq, (-1, rows * columns, 64, channels))
    freq = ops.floor(freq / steps + 0.5) * steps
    freq = ops.reshape(freq, (-1, rows, columns, 8, 8, channels))
    blocks = ops.einsum("nrcabk,av,bu->nrvcuk", freq, cosines, cosines)
    return ops.reshape(blocks, (-1, height, width, channels))


def _cosines():
    """The orthonormal 8-point DCT-II as a matrix (frequency, position)."""
    k, x = np.arange(8)[:, None], np.arange(8)[None]
    matrix = np.cos(np.pi * (2 * x + 1) * k / 16) / 2
    matrix[0] /= np.sqrt(2)
    return matrix.astype("float32")


def _per_photo(values):
    return ops.reshape(values, (-1, 1, 1, 1))
