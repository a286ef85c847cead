"""One frozen description of a run, and the paths of its folder.

A `Config` comes from flags (`config_flags`), is written to the run's folder
before the first step, is read back by the exports and travels inside them.
Field names of `generator` and `discriminator` are those of the constructors.
"""

import dataclasses
import difflib
import json
from pathlib import Path

from tfexposure.errors import UserError
from tfexposure.storage import write_atomically


def _field(default, help, choices=None):
    return dataclasses.field(
        default=default, metadata={"help": help, "choices": choices}
    )


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where photos come from and how they are overexposed."""

    source: str = _field(
        "", "Folder of photos, manifest.jsonl of `curate`, or tfds:<name>."
    )
    validation_source: str = _field(
        "", "The same for validation; empty: none is done."
    )
    split: str = _field("train", "Split of a tfds: source.")
    crop_size: int = _field(256, "Side of training crops, in pixels.")
    resize_max: float = _field(
        1.3,
        "A photo's short side is resized to between 1 and this many crop "
        "sizes, at random.",
    )
    flip: bool = _field(True, "Mirror half of the crops, left to right.")
    tau_min: float = _field(0.5, "Least share of light kept, in (0, 1].")
    tau_max: float = _field(0.5, "Greatest share of light kept, in (0, 1].")
    response: str = _field(
        "gamma", "Response curve of the camera.", ("gamma", "srgb")
    )
    jpeg_quality_min: int = _field(
        0, "Least JPEG quality of the overexposed photo; 0: no compression."
    )
    jpeg_quality_max: int = _field(0, "Greatest JPEG quality, up to 100.")
    max_unreadable: int = _field(
        10, "More unreadable photos than this are an error."
    )
    cache: str = _field(
        "none",
        "Whether photo files are kept in memory, undecoded, once they were "
        "read.",
        ("none", "memory"),
    )
    service: str = _field("", "Address of a tf.data service dispatcher.")


@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """Arguments of `UNetGenerator`."""

    filters: int = _field(64, "Width of the first level.")
    field_of_view: int = _field(
        140, "Of the encoder, in pixels.", (47, 70, 140)
    )
    noise: str = _field(
        "all", "Where noise is injected.", ("none", "decoder", "all")
    )
    norm: str = _field("batch", "Normalisation.", ("batch", "instance", "none"))
    skip: str = _field("concat", "How links join.", ("concat", "add"))
    upsampling: str = _field(
        "transpose", "How the decoder grows.", ("transpose", "resize")
    )
    spectral_normalization: bool = _field(True, "On all convolutions.")


@dataclasses.dataclass(frozen=True)
class DiscriminatorConfig:
    """Arguments of `PatchDiscriminator`."""

    filters: int = _field(64, "Width of the first layer.")
    field_of_view: int = _field(70, "Of one logit, in pixels.", (70, 94, 140))
    norm: str = _field("batch", "Normalisation.", ("batch", "instance", "none"))
    spectral_normalization: bool = _field(True, "On all convolutions.")


@dataclasses.dataclass(frozen=True)
class LossConfig:
    """The objective, eqs. (4) to (9)."""

    adversarial: str = _field(
        "least_squares",
        "Adversarial loss.",
        ("least_squares", "minimax", "non_saturating"),
    )
    content_weight: float = _field(
        50.0, "lambda_c of eq. (9), on the mean L1 of images in [0, 1]."
    )
    perceptual_weight: float = _field(
        100.0, "lambda_p of eq. (9); 0 leaves VGG-19 out altogether."
    )
    perceptual_norm: str = _field(
        "full",
        "Feature maps: mean over positions and sum (literal, as eq. (5) "
        "states) or mean (full) over channels.",
        ("literal", "full"),
    )
    vgg19_weights: str = _field(
        "imagenet", "imagenet (downloaded), a .h5 or .npz file, or random."
    )


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The optimisation and its bookkeeping; intervals are in steps."""

    steps: int = _field(100_000, "Training ends after this many steps.")
    global_batch_size: int = _field(16, "Photos per step, all replicas.")
    learning_rate: float = _field(2e-4, "Of both Adam optimisers.")
    beta_1: float = _field(0.5, "Of both Adam optimisers.")
    schedule: str = _field(
        "constant",
        "Course of the learning rate; linear and cosine fall to 0 over the "
        "second half of the steps.",
        ("constant", "linear", "cosine"),
    )
    clip_norm: float = _field(
        0.0, "Greatest global norm of a network's gradients; 0: no clipping."
    )
    ema: float = _field(
        0.999, "Momentum of the generator's averaged weights; 0: none."
    )
    precision: str = _field(
        "float32",
        "Of activations; weights stay float32.",
        ("float32", "bfloat16", "float16"),
    )
    jit_compile: bool = _field(False, "Compile the step with XLA.")
    steps_per_call: int = _field(1, "Steps per call of the compiled function.")
    seed: int = _field(0, "Of weights, data and noise.")
    deterministic: bool = _field(
        False, "Bit-reproducible operations, slower on some devices."
    )
    log_every: int = _field(50, "Progress line and scalars.")
    sample_every: int = _field(1000, "Image grids.")
    validate_every: int = _field(5000, "Metrics on the validation photos.")
    best_metric: str = _field(
        "psnr", "Metric of `best/`.", ("psnr", "ssim", "l1")
    )
    checkpoint_every: int = _field(1000, "Checkpoints.")
    keep_checkpoints: int = _field(3, "Number of newest ones kept.")
    max_bad_steps: int = _field(
        10,
        "Steps in a row with NaN or Inf, each of them undone, that end the "
        "run.",
    )


