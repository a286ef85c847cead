"""Fits and measures the blind estimate of overexposure of `tfexposure inspect`.

Prints the weights that `tfexposure/imaging/appearance.py` holds, and how far
the estimate is off on photos it was not fitted to: simulated overexposures
and real brackets.

    python benchmarks/exposure_estimate.py --shared=../shared
"""

import argparse
import pathlib

import numpy as np
from PIL import Image

from tfexposure.data.pairs import read_pairs
from tfexposure.data.well_exposed import Rules, is_well_exposed
from tfexposure.imaging import appearance, exposure
from tfexposure.imaging.files import read_rgb
from tfexposure.photo import inspection
from tfexposure.photo.io import colour


def load(path, side):
    image = Image.fromarray(read_rgb(path))
    image.thumbnail((side, side))
    return np.asarray(image)


def look(levels):
    luma = inspection.luma_histogram(levels, 255, colour.SameColour())
    clipped = (levels >= inspection.CLIPPED * 255).any(-1).mean()
    return luma / luma.sum(), clipped


def overexpose(levels, stops, random):
    """Eq. (10) on 8-bit levels, dequantised before the clip."""
    noise = random.uniform(-0.5, 0.5, levels.shape)
    values = exposure.dequantize(levels / 255, noise)
    exposed = exposure.overexpose(values, 2.0**-stops)
    return np.rint(exposed * 255).astype(np.uint8)


def is_usable(levels, max_bright):
    return is_well_exposed(levels, Rules(max_bright=max_bright, max_dark=0.02))


def fit(paths, random):
    rows, targets = [], []
    for path in paths:
        levels = load(path, 256)
        if not is_usable(levels, 0.06):
            continue
        for stops in (0, 0, 0, *random.uniform(0, 2.2, 3)):
            exposed = overexpose(levels, stops, random)
            rows.append(appearance.appearance(*look(exposed)))
            targets.append(stops)
    rows, targets = np.array(rows), np.array(targets)
    ridge = 1e-3 * np.eye(rows.shape[1])
    weights = np.linalg.solve(rows.T @ rows + ridge, rows.T @ targets)
    return weights, len(rows) // 6


def measure(paths, random):
    for stops in (0.0, 0.5, 1.0, 2.0):
        guesses = []
        for path in paths:
            levels = load(path, 256)
            if is_usable(levels, 0.01):
                shifted = overexpose(levels, stops, random)
                guesses.append(guess(shifted))
        guesses = np.array(guesses)
        print(
            f"simulated {stops} stops: N={len(guesses)}, median "
            f"{np.median(guesses):.2f}, mean error "
            f"{np.abs(guesses - stops).mean():.2f}, called well exposed "
            f"{(guesses < inspection.MIN_STOPS).mean():.0%}"
        )


def guess(levels):
    return float(appearance.stops_of_appearance(*look(levels)))


def measure_brackets(folder):
    pairs = read_pairs(folder)
    for kind in ("overexposed", "reference"):
        paths = sorted({getattr(pair, kind) for pair in pairs})
        guesses = np.array([guess(load(path, 512)) for path in paths])
        print(
            f"real brackets, {kind}: N={len(guesses)}, median "
            f"{np.median(guesses):.2f} stops, called well exposed "
            f"{(guesses < inspection.MIN_STOPS).mean():.0%}"
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--shared", default="../shared")
    photos = pathlib.Path(parser.parse_args().shared, "photos")
    random = np.random.default_rng(0)
    training = sorted((photos / "scenes/train").iterdir())[::4]
    training += sorted((photos / "ccby").glob("*.jpg"))[::4]
    weights, count = fit(training, random)
    print(f"fitted to {count} photos:")
    print(", ".join(f"{weight:.3f}" for weight in weights))
    validation = sorted((photos / "scenes/valid").iterdir())
    validation += sorted((photos / "kodak").iterdir())
    measure(validation, random)
    measure_brackets(photos / "brackets")


if __name__ == "__main__":
    main()
