"""The whole product once, on the sample photos, in a few minutes.

    make demo            or            python examples/demo.py --output=demo

Curates, trains a tiny model, exports it twice, corrects photos with each
export, and draws `contact_sheet.png`. Every step is a command that is printed
before it runs; what is finished is not done again.
"""

import argparse
import json
import shlex
import subprocess
import sys
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw

from tfexposure.imaging.exposure import invert, overexpose

ROOT = Path(__file__).resolve().parents[1]

# Not trained on, so that the model has never seen what it corrects.
HELD_OUT = ("chelsea.jpg", "friends.jpg")
# Overexposed by its photographer: nobody knows the original.
REAL = "china.jpg"
TAU = 0.5

TRAINING = {
    "data.crop_size": 96,
    "generator.filters": 16,
    "discriminator.filters": 16,
    "loss.perceptual_weight": 0,
    "train.steps": 240,
    "train.global_batch_size": 8,
    "train.learning_rate": 0.002,
    "train.ema": 0.95,
    "train.log_every": 20,
    "train.sample_every": 80,
    "train.checkpoint_every": 40,
}


def main():
    """Runs all steps."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--output", type=Path, default=Path("demo"))
    output = parser.parse_args().output
    output.mkdir(parents=True, exist_ok=True)

    say("1. Curate: which sample photos are well exposed?")
    manifest = output / "manifest.jsonl"
    script("trainers/curate.py", folder=ROOT / "samples", manifest=manifest)
    training = without_held_out(manifest, output / "training.jsonl")

    say("2. Train a tiny model on photos overexposed on purpose")
    run_dir = output / "run"
    script(
        "trainers/train_gan.py",
        run_dir=run_dir,
        **{"data.source": training},
        **TRAINING,
    )

    say("3. Export it: for servers and for phones")
    exports = run_dir / "exports"
    step = TRAINING["train.steps"]
    saved_model = exports / "saved_model" / str(step)
    tflite = exports / f"generator-{step}.tflite"
    if not saved_model.exists():
        script("export/export_saved_model.py", run_dir=run_dir)
    if not tflite.exists():
        script("export/export_tflite.py", run_dir=run_dir)

    say("4. Correct photos with each of the two")
    photos = output / "overexposed"
    originals = overexposed_photos(photos)
    results = {}
    for name, model in (("SavedModel", saved_model), ("TFLite", tflite)):
        folder = output / f"corrected_{name.lower()}"
        command(
            *("-m", "tfexposure.cli", "correct", photos, folder),
            *(f"--model={model}", "--force", "--overwrite"),
        )
        results[name] = folder

    say("5. Draw the contact sheet")
    sheet = output / "contact_sheet.png"
    contact_sheet(photos, originals, results, sheet)
    print(f"\nLook at {sheet}")
    print(f"Everything else lies in {output}/: the run with its checkpoints,")
    print("samples and TensorBoard logs, both exports, the corrected photos.")


def say(title):
    """Prints a heading."""
    print(f"\n== {title}", flush=True)


def script(path, /, **flags):
    """Runs a script of the repository with absl flags."""
    command(
        ROOT / path,
        *(f"--{flag}={value}" for flag, value in flags.items()),
    )


def command(*arguments):
    """Prints a Python command, runs it, and stops the demo if it fails."""
    words = [str(argument) for argument in arguments]
    shown = [word.removeprefix(f"{ROOT}/") for word in words]
    print(f"$ python {shlex.join(shown)}", flush=True)
    done = subprocess.run([sys.executable, *words])
    if done.returncode:
        sys.exit(f"the demo stopped: exit code {done.returncode}")


def without_held_out(manifest, path):
    """Copies a manifest but for the photos the demo wants to correct."""
    lines = manifest.read_text(encoding="utf-8").splitlines()
    kept = [line for line in lines if json.loads(line)["id"] not in HELD_OUT]
    text = "\n".join(kept) + "\n"
    if not path.exists() or path.read_text(encoding="utf-8") != text:
        path.write_text(text, encoding="utf-8")
    return path


def overexposed_photos(folder):
    """Writes the photos to correct; returns name -> original or None."""
    folder.mkdir(exist_ok=True)
    originals = {}
    for name in (*HELD_OUT, REAL):
        with Image.open(ROOT / "samples" / name) as photo:
            pixels = np.asarray(photo.convert("RGB"), "float32") / 255
        originals[name] = None if name == REAL else pixels
        if name != REAL:
            pixels = overexpose(pixels, TAU)
        path = folder / Path(name).with_suffix(".png")
        to_image(pixels).save(path)
    return originals


def contact_sheet(photos, originals, results, path):
    """Draws one row per photo: input, inverse, restorations, original."""
    columns = ["input", f"inverse (tau {TAU})", *results, "original"]
    cell, gap, line = 300, 8, 22
    rows = []
    for name, original in originals.items():
        file = Path(name).with_suffix(".png").name
        overexposed = load(photos / file)
        rows.append(
            [
                overexposed,
                invert(overexposed, TAU),
                *(load(folder / file) for folder in results.values()),
                original,
            ]
        )
    heights = [
        round(cell * row[0].shape[0] / row[0].shape[1]) + gap for row in rows
    ]
    width = len(columns) * (cell + gap) + gap
    sheet = Image.new("RGB", (width, line + gap + sum(heights)), "white")
    draw = ImageDraw.Draw(sheet)
    for index, title in enumerate(columns):
        draw.text((gap + index * (cell + gap), 6), title, fill="black")
    top = line + gap // 2
    for row, height in zip(rows, heights, strict=True):
        for index, pixels in enumerate(row):
            left = gap + index * (cell + gap)
            if pixels is None:
                draw.text((left, top), "unknown: a real photo", fill="black")
            else:
                thumbnail = to_image(pixels).resize(
                    (cell, height - gap), Image.Resampling.LANCZOS
                )
                sheet.paste(thumbnail, (left, top))
        top += height
    sheet.save(path)


def load(path):
    """Reads a photo as float32 (H, W, 3) in [0, 1]."""
    with Image.open(path) as photo:
        return np.asarray(photo.convert("RGB"), "float32") / 255


def to_image(pixels):
    """Turns float (H, W, 3) in [0, 1] into a Pillow image."""
    return Image.fromarray(np.uint8(np.clip(pixels, 0, 1) * 255 + 0.5))


if __name__ == "__main__":
    main()
