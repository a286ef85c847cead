"""The sections of a configuration: every setting, its default and its limits.

Field names of `generator` and `discriminator` are those of the constructors.
`restorer`, `blind_loss` and `camera` are for the task `blind` alone,
`generator` and `loss` for `paper`.
"""

import dataclasses

from tfexposure.imaging.clipping import MASK_RAMP


def _field(default, help, choices=None, rising=False, **limits):
    """Returns a field with what is known of its values.

    Args:
        default: its value; tells the type, and of tuples how many there are.
        help: one sentence.
        choices: all values it may have.
        rising: whether the first of two numbers may not be the greater.
        **limits: `least`, `most`, `above` or `below`, of each number.
    """
    return dataclasses.field(
        default=default,
        metadata={
            "help": help,
            "choices": choices,
            "rising": rising,
            "limits": limits,
        },
    )


def _share(default, help):
    return _field(default, help, least=0, most=1)


def _weight(default, help):
    return _field(default, help, least=0)


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
    validation_split: str = _field(
        "validation", "Split of a tfds: validation_source."
    )
    crop_size: int = _field(256, "Side of training crops, in pixels.", least=1)
    resize_max: float = _field(
        1.3,
        "A photo's short side is resized to between 1 and this many crop "
        "sizes, at random.",
        least=1,
    )
    flip: bool = _field(True, "Mirror half of the crops, left to right.")
    tau_min: float = _field(
        0.5, "Least share of light kept, in (0, 1].", above=0, most=1
    )
    tau_max: float = _field(
        0.5, "Greatest share of light kept, in (0, 1].", above=0, most=1
    )
    response: str = _field(
        "gamma", "Response curve of the camera.", ("gamma", "srgb")
    )
    jpeg_quality_min: int = _field(
        0,
        "Least JPEG quality of the overexposed photo; 0: no compression.",
        least=0,
        most=100,
    )
    jpeg_quality_max: int = _field(
        0, "Greatest JPEG quality, up to 100.", least=0, most=100
    )
    max_unreadable: int = _field(
        10, "More unreadable photos than this are an error.", least=0
    )
    cache: str = _field(
        "none",
        "Whether photo files are kept in memory, undecoded, once they were "
        "read.",
        ("none", "memory"),
    )
    service: str = _field("", "Address of a tf.data service dispatcher.")
    pairs: str = _field(
        "",
        "Real pairs to train on, aligned: a folder with pairs.csv, or a packed "
        "file with train_over and train_reference; photos then lie in memory.",
    )
    pair_share: float = _share(
        0.1, "Share of them in the stream; the rest is simulated."
    )
    threads: int = _field(
        0,
        "Threads that make batches of packed photos; 0: one per core.",
        least=0,
    )


@dataclasses.dataclass(frozen=True)
class GeneratorConfig:
    """Arguments of `UNetGenerator`."""

    filters: int = _field(64, "Width of the first level.", least=1)
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

    filters: int = _field(64, "Width of the first layer.", least=1)
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
        50.0,
        "lambda_c of eq. (9), on the mean L1 of images in [0, 1].",
        least=0,
    )
    perceptual_weight: float = _field(
        100.0, "lambda_p of eq. (9); 0 leaves VGG-19 out altogether.", least=0
    )
    perceptual_norm: str = _field(
        "full",
        "Feature maps: mean over positions and sum (literal, as eq. (5) "
        "states) or mean (full) over channels, or that with factors that give "
        "the maps about the same share (equal).",
        ("literal", "full", "equal"),
    )
    vgg19_weights: str = _field(
        "imagenet", "imagenet (downloaded), a .h5 or .npz file, or random."
    )


@dataclasses.dataclass(frozen=True)
class RestorerConfig:
    """The blind model; see `BlindRestorer`."""

    clip: tuple = _field(
        MASK_RAMP,
        "Values between which a channel goes over to clipped.",
        least=0,
        most=1,
    )
    lift: float = _field(
        0.7,
        "Value from which all channels may be lifted locally; the start of "
        "`clip`: none below.",
        least=0,
        most=1,
    )
    stops: float = _field(
        0.0,
        "Known overexposure of every photo, log2 of 1 / tau; 0: unknown.",
        least=0,
    )
    dropout: float = _field(
        0.3, "Share of the whole photo's features dropped.", least=0, below=1
    )
    encoder_widths: tuple = _field(
        (24, 32, 48, 64, 96), "Widths of the whole-photo branch.", least=1
    )
    embedding_size: int = _field(
        96, "Numbers that branch tells the local one.", least=1
    )
    unet_widths: tuple = _field(
        (24, 48, 64, 96, 96), "Widths of the local network.", least=1
    )
    hypotheses: int = _field(
        8,
        "Tone curves of the distribution over exposures, beside the identity.",
        least=1,
    )