SECTIONS = {
    "data": DataConfig,
    "generator": GeneratorConfig,
    "discriminator": DiscriminatorConfig,
    "loss": LossConfig,
    "train": TrainConfig,
}

# Fields that may differ when a run is resumed: they change how long it goes
# on, what it tells and where photos come through, not what is computed.
MAY_CHANGE = (
    "train.steps",
    "train.log_every",
    "train.sample_every",
    "train.validate_every",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.max_bad_steps",
    "data.cache",
    "data.service",
)


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that determines a run."""

    data: DataConfig = DataConfig()
    generator: GeneratorConfig = GeneratorConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    loss: LossConfig = LossConfig()
    train: TrainConfig = TrainConfig()

    def to_dict(self):
        """Returns nested dicts of plain values."""
        return dataclasses.asdict(self)

    def to_json(self):
        """Returns the config as JSON text."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @classmethod
    def from_dict(cls, values):
        """Builds a config from nested dicts.

        Fields of `MAY_CHANGE` may be missing, as in runs of earlier versions.

        Raises:
            UserError: on a missing or an unknown field, named by its path.
        """
        _compare("section", dict.fromkeys(SECTIONS), values)
        sections = {}
        for name, section in SECTIONS.items():
            fields = {
                field.name: f"{name}.{field.name}" in MAY_CHANGE
                for field in dataclasses.fields(section)
            }
            _compare(f"field of {name}", fields, values[name])
            sections[name] = section(**values[name])
        return cls(**sections)

    @classmethod
    def from_json(cls, text):
        """Builds a config from `to_json`'s text."""
        try:
            values = json.loads(text)
        except ValueError as error:
            raise UserError(f"not a config: {error}") from error
        return cls.from_dict(values)

    def validate(self):
        """Raises UserError if a value is of the wrong type or range."""
        for path, field, value in _fields(self):
            choices = field.metadata["choices"]
            if choices and value not in choices:
                raise UserError(
                    f"{path} must be one of {list(choices)}, not {value!r}"
                )
            kind = float if field.type is float else field.type
            accepted = (int, float) if kind is float else (kind,)
            if not isinstance(value, accepted) or (
                isinstance(value, bool) and kind is not bool
            ):
                raise UserError(
                    f"{path} must be {kind.__name__}, not {value!r}"
                )
        data, train = self.data, self.train
        for path, value, low in (
            ("data.crop_size", data.crop_size, 1),
            ("data.resize_max", data.resize_max, 1),
            ("data.max_unreadable", data.max_unreadable, 0),
            ("generator.filters", self.generator.filters, 1),
            ("discriminator.filters", self.discriminator.filters, 1),
            ("loss.content_weight", self.loss.content_weight, 0),
            ("loss.perceptual_weight", self.loss.perceptual_weight, 0),
            ("train.steps", train.steps, 1),
            ("train.global_batch_size", train.global_batch_size, 1),
            ("train.log_every", train.log_every, 1),
            ("train.sample_every", train.sample_every, 1),
            ("train.validate_every", train.validate_every, 1),
            ("train.checkpoint_every", train.checkpoint_every, 1),
            ("train.steps_per_call", train.steps_per_call, 1),
            ("train.clip_norm", train.clip_norm, 0),
            ("train.ema", train.ema, 0),
            ("train.max_bad_steps", train.max_bad_steps, 1),
            ("train.keep_checkpoints", train.keep_checkpoints, 1),
        ):
            if value < low:
                raise UserError(f"{path} must be at least {low}, not {value}")
        if train.learning_rate <= 0:
            raise UserError(
                f"train.learning_rate must be positive, not "
                f"{train.learning_rate}"
            )
        if not 0 < data.tau_min <= data.tau_max <= 1:
            raise UserError(
                "0 < data.tau_min <= data.tau_max <= 1 must hold, not "
                f"{data.tau_min} and {data.tau_max}"
            )
        if not 0 <= data.jpeg_quality_min <= data.jpeg_quality_max <= 100:
            raise UserError(
                "0 <= data.jpeg_quality_min <= data.jpeg_quality_max <= 100 "
                f"must hold, not {data.jpeg_quality_min} and "
                f"{data.jpeg_quality_max}"
            )

    def differences(self, other):
        """Lists `path: mine, not theirs` for every field that differs."""
        theirs = {path: value for path, _, value in _fields(other)}
        return [
            f"{path}: {value!r}, not {theirs[path]!r}"
            for path, _, value in _fields(self)
            if value != theirs[path]
        ]


