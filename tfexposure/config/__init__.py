"""One frozen description of a run, and the paths of its folder.

A `Config` comes from flags (`config_flags`), is written to the run's folder
before the first step, is read back by the exports and travels inside them.
"""

from tfexposure.config.config import TASKS, Config, parse_steps
from tfexposure.config.devices import choose_gpus, parse_devices
from tfexposure.config.run_dir import RunDir
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

__all__ = [
    "SECTIONS",
    "TASKS",
    "BlindLossConfig",
    "CameraConfig",
    "Config",
    "DataConfig",
    "DiscriminatorConfig",
    "GeneratorConfig",
    "LossConfig",
    "RestorerConfig",
    "RunDir",
    "TrainConfig",
    "choose_gpus",
    "parse_devices",
    "parse_steps",
]
