# %% [markdown]
# # Train the paper's GAN on your own photos
#
# A U-Net learns to give overexposed photos their natural exposure back, and a
# discriminator tells its answers from originals (Le Jeune, *Image enhancement
# with generative adversarial networks*). Any well-exposed photos will do: they
# are overexposed on purpose.
#
# Cells begin with `# %%`; `jupytext --to notebook train_your_own.py` makes a
# notebook of them. As it stands this takes two minutes on two CPU cores, and
# learns next to nothing: see "For real" below.

# %%
import os
import pathlib

import numpy as np
from PIL import Image

import tfexposure
from tfexposure import Config, config
from tfexposure.data.curation import curate
from tfexposure.runtime.opening import open_model
from tfexposure.training.backends import open_backend
from tfexposure.training.loop import train

PHOTOS = os.environ.get("TUTORIAL_PHOTOS", "samples")
STEPS = int(os.environ.get("TUTORIAL_STEPS", "150"))
WORK = pathlib.Path(os.environ.get("TUTORIAL_WORK", "tutorial"))

# %% [markdown]
# ## 1. Choose photos
#
# A photo that is overexposed itself teaches the wrong thing. Curation counts
# pixels near black and near white, and writes a manifest of what to keep.

# %%
WORK.mkdir(parents=True, exist_ok=True)
manifest = WORK / "manifest.jsonl"
print(curate(PHOTOS, manifest))

# %% [markdown]
# ## 2. See what training will see
#
# Eq. (10) of the paper: light above `tau` is clipped, the rest is scaled up.
# What was clipped is gone; `invert` brings back all else, if `tau` is known.

# %%
photo = np.asarray(Image.open(f"{PHOTOS}/chelsea.jpg").convert("RGB"))
photo = np.float32(photo) / 255
overexposed = tfexposure.overexpose(photo, tau=0.5)
restored = tfexposure.invert(overexposed, tau=0.5)
print(f"clipped: {(overexposed >= 1).any(-1).mean():.0%} of the pixels")
print(f"left of the light by the inverse: {restored.mean() / photo.mean():.1%}")

# %% [markdown]
# ## 3. Train
#
# Everything that can be chosen is a field of `Config`, and a flag of
# `tfexposure-train` of the same name. The run's folder holds checkpoints, the
# log, and sample pictures; the same call goes on where it stopped.

# %%
settings = Config(
    data=config.DataConfig(source=str(manifest), crop_size=64),
    generator=config.GeneratorConfig(filters=8, field_of_view=47),
    discriminator=config.DiscriminatorConfig(filters=8),
    # VGG-19 (eq. 5) is a download of 80 MB: left out here.
    loss=config.LossConfig(perceptual_weight=0.0),
    train=config.TrainConfig(
        steps=STEPS,
        global_batch_size=4,
        learning_rate=2e-3,
        ema=0.9,
        checkpoint_every=50,
    ),
)
run = WORK / "run"
train(settings, run, open_backend(settings.train))

# %% [markdown]
# ## 4. Use it
#
# The run's folder is a model like any other: here, for `tfexposure correct`,
# for the exports and for `tfexposure-evaluate`.

# %%
model = open_model(str(run))
answer = model.restore(overexposed[:256, :256])
error = np.abs(answer - photo[:256, :256]).mean()
before = np.abs(overexposed[:256, :256] - photo[:256, :256]).mean()
print(f"mean error {before:.3f} before, {error:.3f} after {STEPS} steps")

# %% [markdown]
# ## For real
#
# `configs/paper.flags` has the settings of the model that ships (`paper`): 5.5
# minutes on one H100, or half a day on a CPU.
#
# ```
# tfexposure-train --flagfile=configs/paper.flags --run_dir=runs/paper \
#     --data.source=photos.npz --data.validation_source=photos.npz
# tfexposure-evaluate --photos=validation --model=runs/paper
# ```
