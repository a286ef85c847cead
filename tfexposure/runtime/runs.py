"""The generator of a training run, rebuilt from its folder."""

import dataclasses
from pathlib import Path

import keras

from tfexposure import pretrained
from tfexposure.blind import BlindRestorer
from tfexposure.config import RunDir
from tfexposure.errors import UserError
from tfexposure.paper.generator import UNetGenerator
from tfexposure.weights import read_weights

WEIGHTS = ("averaged", "live")


@dataclasses.dataclass(frozen=True)
class LoadedRun:
    """A trained generator and where it comes from.

    Attributes:
        generator: the network, float32.
        config: the run's settings, as nested dicts.
        step: int, training steps done when the weights were written, or None
            if that is not known.
        weights: which were taken: `"averaged"`, `"live"`, or a file's name.
        name: of a model that comes with tfexposure, or None; exported files
            are called after it.
    """

    generator: keras.Model
    config: dict
    step: int | None
    weights: str
    name: str | None = None

    @property
    def stem(self):
        """What exported files are called: the name, else the step."""
        if self.name:
            return self.name
        return "generator" + ("" if self.step is None else f"-{self.step}")


def load_generator(
    run_dir, weights: str = "averaged", step: int | None = None
) -> keras.Model:
    """Rebuilds the generator of a run; see `load_run`."""
    return load_run(run_dir, weights, step).generator


def load_run(
    run_dir, weights: str = "averaged", step: int | None = None
) -> LoadedRun:
    """Rebuilds a run's generator from `config.json` and a checkpoint.

    Args:
        run_dir: the run's folder.
        weights: `"averaged"`, the exponential average over training, or
            `"live"`, those of the last step. A run trained without averaging
            (`train.ema` 0) has the live ones only, and they are taken.
        step: which checkpoint; the newest if None.

    Returns:
        `LoadedRun`.

    Raises:
        UserError: if the folder is no run, has no such checkpoint, or the
            checkpoint does not fit the configuration.
        ValueError: if `weights` is neither of the two.
    """
    if weights not in WEIGHTS:
        raise ValueError(
            f"`weights` must be one of {list(WEIGHTS)}. Received: {weights!r}"
        )
    run = RunDir(run_dir)
    config = run.read_config()
    if not config.train.ema:
        weights = "live"
    if config.task != "paper":
        raise UserError(
            f"{run.config_path}: a run of task={config.task}, not of the "
            "paper's GAN"
        )
    step = _find_step(run.checkpoints, step)
    path = run.checkpoints / f"ckpt-{step}.npz"
    generator = UNetGenerator(
        **dataclasses.asdict(config.generator), dtype="float32"
    )
    generator.build((None, None, None, 3))
    prefix = "generator/" if weights == "live" else "averaged/"
    try:
        read_weights(generator, path, prefix)
    except UserError as error:
        raise UserError(
            f"{path}: does not hold the generator that "
            f"{run.config_path} describes ({_first_line(error)})"
        ) from error
    return LoadedRun(generator, config.to_dict(), step, weights)


def load_natural(path) -> LoadedRun:
    """Rebuilds a `BlindRestorer` from its weights.

    Args:
        path: a `.weights.h5` file.

    Raises:
        UserError: if the file does not hold its weights.
    """
    path = Path(path)
    generator = BlindRestorer()
    generator.build()
    try:
        generator.load_weights(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: does not hold the weights of a BlindRestorer "
            f"({_first_line(error)})"
        ) from error
    config = {"natural": generator.get_config()}
    return LoadedRun(generator, config, None, path.name)


def load_shipped(name) -> LoadedRun:
    """Rebuilds a model that comes with the package.

    Args:
        name: one of `pretrained.names()`.

    Raises:
        UserError: if there is no such model, or its file is damaged.
    """
    about = pretrained.manifest(name)
    return LoadedRun(
        pretrained.load_pretrained(name),
        about["settings"],
        about["step"],
        about["weights"],
        name,
    )


def _find_step(folder, step):
    """Returns the step of the checkpoint to take: `step`, or the newest."""
    steps = sorted(
        int(path.stem.split("-")[1])
        for path in folder.glob("ckpt-*.npz")
        if path.stem.split("-")[1].isdigit()
    )
    if not steps:
        raise UserError(f"{folder}: no checkpoint (ckpt-<step>.npz) there")
    if step is None:
        step = steps[-1]
    if step not in steps:
        listed = ", ".join(map(str, steps))
        raise UserError(
            f"{folder}: no checkpoint of step {step}; there are {listed}"
        )
    return step


def _first_line(error):
    return (str(error).strip().splitlines() or [type(error).__name__])[0][:300]
