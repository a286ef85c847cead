"""The two tasks: the paper's GAN, and the blind model.

Each is networks, how a photo becomes an example, and losses; the loop knows
no more of them (`task.Task`).
"""

import dataclasses
import random

import keras
import numpy as np

from tfexposure import pretrained
from tfexposure.blind import BlindRestorer, camera
from tfexposure.blind import objective as blind_objective
from tfexposure.data import crops
from tfexposure.data.mixture import PAIR, MixedPhoto
from tfexposure.data.packed import draw_views
from tfexposure.errors import UserError
from tfexposure.imaging import exposure
from tfexposure.imaging.transfer_curves import get_response
from tfexposure.layers import dtype_policy, seed_noise
from tfexposure.paper.discriminator import PatchDiscriminator
from tfexposure.paper.generator import UNetGenerator
from tfexposure.paper.objective import compute_losses, load_features
from tfexposure.perceptual import vgg19_features
from tfexposure.training.optimizers import adam
from tfexposure.training.task import Task
from tfexposure.weights import read_weights

_KINDS = {
    "train": camera.FINISHED,
    "light": camera.LIGHT,
    "pair": camera.PAIR,
    "kept": camera.KEPT,
}
_POLICIES = {
    "float32": "float32",
    "bfloat16": "mixed_bfloat16",
    "float16": "mixed_float16",
    # Not offered by the configuration: for exact comparisons.
    "float64": "float64",
}


def make_task(config, replicas=1):
    """Builds the networks and optimisers of a task.

    Under tf.distribute, call it in the strategy's scope.

    Args:
        config: `Config`.
        replicas: int, how many share a step's batch without seeing each
            other's part. The blind model's crops are dealt out to them.

    Returns:
        `Task`.

    Raises:
        UserError: if weights are missing or do not fit, or crops cannot be
            dealt out evenly.
    """
    # Keras draws the seeds of its initialisers from `random`. Its own
    # `set_random_seed` would import TensorFlow, under JAX too.
    random.seed(config.train.seed)
    make = {"paper": _paper, "blind": _blind}[config.task]
    task = make(config, replicas)
    product = task.networks[task.product]
    if config.train.init:
        _begin_with(product, config.train.init)
    task.averaged.set_weights(product.get_weights())
    for name, network in task.networks.items():
        task.optimizers[name].build(network.trainable_variables)
    return task


def make_product(config):
    """Builds the network that a task trains for its own sake.

    Args:
        config: `Config`.

    Returns:
        Built `UNetGenerator` or `BlindRestorer`.
    """
    if config.task == "paper":
        generator = UNetGenerator(**dataclasses.asdict(config.generator))
        generator.build((None, None, None, 3))
        return generator
    settings = config.restorer
    restorer = BlindRestorer(
        encoder_widths=settings.encoder_widths,
        embedding_size=settings.embedding_size,
        unet_widths=settings.unet_widths,
        dropout=settings.dropout,
        clip=settings.clip,
        lift=settings.lift,
        known_stops=settings.stops or None,
        hypotheses=settings.hypotheses,
    )
    restorer.build()
    return restorer


def _paper(config, replicas):
    del replicas
    data, train = config.data, config.train
    policy = _POLICIES[train.precision]
    with dtype_policy(policy):
        generator = make_product(config)
    # Validated as it will be used.
    averaged = make_product(config)
    with dtype_policy(policy):
        discriminator = _discriminator(config)
        features = _features(load_features, config.loss)
    seed_noise(generator, train.seed)

    def losses(batch):
        return compute_losses(
            config.loss, generator, discriminator, features, batch
        )

    short_side = round(data.crop_size * data.resize_max)

    def example(photo, rng, _):
        box = crops.draw_box(photo.shape, rng, data.resize_max, data.flip)
        drawn = _draw_exposure(rng, data)
        if not data.pairs:
            return {"box": box, **drawn}
        photo = _as_mixed(photo)
        views = [crops.cut(f, box, data.crop_size) for f in photo.frames]
        return drawn | _frames(config, photo, views)

    def prepare(batch):
        if "pixels" in batch:
            batch = batch | {
                "photos": crops.cut_on_device(batch, data.crop_size, short_side)
            }
        return _overexpose(batch, data)

    return Task(
        networks={"generator": generator, "discriminator": discriminator},
        optimizers={
            "generator": adam(train, train.beta_1, train.weight_decay),
            "discriminator": adam(train, train.discriminator_beta_1),
        },
        averaged=averaged,
        losses=losses,
        prepare=prepare,
        example=example,
        cut=None
        if data.pairs
        else lambda photo, box: crops.cut(photo, box, data.crop_size),
        short_side=short_side,
        shares=_shares(config),
        frozen=(features,) if features else (),
        told=("generator", "discriminator", "content", "perceptual"),
    )


def _as_mixed(photo):
    """Takes a photo of no mixture for one to train on."""
    if isinstance(photo, MixedPhoto):
        return photo
    return MixedPhoto("train", (photo,))


def _frames(config, photo, views):
    """Returns an example's pixels, for `camera.keep_real_pairs`."""
    if not config.data.pairs:
        return {"photos": views[0]}
    pair = np.float32(photo.group == PAIR)
    return {"photos": views[0], "over": views[-1], "pair": pair}


