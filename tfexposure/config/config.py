"""`Config`: everything that determines a run, read, compared and checked."""

import dataclasses
import json

from tfexposure.config.checks import check_names, check_value
from tfexposure.config.devices import parse_devices
from tfexposure.config.sections import (
    SECTIONS,
    BlindLossConfig,
    CameraConfig,
    DataConfig,
    DiscriminatorConfig,
    GeneratorConfig,
    LossConfig,
    RestorerConfig,
    TrainConfig,
)
from tfexposure.errors import UserError

TASKS = ("paper", "blind")
BEST_METRICS = ("psnr", "ssim", "l1", "score")

# Fields that may differ when a run is resumed: they change how long it goes
# on, what it tells and where photos come through, not what is computed.
MAY_CHANGE = (
    "train.steps",
    "train.minutes",
    "train.threads",
    "train.devices",
    "train.profile",
    "train.peak_tflops",
    "train.log_every",
    "train.sample_every",
    "train.validate_every",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.keep_every_hours",
    "train.max_bad_steps",
    "data.cache",
    "data.service",
    "data.threads",
)

# Fields that workers of one run may have different values of.
_OF_A_MACHINE = (
    "data.source",
    "data.validation_source",
    "data.threads",
    "train.devices",
    "train.threads",
)

# Fields and sections that runs of earlier versions lack; their defaults say
# what those did.
_ADDED = (
    "data.pairs",
    "data.pair_share",
    "data.validation_split",
    "restorer.hypotheses",
    "blind_loss.surprise",
    "blind_loss.likelihood_power",
    "camera.metered",
    "camera.expanded",
    "camera.developed",
    "camera.slider",
    "camera.light_share",
    "camera.kept_share",
    "train.init",
    "train.discriminator_beta_1",
    "train.weight_decay",
    "train.warmup_steps",
    "train.decay_steps",
    "train.accumulate",
    "train.discriminator_learning_rate",
    "train.discriminator_steps",
    "train.step_every",
    "train.step_factor",
)
# Fields of earlier versions that mean nothing now.
_REMOVED = {"camera": ("glow",), "blind_loss": ("only_gate", "kind")}
_ADDED_SECTIONS = ("task", "restorer", "blind_loss", "camera")


