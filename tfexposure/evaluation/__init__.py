"""Scores of restorations on photos whose overexposure is simulated."""

from tfexposure.evaluation.measure import (
    Evaluation,
    evaluate,
    model_method,
    standard_methods,
)
from tfexposure.evaluation.simulation import (
    Example,
    Simulation,
    find_photos,
    read_photo,
)
from tfexposure.evaluation.table import (
    summarize,
    to_markdown,
    write_results,
)

__all__ = [
    "Evaluation",
    "Example",
    "Simulation",
    "evaluate",
    "find_photos",
    "model_method",
    "read_photo",
    "standard_methods",
    "summarize",
    "to_markdown",
    "write_results",
]
