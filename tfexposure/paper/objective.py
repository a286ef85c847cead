"""The paper's objective, eqs. (4), (5) and (7) to (9), on any backend."""

from keras import ops

from tfexposure.losses import ADVERSARIAL, content_loss
from tfexposure.perceptual import perceptual_loss, vgg19_features

# Halfway between the logits of a real and of a fake patch.
_BOUNDARY = {"least_squares": 0.5, "minimax": 0.0, "non_saturating": 0.0}


def load_features(loss):
    """Returns the VGG-19 of the perceptual loss, or None if it has no weight.

    Under tf.distribute, call it in the strategy's scope.

    Args:
        loss: `LossConfig`.
    """
    if not loss.perceptual_weight:
        return None
    return vgg19_features(loss.vgg19_weights)


def compute_losses(loss, generator, discriminator, features, batch):
    """Runs both networks once and returns all losses, per example.

    Originals and reconstructions pass the discriminator as one batch, so that
    both updates come from one forward pass of each network.

    Args:
        loss: `LossConfig`.
        generator, discriminator: the networks.
        features: model of `load_features`, or None.
        batch: dict with `overexposed` and `target`, (N, H, W, 3) in [0, 1].

    Returns:
        Dict of float32 (N,): `generator` and `discriminator`, the totals of
        eqs. (9) and (7), the terms `adversarial`, `content` and
        `perceptual`, and `accuracy`, the share of patches that the
        discriminator takes for what they are.
    """
    overexposed, target = batch["overexposed"], batch["target"]
    restored = generator(overexposed, training=True)
    logits = discriminator(
        (
            ops.concatenate([overexposed, overexposed], axis=0),
            ops.concatenate([target, ops.cast(restored, target.dtype)], axis=0),
        ),
        training=True,
    )
    real_logits, fake_logits = ops.split(logits, 2, axis=0)
    discriminator_loss, generator_loss = ADVERSARIAL[loss.adversarial]
    losses = {
        "discriminator": discriminator_loss(real_logits, fake_logits),
        "adversarial": generator_loss(fake_logits),
        "content": content_loss(target, restored),
        "accuracy": _accuracy(
            real_logits, fake_logits, _BOUNDARY[loss.adversarial]
        ),
    }
    total = losses["adversarial"] + loss.content_weight * losses["content"]
    if features is not None:
        losses["perceptual"] = perceptual_loss(
            [ops.stop_gradient(maps) for maps in features(target)],
            features(restored),
            loss.perceptual_norm,
        )
        total = total + loss.perceptual_weight * losses["perceptual"]
    losses["generator"] = total
    return losses


def _accuracy(real_logits, fake_logits, boundary):
    def share(right):
        return ops.mean(
            ops.cast(right, real_logits.dtype),
            axis=tuple(range(1, len(right.shape))),
        )

    return (share(real_logits < boundary) + share(fake_logits > boundary)) / 2
