"""Trains on any Keras backend from one array file, within a time budget.

    KERAS_BACKEND=jax python trainers/train_device.py --photos=photos.npz \\
        --run_dir=runs/natural --minutes=9

The same command continues a run where it stopped. `trainers/pack_photos.py`
makes the array file.
"""

import dataclasses
import json
import os
from pathlib import Path

from absl import app, flags

_PHOTOS = flags.DEFINE_string(
    "photos", None, "Array file of pack_photos.", required=True
)
_RUN_DIR = flags.DEFINE_string(
    "run_dir", None, "Folder of the run.", required=True
)
_MINUTES = flags.DEFINE_float("minutes", 9.0, "Wall time of the steps.")
_STEPS = flags.DEFINE_integer("steps", 20_000, "Last step, end of the decay.")
_BATCH = flags.DEFINE_integer("batch_size", 16, "Photos per step.")
_CROPS = flags.DEFINE_integer(
    "crops", 8, "Crops per step for the local network: the most clipped."
)
_CROP = flags.DEFINE_integer("crop_size", 128, "Side of the crops, in pixels.")
_VIEW = flags.DEFINE_integer("view_size", 256, "Side of the photos' views.")
_RATE = flags.DEFINE_float("learning_rate", 1e-3, "Of Adam, at its highest.")
_WARMUP = flags.DEFINE_integer("warmup", 300, "Steps of rising learning rate.")
_DECAY = flags.DEFINE_float("weight_decay", 1e-4, "Of AdamW.")
_SEED = flags.DEFINE_integer("seed", 0, "Of weights, photos and cameras.")
_WEIGHTS = flags.DEFINE_string(
    "weights", "{}", "JSON of loss weights that differ from the defaults."
)
_RECIPE = flags.DEFINE_string(
    "recipe", "{}", "JSON of camera.Recipe fields that differ."
)
_INIT = flags.DEFINE_string("init", "", "Weights file to begin with.")
_THREADS = flags.DEFINE_integer("threads", 0, "CPU threads; 0: all cores.")
_VALIDATE = flags.DEFINE_float(
    "validate_minutes", 5.0, "Time between validations."
)
_PEAK = flags.DEFINE_float(
    "peak_tflops", 0, "The device's peak, for the printed share."
)


def main(_):
    if _THREADS.value and os.environ.get("KERAS_BACKEND") != "jax":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
        tf.config.threading.set_inter_op_parallelism_threads(_THREADS.value)

    import keras

    from tfexposure import camera
    from tfexposure.natural import NaturalRestorer
    from tfexposure.training.device import (
        loop,
        objectives,
        photos,
        state,
        validation,
    )

    state.seed_weights(_SEED.value)
    recipe = camera.Recipe(**json.loads(_RECIPE.value))
    weights = objectives.NaturalWeights(**json.loads(_WEIGHTS.value))
    run_dir = Path(_RUN_DIR.value)
    run_dir.mkdir(parents=True, exist_ok=True)
    settings = {
        name: flags.FLAGS[name].value
        for name in (
            "steps",
            "batch_size",
            "crops",
            "crop_size",
            "view_size",
            "learning_rate",
            "warmup",
            "weight_decay",
            "seed",
            "init",
        )
    }
    settings["recipe"] = dataclasses.asdict(recipe)
    settings["weights"] = dataclasses.asdict(weights)
    (run_dir / "settings.json").write_text(json.dumps(settings, indent=1))

    room = (_VIEW.value - _CROP.value) // 2 + 1

    def draw(rng, count):
        drawn = camera.draw_cameras(rng, count, recipe)
        drawn["crop"] = (2 * rng.integers(0, room, 2)).astype("int32")
        return drawn

    batches = photos.Batches(
        photos.read_photos(_PHOTOS.value, "train"),
        draw,
        _BATCH.value,
        _VIEW.value,
        _SEED.value,
    )
    model = NaturalRestorer()
    model.build()
    if _INIT.value:
        model.load_weights(_INIT.value)
    rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        _STEPS.value - _WARMUP.value,
        alpha=0.01,
        warmup_target=_RATE.value,
        warmup_steps=_WARMUP.value,
    )
    optimizer = keras.optimizers.AdamW(
        rate, weight_decay=_DECAY.value, global_clipnorm=1.0
    )
    trainer = state.Trainer(
        model,
        optimizer,
        objectives.expose_batch,
        lambda model, batch: objectives.natural_terms(
            model, batch, weights, _CROP.value, _CROPS.value
        ),
    )
    print(
        f"{model.count_params():,} parameters, backend", keras.backend.backend()
    )
    loop.train(
        trainer,
        batches,
        run_dir,
        _STEPS.value,
        _MINUTES.value,
        validation.load_sets(_PHOTOS.value),
        validate_minutes=_VALIDATE.value,
        log=lambda line: print(line, flush=True),
        peak=_PEAK.value * 1e12 or None,
    )


def run():
    app.run(main)


if __name__ == "__main__":
    run()