def _draw_exposure(rng, data):
    """Draws what `_overexpose` needs, float32."""
    low, high = data.jpeg_quality_min, data.jpeg_quality_max
    drawn = {
        "tau": rng.uniform(data.tau_min, data.tau_max),
        "quality": rng.integers(low, high + 1),
        "seed": rng.integers(0, 1 << 20),
    }
    return {name: np.float32(value) for name, value in drawn.items()}


def _overexpose(batch, data):
    """Overexposes photos on the device, as `data.pipeline.simulate` does."""
    if "photos" not in batch:
        # It came from there.
        return batch
    photos = keras.ops.cast(batch["photos"], "float32") / 255.0
    grain, _ = camera.white_noise(keras.ops.shape(photos), batch["seed"])
    target = exposure.dequantize(photos, grain - 0.5)
    tau = keras.ops.reshape(batch["tau"], (-1, 1, 1, 1))
    response = get_response(data.response)
    overexposed = exposure.quantize(exposure.overexpose(target, tau, response))
    if data.jpeg_quality_max:
        saved = camera.jpeg(overexposed, batch["quality"])
        overexposed = exposure.quantize(saved)
    overexposed, target = camera.keep_real_pairs(batch, overexposed, target)
    return {"overexposed": overexposed, "target": target}


def _blind(config, replicas):
    loss, train = config.blind_loss, config.train
    if loss.crops % replicas:
        raise UserError(
            f"blind_loss.crops={loss.crops} must be a multiple of the "
            f"{replicas} replicas"
        )
    restorer, averaged = (make_product(config) for _ in range(2))
    networks = {"restorer": restorer}
    optimizers = {"restorer": adam(train, train.beta_1, train.weight_decay)}
    discriminator = features = None
    if loss.adversarial:
        discriminator = _discriminator(config)
        networks["discriminator"] = discriminator
        optimizers["discriminator"] = adam(train, train.discriminator_beta_1)
    if loss.perceptual:
        features = _features(vgg19_features, config.loss.vgg19_weights)

    def prepare(batch):
        prepared = blind_objective.expose_batch(batch)
        # One place per step, whichever photos are cropped.
        return prepared | {"crop": prepared["crop"][0]}

    def losses(batch):
        found = blind_objective.blind_losses(
            restorer,
            batch,
            loss,
            loss.crop_size,
            loss.crops // replicas,
            discriminator,
            features,
        )
        return {"restorer": found.pop("loss"), **found}

    room = max(config.data.crop_size - loss.crop_size, 0) // 2 + 1

    def example(photo, rng, step_rng):
        photo = _as_mixed(photo)
        kind = _KINDS[photo.group]
        views = draw_views(photo.frames, rng, config.data.crop_size)
        if kind == camera.PAIR and rng.uniform() < config.camera.untouched:
            # The well-exposed frame needs nothing.
            views = views[:1] * 2
        drawn = camera.draw_cameras(rng, views[0][None], config.camera, kind)
        crop = (2 * step_rng.integers(0, room, 2)).astype("int32")
        return {
            "crop": crop,
            **_frames(config, photo, views),
            **{name: values[0] for name, values in drawn.items()},
        }

    return Task(
        networks=networks,
        optimizers=optimizers,
        averaged=averaged,
        losses=losses,
        prepare=prepare,
        example=example,
        short_side=2 * config.data.crop_size,
        shares=_shares(config),
        frozen=(features,) if features else (),
        told=(
            "restorer",
            "surprise",
            "chosen",
            "best",
            "share",
            "curve",
            "filled_root",
            "discriminator",
        ),
    )


def _shares(config):
    """Returns the share of each group of photos, of all that have one."""
    shares = {}
    if config.data.pairs:
        shares[PAIR] = config.data.pair_share
    if config.task == "blind":
        shares["light"] = config.camera.light_share
        shares["kept"] = config.camera.kept_share
    rest = 1.0 - sum(shares.values())
    if rest < -1e-9:
        raise UserError(f"shares of photos add up to more than 1: {shares}")
    shares["train"] = max(rest, 0.0)
    return {group: share for group, share in shares.items() if share}


def _discriminator(config):
    discriminator = PatchDiscriminator(
        **dataclasses.asdict(config.discriminator)
    )
    discriminator.build([(None, None, None, 3)] * 2)
    return discriminator


def _features(load, argument):
    """Loads VGG-19; says it as a UserError where that fails."""
    try:
        return load(argument)
    except Exception as error:  # Keras raises no more than that offline
        reason = (str(error).splitlines() or [type(error).__name__])[0]
        raise UserError(f"loss.vgg19_weights: {reason}") from error


def _begin_with(network, name):
    """Assigns the weights that `train.init` names."""
    if name in pretrained.names():
        read_weights(network, pretrained.FOLDER / f"{name}.npz")
    elif name.endswith(".npz"):
        read_weights(network, name)
    else:
        try:
            network.load_weights(name)
        except (OSError, ValueError) as error:
            reason = (str(error).splitlines() or [type(error).__name__])[0]
            raise UserError(f"train.init={name}: {reason}") from error