class RunDir:
    """The paths inside one run's folder.

    Args:
        path: the folder; it need not exist yet.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.config_path = self.path / "config.json"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best"
        self.logs = self.path / "logs"
        self.samples = self.path / "samples"
        self.exports = self.path / "exports"

    def read_config(self):
        """Returns the run's config.

        Raises:
            UserError: if the folder holds no run, or not a readable one.
        """
        try:
            text = self.config_path.read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"{self.path} is not the folder of a run: no config.json "
                f"({error.strerror})"
            ) from error
        try:
            return Config.from_json(text)
        except UserError as error:
            raise UserError(f"{self.config_path}: {error}") from error

    def write_config(self, config):
        """Writes the config, or checks it against the one already there.

        Raises:
            UserError: if the run was begun with other values of anything that
                would change what it computes.
        """
        if self.config_path.exists():
            before = self.read_config()
            changed = [
                line
                for line in config.differences(before)
                if line.split(":")[0] not in MAY_CHANGE
            ]
            if changed:
                raise UserError(
                    f"{self.path} holds a run with another configuration. "
                    "Asked for " + "; ".join(changed) + ". Name another "
                    "--run_dir, or repeat its flags to resume it."
                )
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.config_path, config.to_json())


def _fields(config):
    for name in SECTIONS:
        section = getattr(config, name)
        for field in dataclasses.fields(section):
            yield f"{name}.{field.name}", field, getattr(section, field.name)


def _compare(kind, known, given):
    """Compares names; `known` maps each to whether it may be missing."""
    for name in given:
        if name not in known:
            close = difflib.get_close_matches(name, known, 1)
            hint = f" (did you mean {close[0]!r}?)" if close else ""
            raise UserError(f"unknown {kind}: {name!r}{hint}")
    missing = [
        name
        for name, optional in known.items()
        if not optional and name not in given
    ]
    if missing:
        raise UserError(f"missing {kind}: {', '.join(map(repr, missing))}")
