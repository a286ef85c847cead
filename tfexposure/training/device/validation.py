"""Figures while training: a few sets of photos, small and always the same.

They follow the public benchmark's sets (paper's overexposure at tau 0.5, 0.2
and random with a JPEG save; real brackets), but on photos squeezed to one size,
so they steer a run and are no result to publish.
"""

import io

import numpy as np
from PIL import Image

from tfexposure.data import packed as photos
from tfexposure.imaging.luminance import LUMINANCE_WEIGHTS

# As most photos of the benchmark: what the network sees of them is reduced
# after they were overexposed, as it is of real ones.
_SIZE = (256, 352)
_PAIR_SIZE = (256, 384)
_LUMINANCE = np.array(LUMINANCE_WEIGHTS, "float32")


def load_sets(path, count=60):
    """Makes the validation sets from an array file.

    Args:
        path: array file with the groups `valid`, `over` and `reference`.
        count: that many photos are taken, evenly spaced.

    Returns:
        dict: name -> (overexposed, target, tau), uint8 (N, H, W, 3) twice;
        tau None for real pairs.
    """
    good = [
        photos.squeeze(photo, *_SIZE)
        for photo in photos.read_photos(path, "valid")
        if _is_scorable(photo)
    ]
    good = [good[index * len(good) // count] for index in range(count)]
    target = np.stack(good)
    draws = np.random.default_rng(7).uniform(0.5, 1, count)
    sets = {}
    for name, taus, save in (
        ("tau0.5", np.full(count, 0.5), False),
        ("random+jpeg", draws, True),
        ("tau0.2", np.full(count, 0.2), False),
        ("clean", np.ones(count), False),
    ):
        exposed = [
            _overexpose(photo, tau, save)
            for photo, tau in zip(target, taus, strict=True)
        ]
        sets[name] = np.stack(exposed), target, taus
    pair = [
        np.stack(
            [
                photos.squeeze(photo, *_PAIR_SIZE)
                for photo in photos.read_photos(path, group)
            ]
        )
        for group in ("over", "reference")
    ]
    sets["brackets"] = (*pair, None)
    return sets


def _is_scorable(photo):
    """The benchmark's rule for photos that can serve as an original."""
    mean = float((photo / 255.0 @ _LUMINANCE).mean())
    return (
        (photo >= 250).all(-1).mean() <= 0.01
        and (photo >= 254).any(-1).mean() <= 0.05
        and 0.2 <= mean <= 0.8
    )


def _overexpose(photo, tau, save):
    light = np.minimum((photo / 255.0) ** 2.2, tau) / tau
    exposed = np.rint(light ** (1 / 2.2) * 255).astype("uint8")
    if not save:
        return exposed
    buffer = io.BytesIO()
    Image.fromarray(exposed).save(buffer, "JPEG", quality=90)
    return np.asarray(Image.open(buffer))


def evaluate(predict, sets, batch_size=12):
    """Scores a model on the sets.

    Args:
        predict: function from float32 (N, H, W, 3) to the same.
        sets: what `load_sets` made.
        batch_size: photos at a time.

    Returns:
        dict: `<set>/<figure>` -> float, means over photos.
    """
    figures = {}
    for name, (exposed, target, tau) in sets.items():
        rows = []
        for first in range(0, len(exposed), batch_size):
            part = slice(first, first + batch_size)
            restored = predict(exposed[part].astype("float32") / 255)
            restored = np.rint(np.clip(restored, 0, 1) * 255) / 255
            for index, image in enumerate(restored):
                at = first + index
                wanted = target[at].astype("float32") / 255
                rows.append(
                    _score(image, wanted, None if tau is None else tau[at])
                )
        for key in rows[0]:
            values = [row[key] for row in rows if not np.isnan(row[key])]
            figures[f"{name}/{key}"] = float(np.mean(values or [np.nan]))
    return figures


def score(figures):
    """One number to keep the best weights by: mean PSNR of what matters."""
    names = (
        "tau0.5/psnr",
        "random+jpeg/psnr",
        "random+jpeg/gtmean",
        "random+jpeg/clipped",
        "tau0.2/psnr",
        "brackets/psnr",
        "brackets/gain",
    )
    # A set of too few clipped pixels has no figure for them.
    return float(np.nanmean([figures[name] for name in names]))


def _score(restored, wanted, tau):
    luminance = restored @ _LUMINANCE, wanted @ _LUMINANCE
    square = ((restored - wanted) ** 2).mean(-1)
    scaled = np.clip(
        restored * (luminance[1].mean() / max(luminance[0].mean(), 1e-6)), 0, 1
    )
    row = {
        "psnr": _psnr(square.mean()),
        "gtmean": _psnr(((scaled - wanted) ** 2).mean()),
        "l1": float(np.abs(restored - wanted).mean()),
        "white": float(
            np.quantile(luminance[0], 0.995) - np.quantile(luminance[1], 0.995)
        ),
    }
    if tau is None:
        return row | {"gain": _psnr(_best_gain_error(restored, wanted))}
    mask = (wanted**2.2 >= tau).any(-1)
    enough = mask.sum() >= 256 and tau < 1
    return row | {
        "clipped": _psnr(square[mask].mean()) if enough else np.nan,
    }


def _best_gain_error(restored, wanted):
    """As the brackets benchmark: one gain in light, on what is not blown."""
    light, wanted_light = restored**2.2, wanted**2.2
    mask = (wanted_light < 0.9) & (light < 0.9)
    over = (light * wanted_light)[mask].sum()
    gain = over / max((light * light)[mask].sum(), 1e-9) if mask.any() else 1.0
    scaled = np.clip(light * gain, 0, 1) ** (1 / 2.2)
    return ((scaled - wanted) ** 2).mean()


def _psnr(mean_square):
    return float(min(60.0, -10 * np.log10(max(mean_square, 1e-12))))
