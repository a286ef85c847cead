"""The blind model's losses, in `keras.ops`.

All but the logarithms are means over the batch of images in [0, 1], so a loss
of 0.04 is an error of a twenty-fifth of the range.
"""

from keras import ops

from tfexposure.blind import camera, tone_curve
from tfexposure.blind.curve_distribution import CurveErrors
from tfexposure.imaging.luminance import luminance_of_channels
from tfexposure.imaging.thumbnail import thumbnails_of
from tfexposure.losses import (
    least_squares_discriminator_loss,
    least_squares_generator_loss,
)
from tfexposure.perceptual import perceptual_loss


def expose_batch(batch):
    """Takes the batch's photos with its cameras; see `blind_losses`.

    Args:
        batch: dict of `photos` (N, H, W, 3), `crop` (int32, row and column of
            the crops) and what `camera.draw_cameras` gives; `over`
            (N, H, W, 3) of real pairs, and `pair` (N,), 1 for those.
    """
    taken = camera.expose(batch["photos"], batch)
    overexposed, target = camera.keep_real_pairs(batch, *taken)
    return {
        "overexposed": overexposed,
        "target": target,
        "thumbnail": thumbnails_of(overexposed),
        "crop": batch["crop"],
    }


def blind_losses(
    model,
    batch,
    weights,
    crop_size,
    crop_count,
    discriminator=None,
    features=None,
):
    """Computes the losses of the blind model for one batch.

    Args:
        model: BlindRestorer.
        batch: what `expose_batch` returned.
        weights: `config.BlindLossConfig`.
        crop_size: side of the crops for the local network, in pixels.
        crop_count: that many photos, the most clipped, get a crop; 0 trains
            the curves alone, some twice as fast.
        discriminator: PatchDiscriminator, for `weights.adversarial`.
        features: VGG-19 feature maps, for `weights.perceptual`.

    Returns:
        dict of scalars: `loss`, the losses by name, and `discriminator`, that
        network's own loss, if there is one.
    """
    power = weights.likelihood_power
    slopes, embedding, losses = _global_losses(model, batch, power)
    if not crop_count:
        return {"loss": _weighted(losses, weights), **losses}
    crops = _most_clipped(
        model, batch, crop_size, crop_count, slopes, embedding
    )
    own = _local_losses(model, *crops, losses, discriminator, features)
    return {"loss": _weighted(losses, weights), **losses, **own}


def _most_clipped(model, batch, size, count, slopes, embedding):
    """Cuts the crops, and keeps those with the most clipped values."""
    crops = [
        _crop(batch[name], batch["crop"], size)
        for name in ("overexposed", "target")
    ]
    share = ops.mean(model.clip_mask(crops[0]), axis=(1, 2, 3))
    chosen = ops.top_k(share, count)[1]
    return [
        ops.take(values, chosen, axis=0)
        for values in (*crops, slopes, embedding)
    ]


def _local_losses(
    model,
    overexposed,
    target,
    slopes,
    embedding,
    losses,
    discriminator,
    features,
):
    """Adds to `losses` those of crops; returns the discriminator's own."""
    # What is invented has no say in the exposure of the rest.
    slopes = ops.stop_gradient(slopes)
    toned, correction = model.tone_and_correct(overexposed, slopes, embedding)
    restored = toned + correction
    mask = model.clip_mask(overexposed)
    near_white = model.white_mask(overexposed)
    # Where the curve has the exposure wrong, so has the rest: a truth as
    # bright as the curve's answer.
    gain = ops.stop_gradient(_best_gain(toned, target, 1.0 - mask))
    losses.update(_filling_losses(restored, target, mask, near_white, gain))
    wanted = ops.clip(target / gain, 0.0, 1.0)
    own = {}
    if discriminator is not None:
        # Only the filling is judged: both sides share the curve's answer.
        real = toned + mask * (wanted - toned)
        losses["adversarial"], own["discriminator"] = _adversarial_losses(
            discriminator, overexposed, ops.stop_gradient(real), restored, mask
        )
    if features is not None:
        maps = [ops.stop_gradient(found) for found in features(wanted)]
        distance = perceptual_loss(maps, features(restored), "full")
        losses["perceptual"] = ops.mean(distance)
    return own