@dataclasses.dataclass(frozen=True)
class BlindLossConfig:
    """Weights of the blind model's terms, and what is cut out for them."""

    crops: int = _field(
        8,
        "Crops per step for the local network, from the most clipped photos; "
        "0: the tone curve trains alone.",
        least=0,
    )
    crop_size: int = _field(128, "Side of those crops, in pixels.", least=1)
    curve: float = _weight(
        2.0, "L1 of the tone curve where nothing is clipped."
    )
    shape: float = _weight(4.0, "The same after the best gain per photo.")
    surprise: float = _weight(
        0.2, "Negative log likelihood under the distribution of curves."
    )
    likelihood_power: float = _weight(
        1.5, "Power of a curve's square error in that likelihood."
    )
    curve_log: float = _weight(0.0, "Logarithm of the curve's square error.")
    shape_log: float = _weight(0.0, "The same after the best gain.")
    filled: float = _weight(0.1, "L1 of clipped areas.")
    filled_gain: float = _weight(
        0.2, "The same without the curve's wrong gain."
    )
    filled_root: float = _weight(1.5, "Root of the mean square error per crop.")
    chroma: float = _weight(0.3, "L1 of colour differences in clipped areas.")
    gradient: float = _weight(0.8, "L1 of differences between neighbours.")
    border: float = _weight(1.0, "The same across the border of a clip alone.")
    distribution: float = _weight(0.3, "L1 of the sorted luminances.")
    highlight: float = _weight(0.1, "Extra weight of what is too dark.")
    adversarial: float = _weight(
        0.0, "Eq. (8) by a discriminator of the crops; 0: there is none."
    )
    perceptual: float = _weight(
        0.0, "Eq. (5) of the crops; VGG-19 is that of loss.vgg19_weights."
    )


@dataclasses.dataclass(frozen=True)
class CameraConfig:
    """Which cameras and exposures the blind model learns from."""

    tau_min: float = _field(
        0.12,
        "All but camera photos: least share of light that becomes white, "
        "drawn log-uniformly in [tau_min, 1].",
        above=0,
        most=1,
    )
    tau_uniform: bool = _field(False, "Draws it uniformly there instead.")
    tau_fixed: float = _share(0.0, "If positive, every photo's tau.")
    untouched: float = _share(0.15, "Share of photos with tau 1.")
    gamma_share: float = _share(
        0.45, "Share of photos taken through the power law of 2.2."
    )
    srgb_share: float = _share(
        0.05, "The same for the sRGB curve; the rest are camera photos."
    )
    lit: float = _share(
        0.35, "Camera photos: share whose highlights are lifted to white first."
    )
    noise: float = _weight(
        0.008, "Greatest deviation of sensor noise, in display values."
    )
    jpeg_share: float = _share(0.8, "Share of photos saved as JPEG once.")
    jpeg_quality: tuple = _field(
        (70, 98),
        "Least and greatest JPEG quality.",
        rising=True,
        least=1,
        most=100,
    )
    stops: tuple = _field(
        (0.4, 3.5),
        "Camera photos: least and greatest overexposure.",
        rising=True,
        least=0,
    )
    target_mean: tuple = _field(
        (0.42, 0.06),
        "Camera photos: mean and deviation of the target's mean value.",
        least=0,
        most=1,
    )
    exposed_mean: tuple = _field(
        (0.65, 0.076),
        "The same of the overexposed photo, within `stops`.",
        least=0,
        most=1,
    )
    follow: float = _share(
        0.6, "Camera photos: how far that mean follows the target's."
    )
    knee: tuple = _field(
        (0.05, 0.45),
        "Camera photos: least and greatest knee of the response.",
        rising=True,
        above=0,
    )
    balance: float = _weight(
        0.15, "Camera photos: deviation of the log2 gain of red and blue."
    )
    saturation: tuple = _field(
        (0.4, 1.0),
        "Camera photos: least and greatest factor of colours.",
        rising=True,
        least=0,
    )
    contrast: float = _share(
        0.8, "Camera photos: share whose contrast is raised first."
    )
    metered: float = _share(
        1.0,
        "Camera photos: share exposed for `exposed_mean`; the others by any of "
        "`stops`.",
    )
    expanded: float = _share(
        0.0,
        "Camera photos that are finished ones: share whose whites are given "
        "light above white first.",
    )
    developed: float = _share(
        0.0,
        "Camera photos: share made by the exposure slider of a raw developer "
        "instead; the target is a finished photo.",
    )
    slider: tuple = _field(
        (0.4, 2.25), "Its least and greatest stops.", rising=True, least=0
    )
    light_share: float = _share(
        0.0, "Share of photos of the group `light`, with light above white."
    )
    kept_share: float = _share(
        0.0, "Share of photos of the group `kept`, to be left as they are."
    )


