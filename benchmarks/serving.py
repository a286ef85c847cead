"""Times an exported SavedModel and `tfexposure serve` against `correct`.

    python benchmarks/serving.py
    python benchmarks/serving.py --saved_model=exports/saved_model/1

Prints, for photos of several sizes, the seconds from a JPEG's bytes to the
answer's through the signature `serving_bytes`, and over HTTP from a server of
`tfexposure serve`, those of `tfexposure.correct` from file to file (on the
clock, and of processors), the resident memory of a process that does nothing
else, and how far the first and the last answer lie apart; then the milliseconds
of a request of 16 x 16 pixels, in bytes and in floats. A model is loaded and
called once before the clock starts. Without --saved_model the shipped model is
exported first.
"""

import argparse
import io
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import tempfile
import time

import numpy as np
from PIL import Image

ROOT = pathlib.Path(__file__).resolve().parents[1]


def overexposed_photo(args):
    """Resizes a scene and lets 40 % of the light be white; writes a JPEG."""
    from tfexposure.imaging.exposure import overexpose

    side = round((float(args.paths[0]) * 1e6 / 1.5) ** 0.5)
    image = (
        Image.open(args.photo).convert("RGB").resize((round(1.5 * side), side))
    )
    levels = np.asarray(image, np.float32) / 255
    levels = np.rint(overexpose(levels, 0.4) * 255).astype(np.uint8)
    Image.fromarray(levels).save(args.paths[1], "JPEG", quality=92)


def export(args):
    """Exports the shipped model; its folder."""
    from tfexposure import runtime, serving
    from tfexposure.quiet import import_tensorflow

    import_tensorflow()
    loaded = runtime.load_shipped("natural")
    return str(
        serving.export_saved_model(loaded.generator, args.paths[0], 1, loaded)
    )


def open_signatures(folder):
    from tfexposure.quiet import import_tensorflow

    return import_tensorflow().saved_model.load(str(folder)).signatures


def served(args):
    """Seconds of one photo through `serving_bytes`, and megabytes."""
    signatures = open_signatures(args.saved_model)
    import tensorflow as tf

    photo = pathlib.Path(args.paths[0]).read_bytes()
    call = signatures["serving_bytes"]
    call(image_bytes=tf.constant([small_jpeg()]))
    before = megabytes()
    found = timed(args, lambda: call(image_bytes=tf.constant([photo])))
    return found | {"before": before, "peak": megabytes()}


def over_http(args):
    """Seconds of one photo through `tfexposure serve`, and megabytes."""
    import requests

    command = [sys.executable, "-m", "tfexposure.cli", "serve", "--port=0"]
    command += [f"--model={args.model}"] if args.model else []
    photo = pathlib.Path(args.paths[0]).read_bytes()
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True
    ) as process:
        url = process.stderr.readline().split()[2]

        def post(data):
            reply = requests.post(f"{url}correct?force=1", data)
            reply.raise_for_status()

        def busy():
            text = requests.get(f"{url}metrics").text
            (line,) = (
                line
                for line in text.splitlines()
                if line.startswith("process_cpu_seconds_total ")
            )
            return float(line.split()[1])

        post(small_jpeg())
        found = timed(args, lambda: post(photo), busy)
        status = pathlib.Path(f"/proc/{process.pid}/status").read_text()
        (peak,) = (
            line.split()[1] for line in status.splitlines() if "VmHWM" in line
        )
        process.terminate()
    return found | {"peak": int(peak) / 1e3}


def corrected(args):
    """Seconds of one photo from file to file, and megabytes."""
    import tfexposure
    from tfexposure.runtime.opening import open_model

    model = open_model(args.model or None)
    tfexposure.correct(
        np.full((64, 64, 3), 250, np.uint8), model=model, force=True
    )
    found = timed(args, lambda: tfexposure.correct(*args.paths, model=model))
    return found | {"peak": megabytes()}


def timed(args, call, processor=time.process_time):
    """Least seconds on the clock, and of processors, of some calls."""
    seconds, busy = [], []
    for _ in range(args.repeats):
        start = time.perf_counter(), processor()
        call()
        seconds.append(time.perf_counter() - start[0])
        busy.append(processor() - start[1])
    return {"seconds": min(seconds), "busy": min(busy)}