def _global_losses(model, batch, power):
    """Returns the slopes, the embedding and the losses of whole photos."""
    images = batch["overexposed"], batch["target"]
    if model.known_stops is None:
        return _distribution_losses(model, batch, power)
    slopes, embedding, _ = model.encode_photo(batch["thumbnail"], training=True)
    return slopes, embedding, _curve_losses(model, *images, slopes)


def _distribution_losses(model, batch, power):
    """Returns slopes, embedding and losses of a `CurveDistribution`.

    A curve's likelihood is a power of its square error, with its error after
    the best gain beside it: the density of a mixture with heavy tails.
    """
    branch = model.global_branch
    thumbnail = batch["thumbnail"]
    slopes, logits, embedding = branch.distribution(thumbnail, training=True)
    errors = _curve_errors(model, batch["overexposed"], batch["target"])
    square = ops.log(errors.square(slopes))
    cost = square + 0.3 * ops.log(errors.square_best_gain(slopes))
    log_probable = ops.log_softmax(logits)
    surprise = -ops.logsumexp(log_probable - power * cost, axis=1)
    chosen, share = branch.choose(
        ops.stop_gradient(slopes), ops.stop_gradient(logits), thumbnail
    )
    losses = {
        "surprise": ops.mean(surprise),
        # Told, not descended: what the answer in use costs.
        "chosen": ops.mean(ops.log(errors.square(chosen[:, None]))),
        "best": ops.mean(ops.min(square, axis=1)),
        "share": ops.mean(share),
    }
    return chosen, embedding, losses


def _curve_errors(model, overexposed, target):
    """Returns `CurveErrors` of every fourth pixel, where nothing is clipped."""
    seen, wanted = overexposed[:, ::4, ::4], target[:, ::4, ::4]
    return CurveErrors(seen, wanted, 1.0 - model.clip_mask(seen))


def _weighted(losses, weights):
    """Adds up the losses that have a weight; the others are told alone."""
    return sum(
        getattr(weights, name) * loss
        for name, loss in losses.items()
        if hasattr(weights, name)
    )


def _adversarial_losses(discriminator, overexposed, wanted, restored, mask):
    """Returns the generator's and the discriminator's loss.

    Patches count by how much of them is filled: no one can tell the others.
    """
    logits = discriminator(
        (
            ops.concatenate([overexposed, overexposed], axis=0),
            ops.concatenate([wanted, restored], axis=0),
        ),
        training=True,
    )
    filled = ops.image.resize(
        ops.max(mask, axis=-1, keepdims=True), logits.shape[1:3], antialias=True
    )
    share = ops.reshape(filled / (ops.mean(filled) + 0.02), (-1,))
    # As if every patch were a photo of its own.
    real, fake = ops.split(ops.reshape(logits, (-1, 1, 1, 1)), 2, axis=0)
    return (
        ops.mean(share * least_squares_generator_loss(fake)),
        ops.mean(share * least_squares_discriminator_loss(real, fake)),
    )


def _crop(images, crop, size):
    # Of one type, also where JAX takes Python's integers for 64-bit ones.
    start = ops.pad(crop, (1, 1))
    return ops.slice(images, start, (images.shape[0], size, size, 3))


