"""The paper's figures 4 to 11 as pictures.

Each function takes photos that are already cut to one size, float32
(H, W, 3) in [0, 1], and returns a `PIL.Image` and the numbers shown in it.
"""

import numpy as np
from keras import ops

from tfexposure.evaluation import Simulation
from tfexposure.experiments import drawing
from tfexposure.imaging import exposure
from tfexposure.imaging.luminance import luminance
from tfexposure.imaging.transfer_curves import GAMMA_2_2

# Figure 8's last row and the paper's example of a random threshold.
_RANDOM_TAU = 0.69
# Of alternate photos in figure 4: the experiments' own and a strong one.
_FIGURE4_TAUS = (0.5, 0.2)


def figure4(photos, taus):
    """The steps of the simulation and their histograms.

    Args:
        photos: name -> photo.
        taus: one per photo.
    """
    response = GAMMA_2_2
    rows, row_titles = [], []
    for (name, photo), tau in zip(photos.items(), taus, strict=True):
        light = _array(response.to_linear(photo))
        clipped = np.minimum(light, tau)
        example = Simulation(tau_min=tau, tau_max=tau).apply(photo, name)
        inverse = _array(exposure.invert(example.overexposed, tau))
        steps = (photo, light, clipped, example.overexposed, inverse)
        marks = ((), ((tau, "tau"),), ((tau, "tau"),), (), ())
        size = (photo.shape[1], max(130, photo.shape[0] * 2 // 5))
        rows.append([drawing.to_image(step) for step in steps])
        rows.append(
            [
                drawing.histogram(
                    size, [(step, drawing.ORIGINAL, "")], mark, ("", "")
                )
                for step, mark in zip(steps, marks, strict=True)
            ]
        )
        row_titles += [f"tau = {tau:g}", "histogram"]
    titles = (
        "original",
        "light: pixel ^ 2.2",
        "light clipped at tau",
        "scaled, back to pixels",
        "inverse transformation",
    )
    return drawing.grid(rows, titles, row_titles), {"taus": list(taus)}


def compare(photos, restorers, simulation):
    """Figures 5, 6, 7: input, one column per restorer, original.

    Args:
        photos: name -> photo.
        restorers: label -> function from an overexposed photo to a restored
            one.
        simulation: a `Simulation`.
    """
    rows, captions, numbers = [], [], {}
    for name, photo in photos.items():
        example = simulation.apply(photo, name)
        row = [drawing.to_image(example.overexposed)]
        caption = [_l1(photo, example.overexposed)]
        for restore in restorers.values():
            restored = restore(example.overexposed)
            row.append(drawing.to_image(restored))
            caption.append(_l1(photo, restored))
        numbers[name] = caption
        rows.append([*row, drawing.to_image(photo)])
        captions.append([*(f"L1 {value:.3f}" for value in caption), None])
    titles = ["overexposed", *restorers, "original"]
    return drawing.grid(rows, titles, captions=captions), {"l1": numbers}


def figure8(photos, restore, restore_random, tau=0.5):
    """Input, inverse, restored, original; the last row with another tau.

    Args:
        photos: name -> photo; the last is overexposed with the paper's
            random tau and restored by `restore_random`.
        restore: function from an overexposed photo to a restored one.
        restore_random: the same, trained with random tau.
        tau: of all rows but the last.
    """
    rows, row_titles, captions, numbers = [], [], [], {}
    for number, (name, photo) in enumerate(photos.items(), start=1):
        last = number == len(photos)
        used = _RANDOM_TAU if last else tau
        example = Simulation(tau_min=used, tau_max=used).apply(photo, name)
        inverse = _array(exposure.invert(example.overexposed, used))
        restored = (restore_random if last else restore)(example.overexposed)
        pictures = [example.overexposed, inverse, restored]
        numbers[name] = [_l1(photo, picture) for picture in pictures]
        captions.append([*(f"L1 {v:.3f}" for v in numbers[name]), None])
        rows.append([drawing.to_image(p) for p in (*pictures, photo)])
        row_titles.append(f"tau = {used:g}" + (" (random)" * last))
    titles = ("overexposed", "inverse (known tau)", "restored", "original")
    return drawing.grid(rows, titles, row_titles, captions), {"l1": numbers}


def figure9(photos, restore, tau=0.5):
    """What is left of the difference to the original, on one scale.

    Args:
        photos: name -> photo.
        restore: function from an overexposed photo to a restored one.
        tau: of the simulation.
    """
    examples = []
    for name, photo in photos.items():
        example = Simulation(tau_min=tau, tau_max=tau).apply(photo, name)
        inverse = _array(exposure.invert(example.overexposed, tau))
        restored = restore(example.overexposed)
        differences = [
            np.abs(photo - other).mean(axis=-1) for other in (inverse, restored)
        ]
        examples.append((photo, inverse, restored, differences))
    top = max(d.max() for *_, pair in examples for d in pair)
    top = float(np.ceil(top * 20) / 20)
    rows, captions, numbers = [], [], {}
    for name, (*pictures, differences) in zip(photos, examples, strict=True):
        numbers[name] = [float(d.mean()) for d in differences]
        rows.append(
            [drawing.to_image(picture) for picture in pictures]
            + [drawing.heat(difference, top) for difference in differences]
        )
        captions.append(
            [None, None, None]
            + [f"mean {value:.3f}" for value in numbers[name]]
        )
    titles = (
        "original",
        "inverse (known tau)",
        "restored",
        "|original - inverse|",
        "|original - restored|",
    )
    sheet = drawing.grid(rows, titles, captions=captions)
    scale = drawing.heat_scale(
        sheet.width // 2, top, "difference, mean over channels"
    )
    return drawing.stack([sheet, scale]), {"l1": numbers, "scale": top}


def ceiling_figure(photos, restore, tau=0.5):
    """Figures 10 and 11: photos, and the limit in their histograms.

    Args:
        photos: name -> photo.
        restore: function from an overexposed photo to a restored one.
        tau: of the simulation.
    """
    rows, numbers = [], {}
    for name, photo in photos.items():
        example = Simulation(tau_min=tau, tau_max=tau).apply(photo, name)
        restored = np.clip(restore(example.overexposed), 0, 1)
        limit = float(np.quantile(luminance(restored), 0.999))
        above = float((luminance(photo) > limit).mean())
        numbers[name] = {"ceiling": limit, "original_above": above}
        size = (photo.shape[1] * 3 // 2, photo.shape[0])
        panel = drawing.histogram(
            size,
            [
                (luminance(photo), drawing.ORIGINAL, "original"),
                (luminance(restored), drawing.OTHER, "restored"),
            ],
            ((limit, f"ceiling {limit:.2f}"),),
            (f"original above it: {100 * above:.1f} %", ""),
        )
        rows.append(
            [
                drawing.to_image(example.overexposed),
                drawing.to_image(restored),
                drawing.to_image(photo),
                panel,
            ]
        )
    titles = ("overexposed", "restored", "original", "histograms")
    return drawing.grid(rows, titles), {"photos": numbers}


def darkest_and_brightest(photos, count):
    """Splits photos for figures 10 and 11.

    Args:
        photos: name -> photo.
        count: photos per figure.

    Returns:
        Two dictionaries: those whose bright end is lowest, and highest.
    """
    order = sorted(
        photos, key=lambda name: np.quantile(luminance(photos[name]), 0.97)
    )
    return (
        {name: photos[name] for name in order[:count]},
        {name: photos[name] for name in order[-count:]},
    )


def cut(photo, width):
    """Cuts the centre to 4:3 and resizes it.

    Args:
        photo: float32 (H, W, 3) in [0, 1].
        width: in pixels.

    Returns:
        Float32 (width * 3 // 4, width, 3), 8-bit values.
    """
    high, wide = photo.shape[:2]
    new_wide, new_high = min(wide, high * 4 // 3), min(high, wide * 3 // 4)
    top, left = (high - new_high) // 2, (wide - new_wide) // 2
    part = drawing.to_image(photo[top : top + new_high, left : left + new_wide])
    part = part.resize(
        (width, width * 3 // 4), drawing.Image.Resampling.LANCZOS
    )
    return np.asarray(part, np.float32) / 255


def _l1(photo, other):
    return float(np.abs(photo - np.clip(other, 0, 1)).mean())


def _array(tensor):
    return np.asarray(ops.convert_to_numpy(tensor))


CAPTIONS = {
    "figure4": (
        "The overexposure process: pixels are mapped to light, clipped at "
        "tau, scaled to the full range and mapped back; at the right the "
        "inverse transformation with known tau, which leaves clipped areas "
        "flat. The bars where pixels pile up are cut off."
    ),
    "figure5": "Noise in different parts of the generator.",
    "figure6": "The weight of the content loss (without perceptual loss).",
    "figure7": "Fields of view of the generator (G) and discriminator (D).",
    "figure8": "Restorations, the last row with a generator for random tau.",
    "figure9": "What is left of the difference to the original.",
    "figure10": (
        "Photos with few bright pixels: the generator's ceiling (99.9 % of "
        "the restored pixels are below it) hardly matters."
    ),
    "figure11": (
        "Photos with bright pixels: what lies above the generator's ceiling "
        "(99.9 % of the restored pixels are below it) is not restored."
    ),
}


def draw(experiment, photos, restorers):
    """Draws one figure.

    Args:
        experiment: `figure4` to `figure11`.
        photos: name -> photo.
        restorers: label -> function from an overexposed photo to a restored
            one, as in `catalogue.FIGURES`.

    Returns:
        The picture, and a dictionary of the numbers shown in it.
    """
    if experiment == "figure4":
        taus = [_FIGURE4_TAUS[i % 2] for i in range(len(photos))]
        return figure4(photos, taus)
    if experiment in ("figure5", "figure6", "figure7"):
        return compare(photos, restorers, Simulation())
    if experiment == "figure8":
        return figure8(photos, restorers["restored"], restorers["random tau"])
    if experiment == "figure9":
        return figure9(photos, restorers["restored"])
    dark, bright = darkest_and_brightest(photos, max(1, len(photos) // 2))
    chosen = dark if experiment == "figure10" else bright
    return ceiling_figure(chosen, restorers["restored"])
