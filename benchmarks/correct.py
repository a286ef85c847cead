"""Times `tfexposure correct`: large photos, and a folder of small ones.

    python benchmarks/correct.py
    python benchmarks/correct.py --model=exports/saved_model

Prints, for photos of 1, 12, 24 and 100 megapixels, the seconds from file to
file, the seconds that the network alone takes for as many pixels, tile by tile
at full size, and the peak of resident memory; then the photos per second of a
folder of small photos, against a loop that calls `tfexposure.correct` for one
after the other, and against one that only opens, restores and saves: no look
at the whole photo, no inspection, no metadata. Each measurement is a process
of its own; a model is loaded and called once before the clock starts.
"""

import argparse
import json
import os
import pathlib
import platform
import resource
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

import tfexposure
from tfexposure.photo import batch, jobs
from tfexposure.photo.correcting import Settings
from tfexposure.runtime import tiling
from tfexposure.runtime.opening import open_model

ROOT = pathlib.Path(__file__).resolve().parents[1]


def load(model):
    """Opens a model and calls it once; (model, resident megabytes)."""
    model = open_model(model)
    side = (model.fixed_size or (64, 64))[0]
    image = np.full((side, side, 3), 0.5, np.float32)
    model.restore(image, thumbnail_of(model))
    if model.grid_spec:
        slopes, embedding, _ = model.encode_photo(thumbnail_of(model))
        model.affine_coefficients(image, slopes, embedding)
    return model, peak_megabytes()


def thumbnail_of(model):
    if not model.thumbnail:
        return None
    return np.full(model.thumbnail_shape, 0.5, np.float32)


def peak_megabytes():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if platform.system() == "Darwin" else 1e3)


def product(model, folder, target):
    """The tool itself, on a photo or a folder."""
    model, base = load(model)
    start = time.perf_counter()
    found = jobs.find_jobs([folder], target, batch.Output(overwrite=True))
    work = batch.Batch(
        model, Settings(force=True), batch.Output(overwrite=True)
    )
    results = work.run(found)
    seconds = time.perf_counter() - start
    errors = [result.error for result in results if result.error]
    if errors:
        raise SystemExit("\n".join(errors))
    return seconds, base


def naive(model, folder, target):
    """The same work by Python's `correct`, one photo after the other."""
    model, base = load(model)
    target.mkdir(exist_ok=True)
    start = time.perf_counter()
    for path in sorted(folder.iterdir()):
        tfexposure.correct(path, target / path.name, model=model, force=True)
    return time.perf_counter() - start, base


def bare(model, folder, target):
    """Opens, restores and saves, one photo after the other."""
    model, base = load(model)
    target.mkdir(exist_ok=True)
    start = time.perf_counter()
    for path in sorted(folder.iterdir()):
        pixels = np.asarray(Image.open(path).convert("RGB"))
        height, width, _ = pixels.shape
        index = [
            tiling.mirror(np.arange(tiling.round_up(n, model.stride)), n)
            for n in (height, width)
        ]
        image = pixels[index[0]][:, index[1]].astype(np.float32) / 255
        restored = model.restore(image, thumbnail_of(model))
        levels = np.rint(np.clip(restored[:height, :width], 0, 1) * 255)
        Image.fromarray(levels.astype(np.uint8)).save(
            target / path.name, quality=92
        )
    return time.perf_counter() - start, base


def network(model, photo, _):
    """The network alone on a photo of this size, tile by tile."""
    model, base = load(model)
    width, height = Image.open(photo).size
    rows, columns = tiling.grid(height, width, model)
    image = np.random.default_rng(0).uniform(
        size=(rows[0].size, columns[0].size, 3)
    )
    image, thumbnail = image.astype(np.float32), thumbnail_of(model)
    start = time.perf_counter()
    for _ in range(len(rows) * len(columns)):
        model.restore(image, thumbnail)
    return time.perf_counter() - start, base


def measure(way, model, source, target):
    """Runs one way in a process of its own; its numbers."""
    command = [sys.executable, __file__, f"--model={model}", f"--run={way}"]
    command += [str(source), str(target)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


def make_photo(source, megapixels, path):
    side = round((megapixels * 1e6 / 1.5) ** 0.5)
    image = Image.open(source).convert("RGB")
    image.resize((round(1.5 * side), side)).save(path, quality=92)


def large_photos(args, folder):
    print("megapixels  seconds  network  ratio  peak MB  above model MB")
    for megapixels in args.megapixels:
        path = folder / f"{megapixels}.jpg"
        make_photo(args.photo, megapixels, path)
        found = measure("product", args.model, path, folder / "out.jpg")
        alone = measure("network", args.model, path, None)["seconds"]
        print(
            f"{megapixels:10g} {found['seconds']:8.2f} {alone:8.2f} "
            f"{found['seconds'] / alone:6.2f} "
            f"{found['peak']:8.0f} {found['peak'] - found['base']:15.0f}",
            flush=True,
        )


def small_photos(args, folder):
    photos = folder / "photos"
    photos.mkdir()
    image = Image.open(args.photo).convert("RGB")
    image.thumbnail((args.side, args.side))
    for number in range(args.photos):
        image.save(photos / f"{number:04}.jpg", quality=92)
    rates = {}
    for way in ("naive", "bare", "product") * args.repeats:
        found = measure(way, args.model, photos, folder / f"out_{way}")
        rate = args.photos / found["seconds"]
        rates[way] = max(rates.get(way, 0), rate)
    ours = rates["product"]
    print(
        f"folder of {args.photos} photos of {image.width} x {image.height}, "
        f"best of {args.repeats}: tfexposure {ours:.1f} photos/s, "
        + ", ".join(
            f"{way} {rates[way]:.1f} ({ours / rates[way]:.2f} x)"
            for way in ("naive", "bare")
        )
    )


WAYS = {"product": product, "naive": naive, "bare": bare, "network": network}


def default_photo():
    folders = [ROOT / "samples", ROOT.parent / "shared/photos/samples"]
    found = [p for folder in folders for p in sorted(folder.rglob("*.jpg"))]
    return found[0] if found else None


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--model", default="", help="as for tfexposure correct")
    add("--photo", default=default_photo(), help="scene to resize")
    add("--megapixels", type=float, nargs="*", default=[1, 12, 24, 100])
    add("--photos", type=int, default=200, help="0: no folder")
    add("--side", type=int, default=512, help="longer side in the folder")
    add("--repeats", type=int, default=3)
    add("--run", choices=list(WAYS), help=argparse.SUPPRESS)
    add("paths", nargs="*", type=pathlib.Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        seconds, base = WAYS[args.run](args.model or None, *args.paths)
        found = {"seconds": seconds, "base": base}
        print(json.dumps(found | {"peak": peak_megabytes()}))
        return
    if args.photo is None:
        parser.error("--photo is needed: no sample photos are here")
    model = args.model or "natural, as shipped"
    print(f"{platform.machine()}, {os.cpu_count()} cores, model: {model}")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        large_photos(args, folder)
        if args.photos:
            small_photos(args, folder)


if __name__ == "__main__":
    main()
