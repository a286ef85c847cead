"""At which size the experiments are done."""

import dataclasses


@dataclasses.dataclass(frozen=True)
class Profile:
    """Sizes of the networks, the training and the evaluation.

    Attributes:
        name: `paper`, `short` or `smoke`.
        crop_size: of training crops, in pixels.
        filters: width of both networks.
        global_batch_size: photos per step.
        steps: of a training of length 1.
        max_photos: for the evaluation; None for all.
        max_side: evaluated photos are reduced to this, in pixels.
        figure_side: width of a picture in a figure, in pixels.
        vgg19_weights: default of `--vgg19_weights`.
        classifier: default of `--inception`; empty for no score.
        resamples: of the bootstrap.
    """

    name: str
    crop_size: int
    filters: int
    global_batch_size: int
    steps: int
    max_photos: int | None
    max_side: int | None
    figure_side: int
    vgg19_weights: str
    classifier: str
    resamples: int

    def flags(self, length=1):
        """Returns the trainer's flags of this size."""
        steps = self.steps * length
        return {
            "data.crop_size": self.crop_size,
            "generator.filters": self.filters,
            "discriminator.filters": self.filters,
            "train.global_batch_size": self.global_batch_size,
            "train.steps": steps,
            "train.log_every": max(1, min(100, steps // 5)),
            "train.sample_every": max(1, min(5000, steps)),
            "train.checkpoint_every": max(1, min(2000, steps)),
            "train.keep_checkpoints": 1,
        }


PROFILES = {
    # The paper gives hours, not steps: 10 h on one GPU of 2019.
    "paper": Profile(
        name="paper",
        crop_size=256,
        filters=64,
        global_batch_size=16,
        steps=100_000,
        max_photos=None,
        max_side=1024,
        figure_side=384,
        vgg19_weights="imagenet",
        classifier="imagenet",
        resamples=2000,
    ),
    # For two processor cores and a day's patience at most. Photos are
    # evaluated at the scale of the training crops.
    "short": Profile(
        name="short",
        crop_size=96,
        filters=12,
        global_batch_size=4,
        steps=1500,
        max_photos=None,
        max_side=160,
        figure_side=256,
        vgg19_weights="imagenet",
        classifier="",
        resamples=2000,
    ),
    # To see that everything runs.
    "smoke": Profile(
        name="smoke",
        crop_size=32,
        filters=2,
        global_batch_size=2,
        steps=2,
        max_photos=6,
        max_side=48,
        figure_side=128,
        vgg19_weights="random",
        classifier="",
        resamples=50,
    ),
}
