"""Tells what each VGG-19 map adds to the perceptual loss, in every norm.

    python benchmarks/perceptual_maps.py --photos=../shared/photos/ccby \
        --vgg19_weights=../shared/weights/vgg19_notop_imagenet_f16.npz

The middle squares of the photos, at tau 0.5, against the photo overexposed,
its inverse, and what the weights `paper` make of it. The last line holds the
factors that would give the maps the same share for the last of these, and
leave the sum over the photos as it is.
"""

import keras
import numpy as np
from absl import app, flags

from tfexposure.evaluation import Simulation, find_photos, read_photo
from tfexposure.imaging import exposure
from tfexposure.imaging.transfer_curves import GAMMA_2_2
from tfexposure.perceptual import (
    EQUAL_FACTORS,
    perceptual_loss,
    vgg19_features,
)
from tfexposure.runtime.opening import open_whole_image

_PHOTOS = flags.DEFINE_string("photos", None, "Folder.", required=True)
_WEIGHTS = flags.DEFINE_string("vgg19_weights", "imagenet", "Of VGG-19.")
_COUNT = flags.DEFINE_integer("count", 48, "Photos to take, evenly spaced.")
_SIDE = flags.DEFINE_integer("side", 256, "Of the squares, in pixels.")


def main(argv):
    del argv
    features = vgg19_features(_WEIGHTS.value)
    paper = open_whole_image("paper")
    restorations = {
        "overexposed": lambda image: image,
        "inverse": lambda image: exposure.invert(image, 0.5, GAMMA_2_2),
        "paper": paper,
    }
    squares = [_middle(p) for p in find_photos(_PHOTOS.value, _COUNT.value)]
    for name, restore in restorations.items():
        means = []
        for index, target in enumerate(squares):
            example = Simulation(0.5, 0.5).apply(target, str(index))
            restored = restore(example.overexposed)
            maps = [
                features(np.float32(image)[None])
                for image in (example.target, restored)
            ]
            means.append(_each(*maps))
        full = np.mean(means, axis=0)
        widths = [each.shape[-1] for each in maps[0]]
        for norm, factors in (
            ("literal", widths),
            ("full", 1),
            ("equal", EQUAL_FACTORS),
        ):
            terms = full * factors
            shares = "  ".join(f"{s:6.1%}" for s in terms / terms.sum())
            print(f"{name:>12} {norm:>8}: {terms.sum():8.4f}  {shares}")
    print("factors:", np.round(full.mean() / full, 3).tolist())


def _middle(path):
    image = read_photo(path, max_side=2 * _SIDE.value)
    top, left = ((side - _SIDE.value) // 2 for side in image.shape[:2])
    return image[top : top + _SIDE.value, left : left + _SIDE.value]


def _each(target, restored):
    """Returns what each map adds in the norm `full`."""
    return [
        float(keras.ops.squeeze(perceptual_loss([one], [other], "full")))
        for one, other in zip(target, restored, strict=True)
    ]


if __name__ == "__main__":
    app.run(main)
