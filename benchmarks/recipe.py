"""How like real overexposed photos the training recipe's are.

    python benchmarks/recipe.py --photos=runs/photos.npz

Statistics of the overexposed photos and of their targets, for real brackets
(groups `over` and `reference` of the array file; looked at, never trained on),
for photos taken through the paper's power law, and for the recipe's camera
photos: quantiles of the display values, mean distance between a pixel's
largest and smallest channel, shares of pixels where one channel or all are
clipped or one is near white, the mean and its spread over photos; what the
target is, on average, where the overexposed photo is 0.25, 0.5, 0.75, 0.9; and
how well one tells the other: the correlation of both means over photos, and
the mean and spread of the natural logarithm of the target's brightness as a
share of the overexposed photo's, of channels that are not near white.
"""

import dataclasses
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
from absl import app, flags
from keras import ops

from tfexposure.blind import camera
from tfexposure.data import packed as photos

_PHOTOS = flags.DEFINE_string(
    "photos", None, "Array file of pack_photos.", required=True
)
_COUNT = flags.DEFINE_integer("count", 1600, "Photos that are drawn.")
_RECIPE = flags.DEFINE_string(
    "recipe", "{}", "JSON of camera.Recipe fields that differ."
)

_BATCH, _SIZE = 16, 256
_QUANTILES = (0.01, 0.05, 0.25, 0.5, 0.75, 0.95)
_VALUES = (0.25, 0.5, 0.75, 0.9)
_CLIPPED, _NEAR = 0.985, 0.9


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    recipe = camera.Recipe(**json.loads(_RECIPE.value))
    recipe = dataclasses.replace(recipe, untouched=0.0, srgb_share=0.0)
    train = photos.read_photos(_PHOTOS.value, "train")
    real = [
        np.stack([photos.squeeze(photo, _SIZE, _SIZE) for photo in group])
        / np.float32(255)
        for group in (
            photos.read_photos(_PHOTOS.value, "over"),
            photos.read_photos(_PHOTOS.value, "reference"),
        )
    ]
    rows = {
        "real brackets": real,
        "power law": _draw(train, dataclasses.replace(recipe, gamma_share=1)),
        "camera photos": _draw(
            train, dataclasses.replace(recipe, gamma_share=0)
        ),
    }
    print(
        "| photos | N | "
        + " | ".join(f"q {quantile:.0%}" for quantile in _QUANTILES)
        + " | colour | one clipped | all clipped | near white | mean | spread |"
    )
    print("|---|" + "---:|" * (7 + len(_QUANTILES)))
    for name, pair in rows.items():
        for part, images in zip(("overexposed", "target"), pair, strict=True):
            figures = " | ".join(f"{value:.3f}" for value in _describe(images))
            print(f"| {name}, {part} | {len(images)} | {figures} |")
    print(
        "\n| target where overexposed is | "
        + " | ".join(map(str, _VALUES))
        + " |"
    )
    print("|---|" + "---:|" * len(_VALUES))
    for name, (overexposed, target) in rows.items():
        means = [
            target[np.abs(overexposed - value) < 0.02].mean()
            for value in _VALUES
        ]
        print(
            f"| {name} | " + " | ".join(f"{mean:.3f}" for mean in means) + " |"
        )
    print("\n| photos | correlation of means | log share | spread |")
    print("|---|---:|---:|---:|")
    for name, pair in rows.items():
        figures = " | ".join(f"{value:.3f}" for value in _compare(*pair))
        print(f"| {name} | {figures} |")


def _draw(train, recipe):
    rng = np.random.default_rng(0)
    pairs = []
    for _ in range(_COUNT.value // _BATCH):
        views = np.stack(
            [
                photos.squeeze(train[index], _SIZE, _SIZE)
                for index in rng.integers(0, len(train), _BATCH)
            ]
        )
        cameras = camera.draw_cameras(rng, views, recipe)
        pair = camera.expose(views, cameras)
        # A sixteenth of the pixels says as much.
        pairs.append([ops.convert_to_numpy(p)[:, ::4, ::4] for p in pair])
    return [np.concatenate(part) for part in zip(*pairs, strict=True)]


def _describe(images):
    quantiles = np.quantile(
        images.reshape(len(images), -1), _QUANTILES, axis=1
    ).mean(axis=1)
    largest, smallest = images.max(axis=-1), images.min(axis=-1)
    return (
        *quantiles,
        (largest - smallest).mean(),
        (largest > _CLIPPED).mean(),
        (smallest > _CLIPPED).mean(),
        ((largest > _NEAR) & (largest <= _CLIPPED)).mean(),
        images.mean(),
        images.mean(axis=(1, 2, 3)).std(),
    )


def _compare(overexposed, target):
    axes = (1, 2, 3)
    kept = overexposed <= _NEAR
    shares = np.log(
        np.mean(kept * target, axis=axes)
        / np.mean(kept * overexposed, axis=axes)
    )
    means = overexposed.mean(axis=axes), target.mean(axis=axes)
    return np.corrcoef(*means)[0, 1], shares.mean(), shares.std()


if __name__ == "__main__":
    app.run(main)
