"""Fits the constants of `evaluation.baselines`; says how well they do.

    python benchmarks/fit_blind_baseline.py --fit=ccby.jsonl --test=scenes.jsonl

Each kept photo of the `fit` manifest is overexposed several times with tau
log-uniform in [0.1, 1]; stops are regressed on the square roots of the
clipped shares, without a constant term. The `test` manifest then tells the
error in stops and in the gain of display values.

The third constant says where the values above a clip lie: their mean over the
photos of `fit`, as a share of the way from the clip to white, averaged over
the clips of tau from 0.1 to 1.
"""

import numpy as np
from absl import app, flags
from keras import ops
from PIL import Image

from tfexposure.data.manifest import kept_photos
from tfexposure.evaluation import baselines
from tfexposure.imaging import exposure
from tfexposure.imaging.files import read_rgb
from tfexposure.imaging.transfer_curves import GAMMA_2_2

_FIT = flags.DEFINE_string("fit", None, "Manifest to fit on.", required=True)
_TEST = flags.DEFINE_string("test", None, "Manifest to test on.", required=True)
_REPEATS = flags.DEFINE_integer("repeats", 6, "Values of tau per photo.")

_LEAST_TAU = 0.1


def main(argv):
    del argv
    fit_shares, fit_stops = _measure(_FIT.value, seed=0)
    roots = np.sqrt(fit_shares)
    weights, *_ = np.linalg.lstsq(roots, fit_stops, rcond=None)
    print(f"stops = {weights[0]:.2f} sqrt(any) + {weights[1]:.2f} sqrt(all)")
    used = (baselines.STOPS_PER_ROOT_ANY, baselines.STOPS_PER_ROOT_ALL)
    print(f"in use: {used[0]} and {used[1]}")

    for name, manifest in (("fit", _FIT.value), ("test", _TEST.value)):
        print(f"fill on {name}: {_fill(manifest):.2f}")
    print(f"in use: {baselines.FILL}")

    shares, stops = _measure(_TEST.value, seed=1)
    for name, guess in (
        ("fitted", np.sqrt(shares) @ weights),
        ("in use", np.sqrt(shares) @ used),
        ("constant", np.full_like(stops, fit_stops.mean())),
    ):
        gains = [GAMMA_2_2.from_linear(2.0**-value) for value in (guess, stops)]
        gain_error = np.abs(gains[0] - gains[1]).mean()
        print(
            f"{name:>8}: error {np.abs(guess - stops).mean():.3f} stops, "
            f"{gain_error:.3f} in gain, N = {len(stops)}"
        )


def _measure(manifest, seed):
    """Returns clipped shares (N, 2) and true stops (N,)."""
    generator = np.random.default_rng(seed)
    shares, stops = [], []
    for _, path in kept_photos(manifest):
        photo = Image.fromarray(read_rgb(path))
        photo.thumbnail((192, 192))
        target = np.asarray(photo, np.float32)[None] / 255
        for _ in range(_REPEATS.value):
            tau = float(_LEAST_TAU ** generator.random())
            overexposed = exposure.quantize(exposure.overexpose(target, tau))
            pair = baselines.clipped_shares(overexposed)
            shares.append([float(ops.sum(value)) for value in pair])
            stops.append(-np.log2(tau))
    return np.array(shares), np.array(stops)


def _fill(manifest):
    counts = np.zeros(256)
    for _, path in kept_photos(manifest):
        levels = read_rgb(path)
        counts += np.bincount(levels.ravel(), minlength=256) / levels.size
    values = np.arange(256) / 255
    taus = _LEAST_TAU ** np.linspace(0.02, 1, 50)
    clips = ops.convert_to_numpy(GAMMA_2_2.from_linear(taus))
    means = [
        np.average(values[values >= clip], weights=counts[values >= clip])
        for clip in clips
    ]
    return np.mean((means - clips) / (1 - clips))


if __name__ == "__main__":
    app.run(main)
