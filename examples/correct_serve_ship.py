# %% [markdown]
# # Correct photos, serve the model, ship it to a phone
#
# Cells begin with `# %%`; `jupytext --to notebook correct_serve_ship.py` makes
# a notebook of them. It takes a minute on two CPU cores.

# %%
import os
import pathlib
import subprocess
import sys

import numpy as np
import tensorflow as tf
from PIL import Image

import tfexposure

SAMPLES = os.environ.get("TUTORIAL_PHOTOS", "samples")
WORK = pathlib.Path(os.environ.get("TUTORIAL_WORK", "tutorial"))
WORK.mkdir(parents=True, exist_ok=True)


def program(name, *arguments):
    """Runs one of the installed programs, as a shell would."""
    module = {"tfexposure": "tfexposure.cli"}.get(
        name,
        "tfexposure.export."
        + name.removeprefix("tfexposure-").replace("-", "_"),
    )
    command = [sys.executable, "-m", module, *map(str, arguments)]
    print("$", name, *arguments)
    subprocess.run(command, check=True)


# %% [markdown]
# ## 1. In Python
#
# `correct` takes pixels and gives pixels; `inspect` says what it thinks of a
# photo.

# %%
photo = np.asarray(Image.open(f"{SAMPLES}/picture_1a.jpg").convert("RGB"))
print(tfexposure.inspect(photo))
corrected = tfexposure.correct(photo)
print(f"mean value {photo.mean():.0f} before, {corrected.mean():.0f} after")

# %% [markdown]
# ## 2. On the command line
#
# Files keep their metadata and colour profile; nothing is overwritten unless
# asked for.

# %%
program(
    "tfexposure",
    "correct",
    f"{SAMPLES}/picture_1a.jpg",
    WORK / "corrected.jpg",
    "--overwrite",
)

# %% [markdown]
# ## 3. On a server
#
# The SavedModel holds all of `correct`. TensorFlow Serving takes the folder as
# it is; here it is asked without a server.

# %%
program(
    "tfexposure-export-saved-model",
    "--model=natural",
    f"--output={WORK / 'serving'}",
)

folder = next((WORK / "serving").rglob("saved_model.pb")).parent
served = tf.saved_model.load(str(folder)).signatures["serving_bytes"]
data = pathlib.Path(f"{SAMPLES}/picture_1a.jpg").read_bytes()
answer = served(image_bytes=tf.constant([data]))
print(f"changed: {bool(answer['changed'][0])}, share: {answer['share'][0]:.2f}")
(WORK / "served.jpg").write_bytes(answer["restored_bytes"][0].numpy())

# %% [markdown]
# ## 4. On a phone
#
# The same model as a `.tflite` file. `examples/correct_with_litert.py` is a
# program of 100 lines to port; docs/android.md has the Kotlin.

# %%
program(
    "tfexposure-export-tflite",
    "--model=natural",
    f"--output={WORK / 'phone'}",
)
print(*sorted(p.name for p in (WORK / "phone").rglob("*.tflite")))
