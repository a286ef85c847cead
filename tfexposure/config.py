"""One frozen description of a run, and the paths of its folder.

A `Config` comes from flags (`config_flags`), is written to the run's folder
before the first step, is read back by the exports and travels inside them.
Field names of `generator` and `discriminator` are those of the constructors.
`restorer`, `blind_loss` and `camera` are for the task `blind` alone,
`generator` and `loss` for `paper`.
"""

import dataclasses
import difflib
import json
import math
from pathlib import Path

from tfexposure.errors import UserError
from tfexposure.imaging.clipping import MASK_RAMP
from tfexposure.storage import write_atomically


def _field(default, help, choices=None):
    return dataclasses.field(
        default=default, metadata={"help": help, "choices": choices}
    )


@dataclasses.dataclass(frozen=True)
class DataConfig:
    """Where photos come from and how they are overexposed."""

    source: str = _field(
        "",
        "Folder of photos, manifest.jsonl of `curate`, .npz of `pack_photos`, "
        "tfrecord:<folder>, or tfds:<name>.",
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
    threads: int = _field(
        0, "Threads that make batches of packed photos; 0: one per core."
    )


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
class RestorerConfig:
    """The blind model; see `BlindRestorer`."""

    clip: tuple = _field(
        MASK_RAMP, "Values between which a channel goes over to clipped."
    )
    lift: float = _field(
        0.7,
        "Value from which all channels may be lifted locally; the start of "
        "`clip`: none below.",
    )
    stops: float = _field(
        0.0, "Known overexposure of every photo, log2 of 1 / tau; 0: unknown."
    )
    dropout: float = _field(0.3, "Share of the whole photo's features dropped.")
    encoder_widths: tuple = _field(
        (24, 32, 48, 64, 96), "Widths of the whole-photo branch."
    )
    embedding_size: int = _field(64, "Numbers that branch tells the local one.")
    unet_widths: tuple = _field(
        (24, 48, 64, 96, 96), "Widths of the local network."
    )


@dataclasses.dataclass(frozen=True)
class BlindLossConfig:
    """Weights of the blind model's terms, and what is cut out for them."""

    crops: int = _field(
        8,
        "Crops per step for the local network, from the most clipped photos; "
        "0: the tone curve trains alone.",
    )
    crop_size: int = _field(128, "Side of those crops, in pixels.")
    only_gate: bool = _field(
        False, "Trains nothing but the gate that tells who took the photo."
    )
    curve: float = _field(2.0, "L1 of the tone curve where nothing is clipped.")
    shape: float = _field(4.0, "The same after the best gain per photo.")
    kind: float = _field(0.1, "Cross-entropy of the gate.")
    curve_log: float = _field(0.0, "Logarithm of the curve's square error.")
    shape_log: float = _field(0.0, "The same after the best gain.")
    filled: float = _field(0.1, "L1 of clipped areas.")
    filled_gain: float = _field(0.2, "The same without the curve's wrong gain.")
    filled_root: float = _field(1.5, "Root of the mean square error per crop.")
    chroma: float = _field(0.3, "L1 of colour differences in clipped areas.")
    gradient: float = _field(0.8, "L1 of differences between neighbours.")
    border: float = _field(1.0, "The same across the border of a clip alone.")
    distribution: float = _field(0.3, "L1 of the sorted luminances.")
    highlight: float = _field(0.1, "Extra weight of what is too dark.")
    adversarial: float = _field(
        0.0, "Eq. (8) by a discriminator of the crops; 0: there is none."
    )
    perceptual: float = _field(
        0.0, "Eq. (5) of the crops; VGG-19 is that of loss.vgg19_weights."
    )


@dataclasses.dataclass(frozen=True)
class CameraConfig:
    """Which cameras and exposures the blind model learns from."""

    tau_min: float = _field(
        0.12,
        "All but camera photos: least share of light that becomes white, "
        "drawn log-uniformly in [tau_min, 1].",
    )
    tau_uniform: bool = _field(False, "Draws it uniformly there instead.")
    tau_fixed: float = _field(0.0, "If positive, every photo's tau.")
    untouched: float = _field(0.15, "Share of photos with tau 1.")
    gamma_share: float = _field(
        0.45, "Share of photos taken through the power law of 2.2."
    )
    srgb_share: float = _field(
        0.05, "The same for the sRGB curve; the rest are camera photos."
    )
    lit: float = _field(
        0.35, "Camera photos: share whose highlights are lifted to white first."
    )
    glow: float = _field(
        0.35, "Camera photos: share that a light is put into or beside first."
    )
    noise: float = _field(
        0.008, "Greatest deviation of sensor noise, in display values."
    )
    jpeg_share: float = _field(0.8, "Share of photos saved as JPEG once.")
    jpeg_quality: tuple = _field((70, 98), "Least and greatest JPEG quality.")
    stops: tuple = _field(
        (0.4, 3.5), "Camera photos: least and greatest overexposure."
    )
    target_mean: tuple = _field(
        (0.42, 0.06),
        "Camera photos: mean and deviation of the target's mean value.",
    )
    exposed_mean: tuple = _field(
        (0.65, 0.076), "The same of the overexposed photo, within `stops`."
    )
    follow: float = _field(
        0.6, "Camera photos: how far that mean follows the target's."
    )
    knee: tuple = _field(
        (0.05, 0.45), "Camera photos: least and greatest knee of the response."
    )
    balance: float = _field(
        0.15, "Camera photos: deviation of the log2 gain of red and blue."
    )
    saturation: tuple = _field(
        (0.4, 1.0), "Camera photos: least and greatest factor of colours."
    )
    contrast: float = _field(
        0.8, "Camera photos: share whose contrast is raised first."
    )


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The optimisation and its bookkeeping; intervals are in steps."""

    steps: int = _field(100_000, "Training ends after this many steps.")
    minutes: float = _field(
        0.0,
        "Training ends, saved and validated, after this wall time from the "
        "start of the process; 0: no limit.",
    )
    init: str = _field(
        "",
        "Weights to begin with: a shipped model's name, .npz of named "
        "weights, or .weights.h5.",
    )
    global_batch_size: int = _field(16, "Photos per step, all replicas.")
    learning_rate: float = _field(2e-4, "Of all Adam optimisers.")
    beta_1: float = _field(0.5, "Of the trained model's Adam.")
    discriminator_beta_1: float = _field(0.5, "Of the discriminator's Adam.")
    weight_decay: float = _field(
        0.0, "Decoupled weight decay (AdamW) of the trained model."
    )
    schedule: str = _field(
        "constant",
        "Course of the learning rate; linear and cosine fall to 0 over the "
        "second half of the steps, warm_cosine rises over `warmup_steps` and "
        "falls to a hundredth over all others.",
        ("constant", "linear", "cosine", "warm_cosine"),
    )
    warmup_steps: int = _field(300, "Of schedule=warm_cosine.")
    decay_steps: int = _field(
        0,
        "Steps over which the schedule runs; 0: those of train.steps when the "
        "run began; -1: as many as `minutes` allow by the pace of its first "
        "minute.",
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
    threads: int = _field(0, "CPU threads of TensorFlow; 0: all cores.")
    peak_tflops: float = _field(
        0.0, "The device's peak, for the printed share (JAX); 0: none."
    )
    steps_per_call: int = _field(1, "Steps per call of the compiled function.")
    seed: int = _field(0, "Of weights, data and noise.")
    deterministic: bool = _field(
        False, "Bit-reproducible operations, slower on some devices."
    )
    log_every: int = _field(50, "Progress line and scalars.")
    sample_every: int = _field(1000, "Image grids.")
    validate_every: int = _field(5000, "Metrics on the validation photos.")
    best_metric: str = _field(
        "psnr",
        "Metric of `best/`: psnr, ssim, l1 or score, the mean PSNR of whole "
        "photos, of clipped areas, and after the best gain; of one of several "
        "validation sets as <set>/psnr.",
    )
    checkpoint_every: int = _field(1000, "Checkpoints.")
    keep_checkpoints: int = _field(3, "Number of newest ones kept.")
    max_bad_steps: int = _field(
        10,
        "Steps in a row with NaN or Inf, each of them undone, that end the "
        "run.",
    )


TASKS = ("paper", "blind")
BEST_METRICS = ("psnr", "ssim", "l1", "score")

SECTIONS = {
    "data": DataConfig,
    "generator": GeneratorConfig,
    "discriminator": DiscriminatorConfig,
    "loss": LossConfig,
    "restorer": RestorerConfig,
    "blind_loss": BlindLossConfig,
    "camera": CameraConfig,
    "train": TrainConfig,
}

# Fields that may differ when a run is resumed: they change how long it goes
# on, what it tells and where photos come through, not what is computed.
MAY_CHANGE = (
    "train.steps",
    "train.minutes",
    "train.threads",
    "train.peak_tflops",
    "train.log_every",
    "train.sample_every",
    "train.validate_every",
    "train.checkpoint_every",
    "train.keep_checkpoints",
    "train.max_bad_steps",
    "data.cache",
    "data.service",
    "data.threads",
)

# Fields and sections that runs of earlier versions lack; their defaults say
# what those did.
_ADDED = (
    "train.init",
    "train.discriminator_beta_1",
    "train.weight_decay",
    "train.warmup_steps",
    "train.decay_steps",
)
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
        known = {name: name in _ADDED_SECTIONS for name in ("task", *SECTIONS)}
        _compare("section", known, values)
        sections = {}
        for name, section in SECTIONS.items():
            if name not in values:
                continue
            fields = {
                field.name: f"{name}.{field.name}" in MAY_CHANGE + _ADDED
                for field in dataclasses.fields(section)
            }
            _compare(f"field of {name}", fields, values[name])
            sections[name] = section(
                **{
                    # JSON has no tuples.
                    key: tuple(value) if isinstance(value, list) else value
                    for key, value in values[name].items()
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
            _check_value(path, field, value)
        data, train = self.data, self.train
        for path, value, low in (
            ("data.crop_size", data.crop_size, 1),
            ("data.resize_max", data.resize_max, 1),
            ("data.max_unreadable", data.max_unreadable, 0),
            ("generator.filters", self.generator.filters, 1),
            ("discriminator.filters", self.discriminator.filters, 1),
            ("loss.content_weight", self.loss.content_weight, 0),
            ("loss.perceptual_weight", self.loss.perceptual_weight, 0),
            ("data.threads", data.threads, 0),
            ("restorer.stops", self.restorer.stops, 0),
            ("blind_loss.crops", self.blind_loss.crops, 0),
            ("blind_loss.crop_size", self.blind_loss.crop_size, 1),
            ("train.steps", train.steps, 1),
            ("train.minutes", train.minutes, 0),
            ("train.threads", train.threads, 0),
            ("train.peak_tflops", train.peak_tflops, 0),
            ("train.weight_decay", train.weight_decay, 0),
            ("train.warmup_steps", train.warmup_steps, 0),
            ("train.decay_steps", train.decay_steps, -1),
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
        metric = train.best_metric.rsplit("/", 1)[-1]
        if metric not in BEST_METRICS:
            raise UserError(
                f"train.best_metric must end with one of {list(BEST_METRICS)}, "
                f"not {train.best_metric!r}"
            )
        if train.decay_steps == -1 and not train.minutes:
            raise UserError("train.decay_steps=-1 needs train.minutes")
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
        if self.blind_loss.only_gate and self.restorer.stops:
            raise UserError(
                "blind_loss.only_gate: with restorer.stops there is no gate"
            )
        if self.train.precision != "float32":
            raise UserError(
                "train.precision must be float32 for task=blind, not "
                f"{self.train.precision}"
            )
        if not 0 <= self.restorer.clip[0] < self.restorer.clip[1] <= 1:
            raise UserError(
                "restorer.clip must rise within [0, 1], not "
                f"{self.restorer.clip}"
            )

    def differences(self, other):
        """Lists `path: mine, not theirs` for every field that differs."""
        theirs = other.flat()
        return [
            f"{path}: {value!r}, not {theirs[path]!r}"
            for path, value in self.flat().items()
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


def _check_value(path, field, value):
    """Raises UserError if a field's value is of the wrong type."""
    choices = field.metadata["choices"]
    if choices and value not in choices:
        raise UserError(f"{path} must be one of {list(choices)}, not {value!r}")
    if field.type is tuple:
        pair = len(field.default) == 2
        numbers = isinstance(value, tuple) and all(map(_is_number, value))
        if not numbers or not value or (pair and len(value) != 2):
            count = "two numbers" if pair else "numbers"
            raise UserError(f"{path} must be {count}, not {value!r}")
        return
    accepted = (
        _is_number(value)
        if field.type is float
        else (type(value) is field.type)
    )
    if not accepted:
        raise UserError(f"{path} must be {field.type.__name__}, not {value!r}")


def _is_number(value):
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


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
