"""The paper's losses, per example.

Every function returns a float (N,) tensor, one value per example: the caller
sums and divides by the global batch size, which stays right however the batch
is spread over replicas. Logits are (N, h, w, 1) and unbounded; **1 means
fake, 0 real** (SPEC 1).
"""

from keras import ops


def least_squares_discriminator_loss(real_logits, fake_logits):
    """Pushes originals towards 0 and reconstructions towards 1, eq. (7)."""
    real = _mean(ops.square(real_logits))
    fake = _mean(ops.square(1.0 - fake_logits))
    return 0.5 * (real + fake)


def least_squares_generator_loss(fake_logits):
    """Pushes the discriminator's answer to a reconstruction to 0, eq. (8)."""
    return 0.5 * _mean(ops.square(fake_logits))


def minimax_discriminator_loss(real_logits, fake_logits):
    """Cross entropy of real = 0, fake = 1: minus eq. (1) and eq. (2)."""
    return _mean(ops.softplus(real_logits)) + _mean(ops.softplus(-fake_logits))


def minimax_generator_loss(fake_logits):
    """The generator's side of eq. (1): log of the chance to be found out."""
    return -_mean(ops.softplus(-fake_logits))


def non_saturating_generator_loss(fake_logits):
    """Minus log of the chance to pass as real, eq. (3)."""
    return _mean(ops.softplus(fake_logits))


def content_loss(target, restored):
    """Mean absolute difference, eq. (4), of images in [0, 1]."""
    return _mean(ops.abs(target - restored))


# Name for `--loss.adversarial` -> (discriminator's, generator's).
ADVERSARIAL = {
    "least_squares": (
        least_squares_discriminator_loss,
        least_squares_generator_loss,
    ),
    "minimax": (minimax_discriminator_loss, minimax_generator_loss),
    "non_saturating": (
        minimax_discriminator_loss,
        non_saturating_generator_loss,
    ),
}


def _mean(values):
    """Averages over all axes but the first."""
    return ops.mean(values, axis=tuple(range(1, len(values.shape))))
