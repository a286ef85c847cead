"""The paper's objective on any backend: eqs. (4), (5), (7), (8) and (9)."""

from keras import ops

from tfexposure import camera
from tfexposure.losses import ADVERSARIAL, content_loss
from tfexposure.perceptual import perceptual_loss

# The paper's own simulation: a power law, no white balance, noise or JPEG.
PAPER_RECIPE = {
    "untouched": 0.0,
    "gamma_share": 1.0,
    "balance": 0.0,
    "noise": 0.0,
    "lit": 0.0,
    "dim": 0.0,
    "jpeg_share": 0.0,
}


def expose_batch(batch):
    """Takes the batch's photos with its cameras, as `camera.expose`."""
    overexposed, target = camera.expose(batch["photos"], batch)
    return {"overexposed": overexposed, "target": target}


def paper_terms(loss, generator, discriminator, features, batch):
    """Runs both networks once; the same sums as the TensorFlow trainer's.

    Args:
        loss: config.LossConfig.
        generator, discriminator: the networks.
        features: VGG-19 of `perceptual.vgg19_features`, or None.
        batch: dict with `overexposed` and `target`, (N, H, W, 3) in [0, 1].

    Returns:
        dict of scalars, means over the batch: `generator` and
        `discriminator`, the totals of eqs. (9) and (7), and the terms.
    """
    overexposed, target = batch["overexposed"], batch["target"]
    restored = generator(overexposed, training=True)
    # Originals and reconstructions in one pass, as one batch.
    logits = discriminator(
        (
            ops.concatenate([overexposed, overexposed], axis=0),
            ops.concatenate([target, restored], axis=0),
        ),
        training=True,
    )
    real_logits, fake_logits = ops.split(logits, 2, axis=0)
    discriminator_loss, generator_loss = ADVERSARIAL[loss.adversarial]
    terms = {
        "adversarial": generator_loss(fake_logits),
        "content": content_loss(target, restored),
        "discriminator": discriminator_loss(real_logits, fake_logits),
    }
    total = terms["adversarial"] + loss.content_weight * terms["content"]
    if features is not None:
        terms["perceptual"] = perceptual_loss(
            [ops.stop_gradient(maps) for maps in features(target)],
            features(restored),
            loss.perceptual_norm,
        )
        total = total + loss.perceptual_weight * terms["perceptual"]
    terms["generator"] = total
    return {name: ops.mean(value) for name, value in terms.items()}
