"""What the loop is told of a task: networks, `prepare` and `losses`."""

import dataclasses
from collections.abc import Callable

import keras


@dataclasses.dataclass
class Task:
    """Networks that learn together, and from what; backend-free.

    Attributes:
        networks: name -> built keras.Model. Each descends the loss of its own
            name, all from one forward pass. The first is the product.
        optimizers: the same names -> keras.optimizers.Optimizer, built.
        averaged: network like the product, for its averaged weights.
        losses: function of a prepared batch -> dict of losses by name, each
            per example, (N,), or a scalar; those of all networks among them.
        prepare: function of a batch's tensors -> prepared batch, a dict with
            `overexposed` and `target`, (N, H, W, 3) in [0, 1]; holds no
            weights.
        example: function (uint8 photo, rng of the example, rng of the step)
            -> dict of arrays; makes examples of `ArrayPhotos`.
        cut: function (uint8 photo, box) -> uint8 crop, where examples tell by
            a `box` what of the photo they are, and `prepare` can cut it out
            of `pixels`, too; None: examples hold pixels.
        short_side: greatest short side of photos that `example` needs, in
            pixels.
        shares: group -> share in the stream of photos, see `PhotoMixture`;
            `train` alone is that group or all of a folder.
        frozen: further networks that `losses` uses and nobody trains.
        told: names of the losses for the progress line.
    """

    networks: dict[str, keras.Model]
    optimizers: dict[str, keras.optimizers.Optimizer]
    averaged: keras.Model
    losses: Callable
    prepare: Callable
    example: Callable
    short_side: int
    cut: Callable | None = None
    shares: dict[str, float] = dataclasses.field(
        default_factory=lambda: {"train": 1.0}
    )
    frozen: tuple[keras.Model, ...] = ()
    told: tuple[str, ...] = ()

    @property
    def product(self):
        """The name of the network that is trained for its own sake."""
        return next(iter(self.networks))
