"""Trains the variants of an experiment by running the trainer.

Each training has its own folder, named by the variant, the seed and a digest
of all its flags: what is finished is not trained again, what was interrupted
is continued by the trainer itself, and other flags mean another folder.
"""

import dataclasses
import hashlib
import json
import os
import platform
import subprocess
import sys
import time
from pathlib import Path

from tfexposure.errors import UserError
from tfexposure.storage import read_json, write_atomically

_RECORD = "reproduce.json"


@dataclasses.dataclass(frozen=True)
class Training:
    """A training to do, or done.

    Attributes:
        name: of the variant.
        seed: of weights, data and noise.
        flags: the trainer's flags, but `run_dir`.
        folder: its run folder.
    """

    name: str
    seed: int
    flags: dict
    folder: Path

    @property
    def record(self):
        """What is known of it: `finished`, `seconds`, `device`, `flags`."""
        path = self.folder / _RECORD
        if not path.is_file():
            return {"finished": False, "seconds": 0.0}
        return read_json(path, "remove it")


def plan(variant, seed, profile, source, vgg19_weights, runs, overrides=None):
    """Plans the training of a variant.

    Args:
        variant: a `catalogue.Variant`.
        seed: of weights, data and noise.
        profile: a `profiles.Profile`.
        source: folder or manifest of the training photos.
        vgg19_weights: for variants with a perceptual loss.
        runs: folder for all run folders.
        overrides: trainer flags with precedence over the profile's.

    Returns:
        A `Training`.
    """
    flags = {
        "data.source": str(source),
        "train.seed": seed,
        **profile.flags(variant.length),
        **variant.flags(),
        **(overrides or {}),
    }
    if variant.perceptual_weight:
        flags["loss.vgg19_weights"] = vgg19_weights
    text = json.dumps(flags, sort_keys=True)
    digest = hashlib.sha256(text.encode()).hexdigest()[:8]
    folder = Path(runs) / f"{variant.id}-seed{seed}-{digest}"
    return Training(variant.id, seed, flags, folder)


def train(training, progress=print):
    """Runs a training to its end, unless it is finished.

    Args:
        training: a `Training`.
        progress: called with lines that say what goes on.

    Raises:
        UserError: if the trainer fails.
    """
    record = training.record
    if record["finished"]:
        progress(f"{training.folder.name}: already trained")
        return
    training.folder.mkdir(parents=True, exist_ok=True)
    progress(f"{training.folder.name}: training")
    start = time.monotonic()
    code = None
    try:
        code = subprocess.run(command(training), check=False).returncode
    finally:
        record = {
            "finished": code == 0,
            "seconds": record["seconds"] + time.monotonic() - start,
            "device": describe_device(),
            "flags": training.flags,
        }
        write_atomically(
            training.folder / _RECORD, json.dumps(record, indent=1) + "\n"
        )
    if code:
        raise UserError(
            f"The training in {training.folder} failed (exit code {code}); "
            "its messages are above. The same command continues it."
        )


def command(training):
    """Returns the trainer's command line, as a list."""
    return [
        sys.executable,
        "-m",
        "tfexposure.trainers.train_gan",
        f"--run_dir={training.folder}",
        *(f"--{name}={value}" for name, value in training.flags.items()),
    ]


def describe_device():
    """Names the processor, its cores, and the GPU that TensorFlow sees."""
    name = platform.processor() or platform.machine()
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="utf-8")
        models = [
            line.split(":", 1)[1].strip()
            for line in text.splitlines()
            if line.startswith("model name")
        ]
        name = models[0] if models else name
    except OSError:
        pass
    cores = len(os.sched_getaffinity(0)) if sys.platform == "linux" else None
    name = f"{name}, {cores or os.cpu_count()} cores"
    gpu = _gpu_name()
    return f"{gpu} ({name})" if gpu else name


def _gpu_name():
    if "tensorflow" not in sys.modules:
        return ""
    config = sys.modules["tensorflow"].config
    found = config.list_physical_devices("GPU")
    if not found:
        return ""
    details = config.experimental.get_device_details(found[0])
    return details.get("device_name", "GPU")
