"""The paper's simulation and objective for `state.Trainer`."""

from keras import ops

from tfexposure.blind import camera
from tfexposure.paper.objective import compute_losses

# The paper's own simulation: a power law, no white balance, noise or JPEG.
PAPER_RECIPE = {
    "untouched": 0.0,
    "gamma_share": 1.0,
    "noise": 0.0,
    "jpeg_share": 0.0,
}


def expose_batch(batch):
    """Takes the batch's photos with its cameras, as `camera.expose`."""
    overexposed, target = camera.expose(batch["photos"], batch)
    return {"overexposed": overexposed, "target": target}


def paper_terms(loss, generator, discriminator, features, batch):
    """Returns the batch's means of `objective.compute_losses`, scalars."""
    losses = compute_losses(loss, generator, discriminator, features, batch)
    return {name: ops.mean(values) for name, values in losses.items()}
