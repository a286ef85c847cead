"""Scores of restorations, on simulated overexposure and on real pairs."""

from tfexposure.evaluation.baselines import METHODS, ORACLES
from tfexposure.evaluation.example import Example, read_photo, to_uint8
from tfexposure.evaluation.measure import (
    VALUES,
    Evaluation,
    closeness,
    evaluate,
    measure,
)
from tfexposure.evaluation.photo_sets import (
    PairSet,
    SimulatedSet,
    find_photos,
    spread,
)
from tfexposure.evaluation.simulation import Simulation
from tfexposure.evaluation.table import (
    LEGEND,
    summarize,
    to_markdown,
    write_results,
)

__all__ = [
    "LEGEND",
    "METHODS",
    "ORACLES",
    "VALUES",
    "Evaluation",
    "Example",
    "PairSet",
    "Simulation",
    "SimulatedSet",
    "closeness",
    "evaluate",
    "find_photos",
    "measure",
    "read_photo",
    "spread",
    "summarize",
    "to_markdown",
    "to_uint8",
    "write_results",
]