@dataclasses.dataclass(frozen=True)
class TrainConfig:
    """The optimisation and its bookkeeping; intervals are in steps."""

    steps: int = _field(
        100_000,
        "Training ends after this many steps.",
        least=1,
        most=2**31 - 1,
    )
    minutes: float = _field(
        0.0,
        "Training ends, saved and validated, after this wall time from the "
        "start of the process; 0: no limit.",
        least=0,
    )
    init: str = _field(
        "",
        "Weights to begin with: a shipped model's name, .npz of named "
        "weights, or .weights.h5.",
    )
    global_batch_size: int = _field(
        16, "Photos per step, all replicas.", least=1
    )
    accumulate: int = _field(
        1,
        "Parts that a step's photos are taken in, one after the other, whose "
        "gradients are averaged: less memory. For task=paper.",
        least=1,
    )
    learning_rate: float = _field(2e-4, "Of all Adam optimisers.", above=0)
    discriminator_learning_rate: float = _field(
        0.0, "Of the discriminator's Adam; 0: learning_rate.", least=0
    )
    discriminator_steps: int = _field(
        1,
        "Steps of the discriminator per step of the trained model, which waits "
        "for the last of them.",
        least=1,
    )
    beta_1: float = _field(
        0.5, "Of the trained model's Adam.", least=0, below=1
    )
    discriminator_beta_1: float = _field(
        0.5, "Of the discriminator's Adam.", least=0, below=1
    )
    weight_decay: float = _field(
        0.0, "Decoupled weight decay (AdamW) of the trained model.", least=0
    )
    schedule: str = _field(
        "constant",
        "Course of the learning rate; linear and cosine fall to 0 over the "
        "second half of the steps, warm_cosine rises over `warmup_steps` and "
        "falls to a hundredth over all others, step falls to `step_factor` of "
        "itself after every `step_every` steps.",
        ("constant", "linear", "cosine", "warm_cosine", "step"),
    )
    step_every: int = _field(10_000, "Of schedule=step.", least=1)
    step_factor: float = _field(0.5, "Of schedule=step.", above=0, most=1)
    warmup_steps: int = _field(300, "Of schedule=warm_cosine.", least=0)
    decay_steps: int = _field(
        0,
        "Steps over which the schedule runs; 0: those of train.steps when the "
        "run began; -1: as many as `minutes` allow by the pace of its first "
        "minute.",
        least=-1,
    )
    clip_norm: float = _field(
        0.0,
        "Greatest global norm of a network's gradients; 0: no clipping.",
        least=0,
    )
    ema: float = _field(
        0.999,
        "Momentum of the generator's averaged weights; 0: none.",
        least=0,
        below=1,
    )
    precision: str = _field(
        "float32",
        "Of convolutions; weights, statistics, losses and averages stay "
        "float32.",
        ("float32", "bfloat16", "float16"),
    )
    jit_compile: bool = _field(False, "Compile the step with XLA.")
    devices: str = _field(
        "all",
        "Devices to train on: all GPUs, or the processor where there are none; "
        "gpu:0,1 by number; cpu:2 for so many parts of the processor.",
    )
    profile: str = _field(
        "", "Steps whose profile is written for TensorBoard, as 10:20."
    )
    threads: int = _field(
        0, "CPU threads of TensorFlow; 0: all cores.", least=0
    )
    peak_tflops: float = _field(
        0.0, "The device's peak, for the printed share (JAX); 0: none.", least=0
    )
    steps_per_call: int = _field(
        1, "Steps per call of the compiled function.", least=1
    )
    seed: int = _field(
        0, "Of weights, data and noise.", least=0, most=2**31 - 1
    )
    deterministic: bool = _field(
        False, "Bit-reproducible operations, slower on some devices."
    )
    log_every: int = _field(50, "Progress line and scalars.", least=1)
    sample_every: int = _field(1000, "Image grids.", least=1)
    validate_every: int = _field(
        5000, "Metrics on the validation photos.", least=1
    )
    best_metric: str = _field(
        "psnr",
        "Metric of `best/`: psnr, ssim, l1 or score, the mean PSNR of whole "
        "photos, of clipped areas, and after the best gain; of one of several "
        "validation sets as <set>/psnr.",
    )
    checkpoint_every: int = _field(1000, "Checkpoints.", least=1)
    keep_checkpoints: int = _field(3, "Number of newest ones kept.", least=1)
    keep_every_hours: float = _field(
        0.0,
        "Of older checkpoints, those are kept that are this many hours apart; "
        "0: none.",
        least=0,
    )
    max_bad_steps: int = _field(
        10,
        "Steps in a row with NaN or Inf, each of them undone, that end the "
        "run.",
        least=1,
    )


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