def compared(args):
    """Largest difference of `serving_uint8` from `correct`, in levels."""
    import tensorflow as tf

    import tfexposure

    pixels = np.asarray(Image.open(args.paths[0]))
    signatures = open_signatures(args.saved_model)
    answer = signatures["serving_uint8"](image=tf.constant(pixels[None]))
    expected = tfexposure.correct(pixels, model=args.saved_model)
    difference = np.abs(answer["restored"][0].numpy().astype(int) - expected)
    return {"levels": int(difference.max())}


def small(args):
    """Milliseconds of a request of 16 x 16 pixels: bytes, floats."""
    signatures = open_signatures(args.saved_model)
    import tensorflow as tf

    encoded = tf.constant([small_jpeg()])
    floats = tf.fill((1, 16, 16, 3), 0.9)
    calls = {
        "bytes": lambda: signatures["serving_bytes"](image_bytes=encoded),
        "floats": lambda: signatures["serving_default"](image=floats),
    }
    times = {name: [] for name in calls}
    for _ in range(25):
        for name, call in calls.items():
            start = time.perf_counter()
            call()
            times[name].append(1000 * (time.perf_counter() - start))
    return {name: statistics.median(v[3:]) for name, v in times.items()}


def small_jpeg():
    buffer = io.BytesIO()
    Image.new("RGB", (16, 16), (230, 240, 250)).save(buffer, "JPEG")
    return buffer.getvalue()


def megabytes():
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (1e6 if platform.system() == "Darwin" else 1e3)


def measure(args, way, *paths):
    """Runs one way in a process of its own; its numbers."""
    command = [sys.executable, __file__, f"--run={way}", *map(str, paths)]
    command += [f"--saved_model={args.saved_model}", f"--model={args.model}"]
    command += [f"--photo={args.photo}"]
    done = subprocess.run(
        [*command, f"--repeats={args.repeats}"], capture_output=True, text=True
    )
    if done.returncode:
        raise SystemExit(done.stderr[-2000:])
    return json.loads(done.stdout.strip().splitlines()[-1])


WAYS = {
    "export": export,
    "photo": overexposed_photo,
    "served": served,
    "over_http": over_http,
    "corrected": corrected,
    "compared": compared,
    "small": small,
}


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    add = parser.add_argument
    add("--saved_model", default="", help="its folder; default: natural")
    add("--model", default="", help="of `correct`; default: the shipped file")
    add("--photo", default=ROOT / "samples/seeding.jpg", help="scene to resize")
    add("--megapixels", type=float, nargs="*", default=[1, 12, 24, 81])
    add("--repeats", type=int, default=2, help="runs in each process")
    add("--run", choices=list(WAYS), help=argparse.SUPPRESS)
    add("paths", nargs="*", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.run:
        print(json.dumps(WAYS[args.run](args)))
        return
    print(f"{platform.machine()}, {os.cpu_count()} cores")
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        args.saved_model = args.saved_model or measure(
            args, "export", folder / "model"
        )
        print(
            "megapixels  served s (CPU)    http s (CPU)  correct s (CPU)  "
            "ratio  served MB  http MB  correct MB  levels apart"
        )
        for megapixels in args.megapixels:
            path = folder / f"{megapixels}.jpg"
            # Elsewhere: a process begins with its parent's peak of memory.
            measure(args, "photo", megapixels, path)
            ours = measure(args, "served", path)
            http = measure(args, "over_http", path)
            other = measure(args, "corrected", path, folder / "out.jpg")
            apart = measure(args, "compared", path)["levels"]
            print(
                f"{megapixels:10g} "
                f"{ours['seconds']:9.2f} {ours['busy']:7.2f} "
                f"{http['seconds']:7.2f} {http['busy']:7.2f} "
                f"{other['seconds']:9.2f} {other['busy']:7.2f} "
                f"{ours['seconds'] / other['seconds']:6.2f} "
                f"{ours['peak']:10.0f} {http['peak']:8.0f} "
                f"{other['peak']:11.0f} {apart:13}",
                flush=True,
            )
        print(f"resident before the first photo: {ours['before']:.0f} MB")
        times = measure(args, "small")
        print(
            f"16 x 16 pixels: bytes {times['bytes']:.1f} ms, "
            f"floats {times['floats']:.1f} ms"
        )


if __name__ == "__main__":
    main()
