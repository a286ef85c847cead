"""Trains on any Keras backend from one array file, within a time budget.

    KERAS_BACKEND=jax python trainers/train_device.py --photos=photos.npz \\
        --run_dir=runs/natural --minutes=9

The same command continues a run where it stopped. `trainers/pack_photos.py`
makes the array file. docs/gpu.md has the whole command for a borrowed GPU.
"""

import dataclasses
import json
import os
import sys
from pathlib import Path

from absl import app, flags

from tfexposure.errors import UserError
from tfexposure.imaging.clipping import MASK_RAMP

_MODEL = flags.DEFINE_enum(
    "model",
    "natural",
    ["natural", "paper"],
    "The blind model of the package, or the paper's generator and its GAN.",
)
_PHOTOS = flags.DEFINE_string(
    "photos", None, "Array file of pack_photos.", required=True
)
_RUN_DIR = flags.DEFINE_string(
    "run_dir", None, "Folder of the run.", required=True
)
_MINUTES = flags.DEFINE_float("minutes", 9.0, "Wall time of the steps.")
_STEPS = flags.DEFINE_integer("steps", 20_000, "Last step, end of the decay.")
_BATCH = flags.DEFINE_integer("batch_size", 16, "Photos per step.")
_VIEW = flags.DEFINE_integer("view_size", 256, "Side of the photos' views.")
_CROPS = flags.DEFINE_integer(
    "crops",
    8,
    "natural: crops per step for the local network; 0 trains the curve alone.",
)
_JUDGE = flags.DEFINE_boolean(
    "judge_only",
    False,
    "natural: trains nothing but the judge of who took the photo.",
)
_CROP = flags.DEFINE_integer(
    "crop_size", 128, "natural: side of those crops, in pixels."
)
_STOPS = flags.DEFINE_float(
    "stops",
    None,
    "natural: how far every photo is overexposed, where that is known, as by "
    "the recipe's tau_fixed.",
)
_CLIP = flags.DEFINE_multi_float(
    "clip",
    list(MASK_RAMP),
    "natural: values between which a channel goes over to clipped. JPEG moves "
    "them.",
)
_LIFT = flags.DEFINE_float(
    "lift",
    0.7,
    "natural: value from which all channels may be lifted locally; the start "
    "of --clip where the stops are known, since the curve is exact then.",
)
_RATE = flags.DEFINE_float(
    "learning_rate", 0, "At its highest; 0: 3e-4 (natural), 2e-4 (paper)."
)
_WARMUP = flags.DEFINE_integer("warmup", 300, "Steps of rising learning rate.")
_SEED = flags.DEFINE_integer("seed", 0, "Of weights, photos and cameras.")
_WEIGHTS = flags.DEFINE_string(
    "weights",
    "{}",
    "JSON of loss weights that differ from the defaults: fields of "
    "NaturalWeights, or of LossConfig for the paper's.",
)
_RECIPE = flags.DEFINE_string(
    "recipe", "{}", "JSON of camera.Recipe fields that differ."
)
_FILTERS = flags.DEFINE_integer(
    "filters", 32, "Width of the paper's generator and of discriminators."
)
_VGG19 = flags.DEFINE_string(
    "vgg19_weights",
    "imagenet",
    "For perceptual losses: a .npz or .h5 file, imagenet or random.",
)
_INIT = flags.DEFINE_string(
    "init",
    "",
    "Weights to begin with: .weights.h5 of a run, or the .npz of "
    "tfexposure/pretrained.",
)
_DROPOUT = flags.DEFINE_float(
    "dropout", 0.3, "natural: share of the whole photo's features dropped."
)
_THREADS = flags.DEFINE_integer("threads", 0, "CPU threads; 0: all cores.")
_VALIDATE = flags.DEFINE_float(
    "validate_minutes", 5.0, "Time between validations."
)
_PEAK = flags.DEFINE_float(
    "peak_tflops", 0, "The device's peak, for the printed share."
)

# What a run may be continued with other values of.
_NOT_SETTINGS = ("photos", "run_dir", "minutes", "threads", "validate_minutes")


def main(_):
    try:
        _train()
    except UserError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


def _train():
    if _THREADS.value and os.environ.get("KERAS_BACKEND") != "jax":
        import tensorflow as tf

        tf.config.threading.set_intra_op_parallelism_threads(_THREADS.value)
        tf.config.threading.set_inter_op_parallelism_threads(_THREADS.value)

    import keras

    from tfexposure.blind import camera
    from tfexposure.data import packed as photos
    from tfexposure.training.device import (
        loop,
        state,
        validation,
    )
    from tfexposure.weights import read_weights

    state.seed_weights(_SEED.value)
    make = {"natural": _natural, "paper": _paper}[_MODEL.value]
    trainer, recipe, weights, flops = make()
    if _INIT.value.endswith(".npz"):
        read_weights(trainer.model, _INIT.value)
    elif _INIT.value:
        trainer.model.load_weights(_INIT.value)
    # The average must begin where the weights do.
    trainer.forget_average()

    run_dir = Path(_RUN_DIR.value)
    run_dir.mkdir(parents=True, exist_ok=True)
    settings = {
        flag.name: flag.value
        for flag in flags.FLAGS.get_key_flags_for_module(__name__)
        if flag.name not in _NOT_SETTINGS
    }
    settings["recipe"] = dataclasses.asdict(recipe)
    settings["weights"] = dataclasses.asdict(weights)
    text = json.dumps(settings, indent=1)
    (run_dir / "settings.json").write_text(text, encoding="utf-8")

    room = max(_VIEW.value - _CROP.value, 0) // 2 + 1

    def draw(rng, views):
        drawn = camera.draw_cameras(rng, views, recipe)
        drawn["crop"] = (2 * rng.integers(0, room, 2)).astype("int32")
        return drawn

    batches = photos.Batches(
        photos.read_photos(_PHOTOS.value, "train"),
        draw,
        _BATCH.value,
        _VIEW.value,
        _SEED.value,
    )
    print(
        f"{trainer.model.count_params():,} parameters, "
        f"backend {keras.backend.backend()}"
    )
    try:
        loop.train(
            trainer,
            batches,
            run_dir,
            _STEPS.value,
            _MINUTES.value,
            validation.load_sets(_PHOTOS.value),
            validate_minutes=_VALIDATE.value,
            log=lambda line: print(line, flush=True),
            flops_per_step=flops,
            peak=_PEAK.value * 1e12 or None,
        )
    finally:
        batches.close()


