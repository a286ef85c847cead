"""How good an exported file is, measured on real photos."""

import functools
import time
from pathlib import Path

import numpy as np
from PIL import Image, ImageOps

from tfexposure.errors import UserError
from tfexposure.imaging.exposure import overexpose, quantize
from tfexposure.imaging.files import read_rgb
from tfexposure.imaging.transfer_curves import get_response
from tfexposure.metrics import ciede2000, decibels, lab
from tfexposure.runtime.lite import LiteModel
from tfexposure.storage import list_photos

# Answers in floating point are told apart far beyond what photos are.
FLOAT_CAP = 150.0


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
        image = ImageOps.fit(photo, (side, side), Image.Resampling.LANCZOS)
        images.append(np.asarray(image, "float32")[None] / np.float32(255))
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
        # To the levels that a photo's file has.
        image = quantize(overexpose(photo, tau, curve))
        entry = {"image": image}
        if model.thumbnail:
            entry["thumbnail"] = model.thumbnail_of(image[0])[None]
        inputs.append(entry)
    return inputs


def score(contents: bytes, model, inputs, repeats: int = 5) -> dict:
    """Compares a TFLite file with the model it was made from.

    Args:
        contents: bytes of the file.

    See `score_model` for the rest.
    """
    opener = functools.partial(LiteModel, contents)
    return score_model(opener, len(contents), model, inputs, repeats)


def score_model(opener, size: int, model, inputs, repeats: int = 5) -> dict:
    """Compares an export with the model it was made from.

    Args:
        opener: function of a number of threads to the export as a `Model`.
        size: its bytes.
        model: `KerasModel`, whose answers equal the generator's.
        inputs: list of dicts, see `as_inputs`.
        repeats: int, timed runs per number of threads.

    Returns:
        dict: `photos`; `psnr_db`, over all photos, and `worst_psnr_db`, at
        most `FLOAT_CAP`; `delta_e`, mean CIEDE2000; `megabytes`;
        `milliseconds_1` and `milliseconds_2`, median per picture on 1 and 2
        threads.
    """
    exported = opener(threads=1)
    errors, differences = [], []
    for entry in inputs:
        expected = _restore(model, entry)
        answer = _restore(exported, entry)
        errors.append(float(np.mean(np.square(answer - expected))))
        differences.append(
            float(np.mean(ciede2000(lab(answer), lab(expected))))
        )
    result = {
        "photos": len(inputs),
        "psnr_db": _psnr(np.mean(errors)),
        "worst_psnr_db": _psnr(np.max(errors)),
        "delta_e": round(float(np.mean(differences)), 4),
        "megabytes": round(size / 1e6, 3),
    }
    for threads in (1, 2):
        result[f"milliseconds_{threads}"] = _latency(
            opener(threads=threads), inputs[0], repeats
        )
    return result


def _psnr(error):
    # NaN, which a broken file answers, counts as no likeness at all.
    if not np.isfinite(error):
        return 0.0
    return round(float(decibels(error, cap=FLOAT_CAP)), 2)


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