@dataclasses.dataclass(frozen=True)
class Config:
    """Everything that determines a run."""

    task: str = "paper"
    data: DataConfig = DataConfig()
    generator: GeneratorConfig = GeneratorConfig()
    discriminator: DiscriminatorConfig = DiscriminatorConfig()
    loss: LossConfig = LossConfig()
    restorer: RestorerConfig = RestorerConfig()
    blind_loss: BlindLossConfig = BlindLossConfig()
    camera: CameraConfig = CameraConfig()
    train: TrainConfig = TrainConfig()

    def to_dict(self):
        """Returns the task and nested dicts of plain values."""
        return dataclasses.asdict(self)

    def flat(self):
        """Returns `{"task": ..., "train.steps": ...}`, one entry a field."""
        return {"task": self.task} | {
            path: value for path, _, value in _fields(self)
        }

    def shared(self):
        """Returns, as text, what all workers of a run must agree upon."""
        values = self.flat()
        return repr([values[k] for k in values if k not in _OF_A_MACHINE])

    def to_json(self):
        """Returns the config as JSON text."""
        return json.dumps(self.to_dict(), indent=2) + "\n"

    @classmethod
    def from_dict(cls, values):
        """Builds a config from nested dicts.

        Fields that runs of earlier versions lack may be missing.

        Raises:
            UserError: on a missing or an unknown field, named by its path.
        """
        _check_object("a config", values)
        known = {name: name in _ADDED_SECTIONS for name in ("task", *SECTIONS)}
        check_names("section", known, values)
        sections = {}
        for name, section in SECTIONS.items():
            if name not in values:
                continue
            _check_object(name, values[name])
            found = {
                key: value
                for key, value in values[name].items()
                if key not in _REMOVED.get(name, ())
            }
            fields = {
                field.name: f"{name}.{field.name}" in MAY_CHANGE + _ADDED
                for field in dataclasses.fields(section)
            }
            check_names(f"field of {name}", fields, found)
            sections[name] = section(
                **{
                    # JSON has no tuples.
                    key: tuple(value) if isinstance(value, list) else value
                    for key, value in found.items()
                }
            )
        if "task" in values:
            sections["task"] = values["task"]
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
        if self.task not in TASKS:
            raise UserError(
                f"task must be one of {list(TASKS)}, not {self.task!r}"
            )
        for path, field, value in _fields(self):
            check_value(path, field, value)
        data, train = self.data, self.train
        metric = train.best_metric.rsplit("/", 1)[-1]
        if metric not in BEST_METRICS:
            raise UserError(
                f"train.best_metric must end with one of {list(BEST_METRICS)}, "
                f"not {train.best_metric!r}"
            )
        parse_devices(train.devices)
        parse_steps(train.profile)
        if train.decay_steps == -1 and not train.minutes:
            raise UserError("train.decay_steps=-1 needs train.minutes")
        for name in ("tau", "jpeg_quality"):
            low, high = (
                getattr(data, f"{name}_{end}") for end in ("min", "max")
            )
            if low > high:
                raise UserError(
                    f"data.{name}_min <= data.{name}_max must hold, not {low} "
                    f"and {high}"
                )
        if self.task == "blind":
            self._check_blind()

    def _check_blind(self):
        crops, side = self.blind_loss.crops, self.data.crop_size
        if side % 16:
            raise UserError(
                "data.crop_size must be a multiple of 16 for task=blind, not "
                f"{side}"
            )
        if crops > self.train.global_batch_size:
            raise UserError(
                f"blind_loss.crops={crops} must be at most "
                f"train.global_batch_size={self.train.global_batch_size}"
            )
        if crops and self.blind_loss.crop_size > side:
            raise UserError(
                f"blind_loss.crop_size={self.blind_loss.crop_size} must be at "
                f"most data.crop_size={side}"
            )
        if (
            self.train.discriminator_steps > 1
            and not self.blind_loss.adversarial
        ):
            raise UserError(
                "train.discriminator_steps: there is no discriminator without "
                "blind_loss.adversarial"
            )
        for name, only in (("precision", "float32"), ("accumulate", 1)):
            value = getattr(self.train, name)
            if value != only:
                raise UserError(
                    f"train.{name} must be {only} for task=blind, not {value}"
                )
        if self.restorer.clip[0] >= self.restorer.clip[1]:
            raise UserError(
                f"restorer.clip must rise, not {self.restorer.clip}"
            )
        if self.restorer.lift >= self.restorer.clip[1]:
            raise UserError(
                f"restorer.lift={self.restorer.lift} must be below the end of "
                f"restorer.clip, {self.restorer.clip[1]}"
            )

    def differences(self, other):
        """Lists `path: mine, not theirs` for every field that differs."""
        theirs = other.flat()
        return [
            f"{path}: {value!r}, not {theirs[path]!r}"
            for path, value in self.flat().items()
            if value != theirs[path]
        ]


def parse_steps(text):
    """Reads a value of `train.profile`; returns first and last step, or None.

    Raises:
        UserError: for other text.
    """
    if not text:
        return None
    first, _, last = text.partition(":")
    if not (first.isdecimal() and last.isdecimal() and int(first) < int(last)):
        raise UserError(f"train.profile must be such as 10:20, not {text!r}")
    return int(first), int(last)


def _check_object(name, values):
    if not isinstance(values, dict):
        raise UserError(f"{name} must be a JSON object, not {values!r}")


def _fields(config):
    for name in SECTIONS:
        section = getattr(config, name)
        for field in dataclasses.fields(section):
            yield f"{name}.{field.name}", field, getattr(section, field.name)