def _natural():
    """Makes the trainer of the natural model, its recipe, weights, FLOPs."""
    import keras

    from tfexposure.blind import NaturalRestorer, camera
    from tfexposure.blind import objective as objectives
    from tfexposure.perceptual import vgg19_features
    from tfexposure.training.device import state

    recipe = camera.Recipe(**json.loads(_RECIPE.value))
    weights = objectives.NaturalWeights(**json.loads(_WEIGHTS.value))
    model = NaturalRestorer(
        clip=_CLIP.value,
        lift=_LIFT.value,
        stops=_STOPS.value,
        dropout=_DROPOUT.value,
    )
    model.build()
    optimizer = keras.optimizers.AdamW(
        _schedule(3e-4), weight_decay=0.02, global_clipnorm=1.0
    )
    if _JUDGE.value:
        return _judge(model, optimizer), recipe, weights, None
    # Forward, and twice as much backward.
    flops = 3 * (
        _BATCH.value * model.flops_per_photo
        + _CROPS.value * _CROP.value**2 * model.flops_per_pixel
    )

    players = {"loss": (model, optimizer)}
    discriminator = features = None
    if weights.adversarial:
        discriminator = _discriminator(_CROP.value)
        slow = keras.optimizers.Adam(_schedule(2e-4), beta_1=0.5)
        players["discriminator"] = (discriminator, slow)
    if weights.perceptual:
        features = vgg19_features(_VGG19.value)

    def terms(batch):
        return objectives.natural_terms(
            model,
            batch,
            weights,
            _CROP.value,
            _CROPS.value,
            discriminator,
            features,
        )

    trainer = state.Trainer(
        players,
        objectives.expose_batch,
        terms,
        [features] if features else [],
    )
    return trainer, recipe, weights, flops


def _judge(model, optimizer):
    """Makes the trainer of a model of which all but the judge stays."""
    from tfexposure.blind import objective as objectives
    from tfexposure.training.device import state

    if model.arguments["stops"] is not None:
        raise UserError("--judge_only: with --stops there is nothing to judge")
    branch = model.summary_branch
    for layer in (branch.plain, branch.camera, model.filler):
        layer.trainable = False
    return state.Trainer(
        {"loss": (model, optimizer)},
        objectives.expose_batch,
        lambda batch: objectives.judge_terms(model, batch),
    )


def _discriminator(side):
    import keras

    from tfexposure.paper.discriminator import PatchDiscriminator

    discriminator = PatchDiscriminator(filters=_FILTERS.value)
    picture = keras.KerasTensor((1, side, side, 3))
    discriminator((picture, picture))
    return discriminator


def _paper():
    """Makes the trainer of the paper's GAN, its recipe and weights."""
    import keras

    from tfexposure.blind import camera
    from tfexposure.config import LossConfig
    from tfexposure.paper.generator import UNetGenerator
    from tfexposure.perceptual import vgg19_features
    from tfexposure.training.device import (
        paper,
        state,
    )

    recipe = {"tau_fixed": 0.5} | paper.PAPER_RECIPE
    recipe = camera.Recipe(**(recipe | json.loads(_RECIPE.value)))
    loss = LossConfig(**json.loads(_WEIGHTS.value))
    generator = UNetGenerator(filters=_FILTERS.value)
    generator(keras.KerasTensor((1, _VIEW.value, _VIEW.value, 3)))
    discriminator = _discriminator(_VIEW.value)
    features = None
    if loss.perceptual_weight:
        features = vgg19_features(_VGG19.value)

    def terms(batch):
        return paper.paper_terms(
            loss, generator, discriminator, features, batch
        )

    players = {
        name: (network, keras.optimizers.Adam(_schedule(2e-4), beta_1=0.5))
        for name, network in (
            ("generator", generator),
            ("discriminator", discriminator),
        )
    }
    trainer = state.Trainer(
        players, paper.expose_batch, terms, [features] if features else []
    )
    return trainer, recipe, loss, None


def _schedule(highest):
    import keras

    return keras.optimizers.schedules.CosineDecay(
        0.0,
        max(_STEPS.value - _WARMUP.value, 1),
        alpha=0.01,
        warmup_target=_RATE.value or highest,
        warmup_steps=_WARMUP.value,
    )


def run():
    app.run(main)


if __name__ == "__main__":
    run()
