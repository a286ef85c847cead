"""How good an exported file is, measured on real photos."""

import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tfexposure.errors import UserError
from tfexposure.imaging.exposure import (
    get_response,
    overexpose,
)
from tfexposure.imaging.files import read_rgb
from tfexposure.runtime.lite import LiteModel
from tfexposure.storage import list_photos


def read_examples(folder, side: int, limit: int = 64) -> list:
    """Reads photos as squares, evenly spread over a folder.

    Args:
        folder: folder of photos, searched with its sub-folders.
        side: int, pixels of the square; the photo's middle, resized.
        limit: int, most photos read.

    Returns:
        list of float32 (1, side, side, 3) in [0, 1].

    Raises:
        UserError: if there are fewer than two photos, or one is unreadable.
    """
    names = list_photos(folder)
    if len(names) < 2:
        raise UserError(f"{folder}: at least two photos are needed there")
    step = max(len(names) / limit, 1)
    images = []
    for index in range(min(len(names), limit)):
        path = Path(folder, names[int(index * step)])
        photo = Image.fromarray(read_rgb(path))
        photo = ImageOps.fit(photo, (side, side), Image.LANCZOS)
        images.append(np.asarray(photo, "float32")[None] / np.float32(255))
    return images


def as_inputs(model, photos, taus, response: str = "gamma") -> list:
    """Overexposes photos and makes them a model's inputs.

    Args:
        model: `Model`.
        photos: list of float32 (1, H, W, 3), well exposed.
        taus: shares of light kept, taken in turn.
        response: name of the response curve.

    Returns:
        list of dicts of float32 arrays by input name.
    """
    curve = get_response(response)
    inputs = []
    for index, photo in enumerate(photos):
        tau = float(taus[index % len(taus)])
        image = np.asarray(overexpose(photo, tau, curve), "float32")
        # To the levels that a photo's file has.
        image = np.round(image * 255) / np.float32(255)
        entry = {"image": image}
        if model.thumbnail:
            entry["thumbnail"] = model.thumbnail_of(image[0])[None]
        inputs.append(entry)
    return inputs


def score(contents: bytes, model, inputs, repeats: int = 5) -> dict:
    """Compares a TFLite file with the model it was made from.

    Args:
        contents: bytes of the file.
        model: `KerasModel`, whose answers equal the generator's.
        inputs: list of dicts, see `as_inputs`.
        repeats: int, timed runs per number of threads.

    Returns:
        dict: `photos`; `psnr_db`, over all photos, and `worst_psnr_db`, at
        most 150; `delta_e`, mean CIEDE2000; `megabytes`; `milliseconds_1` and
        `milliseconds_2`, median per picture on 1 and 2 threads.
    """
    lite = LiteModel(contents, threads=1)
    errors, differences = [], []
    for entry in inputs:
        expected = _restore(model, entry)
        answer = _restore(lite, entry)
        errors.append(float(np.mean(np.square(answer - expected))))
        differences.append(float(np.mean(ciede2000(answer, expected))))
    result = {
        "photos": len(inputs),
        "psnr_db": _psnr(np.mean(errors)),
        "worst_psnr_db": _psnr(np.max(errors)),
        "delta_e": round(float(np.mean(differences)), 4),
        "megabytes": round(len(contents) / 1e6, 3),
    }
    for threads in (1, 2):
        result[f"milliseconds_{threads}"] = _latency(
            LiteModel(contents, threads), inputs[0], repeats
        )
    return result


def _psnr(error):
    # NaN, which a broken file answers, counts as no likeness at all.
    if not np.isfinite(error):
        return 0.0
    return round(float(-10 * np.log10(max(error, 1e-15))), 2)


def _restore(model, entry):
    return model.restore(**{name: value[0] for name, value in entry.items()})


def _latency(model, entry, repeats):
    _restore(model, entry)  # The first run allocates.
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        _restore(model, entry)
        times.append(time.perf_counter() - start)
    return round(1000 * float(np.median(times)), 2)


def ciede2000(first, second) -> np.ndarray:
    """Returns the perceived colour difference per pixel.

    Args:
        first: float (..., 3), sRGB in [0, 1].
        second: the same shape.

    Returns:
        float64 (...): 1 is about the least difference that can be seen.

    Reference:
        Sharma, Wu and Dalal, The CIEDE2000 color-difference formula, 2005.
    """
    l1, a1, b1 = _lab(first)
    l2, a2, b2 = _lab(second)
    chroma = (np.hypot(a1, b1) + np.hypot(a2, b2)) / 2
    power = chroma**7
    stretch = 1.5 - 0.5 * np.sqrt(power / (power + 25.0**7))
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1 = np.degrees(np.arctan2(b1, a1)) % 360
    h2 = np.degrees(np.arctan2(b2, a2)) % 360
    gray = c1 * c2 == 0
    turn = (h2 - h1 + 180) % 360 - 180
    hue = np.where(
        np.abs(h1 - h2) <= 180,
        (h1 + h2) / 2,
        (h1 + h2 + np.where(h1 + h2 < 360, 360, -360)) / 2,
    )
    hue = np.where(gray, h1 + h2, hue)
    turn = np.where(gray, 0, turn)
    delta_h = 2 * np.sqrt(c1 * c2) * np.sin(np.radians(turn / 2))
    light, chroma = (l1 + l2) / 2, (c1 + c2) / 2

    def cosine(times, shift):
        return np.cos(np.radians(times * hue + shift))

    weight = (
        1
        - 0.17 * cosine(1, -30)
        + 0.24 * cosine(2, 0)
        + 0.32 * cosine(3, 6)
        - 0.2 * cosine(4, -63)
    )
    square = (light - 50) ** 2
    scaled_l = (l2 - l1) / (1 + 0.015 * square / np.sqrt(20 + square))
    scaled_c = (c2 - c1) / (1 + 0.045 * chroma)
    scaled_h = delta_h / (1 + 0.015 * chroma * weight)
    power = chroma**7
    rotation = (
        -2
        * np.sqrt(power / (power + 25.0**7))
        * np.sin(np.radians(60 * np.exp(-(((hue - 275) / 25) ** 2))))
    )
    total = scaled_l**2 + scaled_c**2 + scaled_h**2
    return np.sqrt(np.maximum(total + rotation * scaled_c * scaled_h, 0))


def _lab(image):
    """CIELAB (D65) of sRGB values."""
    image = np.clip(np.asarray(image, "float64"), 0, 1)
    light = np.where(
        image <= 0.04045, image / 12.92, ((image + 0.055) / 1.055) ** 2.4
    )
    matrix = np.array(
        [
            [0.412453, 0.357580, 0.180423],
            [0.212671, 0.715160, 0.072169],
            [0.019334, 0.119193, 0.950227],
        ]
    )
    xyz = light @ matrix.T / (0.95047, 1.0, 1.08883)
    root = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16.0 / 116.0)
    x, y, z = np.moveaxis(root, -1, 0)
    return 116 * y - 16, 500 * (x - y), 200 * (y - z)
