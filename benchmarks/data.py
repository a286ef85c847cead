"""Speed of the training input, against a plain Pillow loop on the same files.

    python benchmarks/data.py --source=photos --output=docs/results/data.json

`pipeline` is the tf.data stream of training, `pillow` a loop that opens,
converts, crops, resizes and overexposes with Pillow and NumPy, one photo after
the other. Both deliver float32 pairs in batches. Rounds alternate; medians
count. With `--demand`, images/s of the training step, the pipeline's speed is
told as a multiple of that too.
"""

import dataclasses
import json
import os
import sys
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import tensorflow as tf
from absl import app, flags
from PIL import Image

from tfexposure.config import DataConfig
from tfexposure.data.pipeline import training_stream
from tfexposure.data.sources import FilePhotos, open_photos
from tfexposure.imaging import exposure

_SOURCE = flags.DEFINE_string("source", None, "Photos.", required=True)
_CROP = flags.DEFINE_integer("crop_size", 256, "Side of the crops, in pixels.")
_BATCH = flags.DEFINE_integer("batch", 16, "Photos per batch.")
_BATCHES = flags.DEFINE_integer("batches", 8, "Batches per round.")
_ROUNDS = flags.DEFINE_integer("rounds", 5, "Measured rounds.")
_DEMAND = flags.DEFINE_float("demand", 0.0, "images/s that training takes.")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file to write.")

_TAU = 0.5


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    photos = open_photos(_SOURCE.value, max_unreadable=1_000_000)
    if not isinstance(photos, FilePhotos):
        raise app.UsageError("--source must be a folder or a manifest")
    gamma = DataConfig(crop_size=_CROP.value, tau_min=_TAU, tau_max=_TAU)
    srgb = dataclasses.replace(gamma, response="srgb")
    ways = {
        "pipeline": lambda: _stream(photos, gamma),
        "pipeline_srgb": lambda: _stream(photos, srgb),
        "pillow": lambda: _pillow(photos),
    }
    speeds = {name: [] for name in ways}
    for round_ in range(_ROUNDS.value + 1):
        for name, start in ways.items():
            # Begun anew, lest it prefetch while the others are measured.
            speed = _images_per_second(start())
            if round_:  # the files are in the page cache now
                speeds[name].append(speed)
    medians = {name: float(np.median(found)) for name, found in speeds.items()}
    results = {
        "images_per_second": {k: round(v, 1) for k, v in medians.items()},
        "pipeline_over_pillow": round(
            medians["pipeline"] / medians["pillow"], 2
        ),
    }
    if _DEMAND.value:
        results["demand"] = _DEMAND.value
        results["pipeline_over_demand"] = round(
            medians["pipeline"] / _DEMAND.value, 2
        )
    report = {
        "command": " ".join(["python", "benchmarks/data.py", *sys.argv[1:]]),
        "photos": photos.count,
        "fingerprint": photos.fingerprint(),
        "crop_size": _CROP.value,
        "images_per_round": _BATCH.value * _BATCHES.value,
        "rounds": _ROUNDS.value,
        "cores": os.cpu_count(),
        "tensorflow": tf.__version__,
        **results,
    }
    print(json.dumps(results))
    if _OUTPUT.value:
        Path(_OUTPUT.value).write_text(json.dumps(report, indent=2) + "\n")


def _stream(photos, data):
    return training_stream(photos, data, 0, _BATCH.value).as_numpy_iterator()


def _pillow(photos):
    """Yields batches as a straightforward program makes them."""
    random = np.random.default_rng(0)
    while True:
        pairs = []
        for _ in range(_BATCH.value):
            file = photos.files[random.integers(photos.count)]
            pairs.append(_pillow_pair(file, random))
        overexposed, target = map(np.stack, zip(*pairs, strict=True))
        yield {"overexposed": overexposed, "target": target}


def _pillow_pair(file, random):
    photo = Image.open(file).convert("RGB")
    side = int(min(photo.size) / random.uniform(1.0, 1.3))
    left = random.integers(photo.width - side + 1)
    top = random.integers(photo.height - side + 1)
    crop = photo.crop((left, top, left + side, top + side))
    crop = crop.resize((_CROP.value, _CROP.value), Image.BILINEAR)
    if random.random() < 0.5:
        crop = crop.transpose(Image.Transpose.FLIP_LEFT_RIGHT)
    target = np.asarray(crop, np.float32) / 255
    noise = random.random(target.shape, np.float32) - np.float32(0.5)
    target = exposure.dequantize(target, noise)
    return exposure.quantize(exposure.overexpose(target, _TAU)), target


def _images_per_second(batches):
    next(batches)  # starts its threads
    start = time.perf_counter()
    for _ in range(_BATCHES.value):
        next(batches)
    seconds = time.perf_counter() - start
    return _BATCHES.value * _BATCH.value / seconds


if __name__ == "__main__":
    app.run(main)