def _curve_losses(model, overexposed, target, slopes):
    """Compares the tone curve on every fourth pixel, where it must be right."""
    seen, wanted = overexposed[:, ::4, ::4], target[:, ::4, ::4]
    weight = 1.0 - model.clip_mask(seen)
    toned = tone_curve(seen, slopes)
    scaled = toned * _best_gain(toned, wanted, weight)
    axes = (1, 2, 3)
    size = ops.mean(weight, axes) + 0.02
    losses = {}
    for name, image in (("curve", toned), ("shape", scaled)):
        error = weight * ops.abs(image - wanted)
        losses[name] = ops.mean(error)
        square = ops.mean(error * error, axes) / size
        # Errors below 35 dB are none.
        losses[f"{name}_log"] = ops.mean(ops.log(square + 3e-4))
    return losses


def _best_gain(image, wanted, weight):
    """The gain per photo with the least weighted squared error."""
    axes = (1, 2, 3)
    over = ops.sum(weight * image * wanted, axes, keepdims=True)
    under = ops.sum(weight * image * image, axes, keepdims=True)
    return ops.clip((over + 1e-3) / (under + 1e-3), 0.5, 2.0)


def _filling_losses(restored, target, mask, near_white, gain):
    """Compares clipped values, and half as much those that may be lifted."""
    zone = (mask + near_white) / 2.0
    anywhere = ops.max(mask, axis=-1, keepdims=True)
    error = ops.abs(target - restored)
    luminance = _luminance(restored), _luminance(target)
    gradient, border = _gradient_losses(restored, target, zone)
    means = {
        "filled": zone * error,
        "filled_gain": zone * ops.abs(target / gain - restored),
        "chroma": anywhere * ops.abs(_opponents(restored) - _opponents(target)),
        "highlight": anywhere * ops.maximum(luminance[1] - luminance[0], 0.0),
        "gradient": gradient,
    }
    size = ops.mean(zone) + 0.02
    losses = {name: ops.mean(value) / size for name, value in means.items()}
    distribution = _distribution_loss(*luminance, anywhere)
    losses["distribution"] = distribution / (ops.mean(mask) + 0.02)
    axes = (1, 2, 3)
    square = ops.mean(zone * error * error, axes)
    square = square / (ops.mean(zone, axes) + 0.02)
    losses["filled_root"] = ops.mean(ops.sqrt(square + 1e-6))
    return losses | {"border": border}


def _luminance(images):
    return luminance_of_channels(
        images[..., :1], images[..., 1:2], images[..., 2:]
    )


def _opponents(images):
    green = images[..., 1:2]
    return ops.concatenate(
        [images[..., :1] - green, images[..., 2:] - green], axis=-1
    )


def _gradient_losses(restored, target, mask, scales=5):
    """Returns the losses `gradient` and `border`."""
    everywhere = border = 0.0
    for _ in range(scales):
        for axis in (1, 2):
            wrong = ops.abs(
                _neighbours(restored, axis) - _neighbours(target, axis)
            )
            inside = ops.maximum(*_both(mask, axis))
            everywhere = everywhere + ops.mean(inside * wrong)
            edge = ops.abs(_neighbours(mask, axis))
            border = border + ops.mean(edge * wrong) / (ops.mean(edge) + 1e-3)
        restored, target, mask = (
            ops.average_pool(images, 2, 2)
            for images in (restored, target, mask)
        )
    return everywhere / scales, border / (2 * scales)


def _both(images, axis):
    if axis == 1:
        return images[:, 1:], images[:, :-1]
    return images[:, :, 1:], images[:, :, :-1]


def _neighbours(images, axis):
    after, before = _both(images, axis)
    return after - before


def _distribution_loss(restored, target, mask):
    """Compares the sorted luminances; outside the mask both are the target."""
    restored = mask * restored + (1.0 - mask) * target
    # Sorting at half size costs a quarter and sees through the noise.
    flat = [
        ops.sort(
            ops.reshape(ops.average_pool(images, 2, 2), (images.shape[0], -1)),
            axis=1,
        )
        for images in (restored, target)
    ]
    rank = ops.linspace(0.0, 1.0, flat[0].shape[1])
    return ops.mean((1.0 + 3.0 * rank**8) * ops.abs(flat[0] - flat[1]))
