"""Real pairs: an overexposed frame and a well-exposed one of one scene.

A folder of pairs holds `pairs.csv` with the columns `over` and `reference`
(files in the folder) and any others. Known are `scene` and `tau`; the rest
may serve to choose pairs.
"""

import csv
import dataclasses
import hashlib
import operator
import re
from pathlib import Path

from tfexposure.errors import UserError

FILE_NAME = "pairs.csv"
SPLITS = ("validation", "test")

_OPERATORS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_CONDITION = re.compile(r"(\w+)\s*(<=|>=|!=|=|<|>)\s*(.*)")


@dataclasses.dataclass(frozen=True)
class Pair:
    """One line of `pairs.csv`.

    Attributes:
        overexposed: file of the overexposed frame.
        reference: file of the well-exposed one.
        scene: the column `scene`, or the reference's name without it: frames
            of one scene are no independent samples.
        columns: dict of all columns, text.
    """

    overexposed: Path
    reference: Path
    scene: str
    columns: dict

    @property
    def tau(self):
        """The share of light that became white, float, where it is known."""
        value = self.columns.get("tau")
        return float(value) if value else None


def read_pairs(folder, where=(), split=None):
    """Reads the pairs of a folder.

    Args:
        folder: holds `pairs.csv` and its files.
        where: conditions that a pair must meet, all of them, such as
            `camera=Sony G8232` or `mean_reference>=0.33`: a column, an
            operator and a value. `=` and `!=` compare text, with any of
            several alternatives (`scene=s01|s02`), the others numbers.
        split: `validation` or `test` takes one half of the scenes: `test`
            those for which the first byte of SHA-256 of the scene's name is
            odd. None takes all.

    Returns:
        List of `Pair`, in the file's order.

    Raises:
        UserError: if a file, a column or a value is missing, or if no pair is
            left.
    """
    path = Path(folder, FILE_NAME)
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    for column in ("over", "reference"):
        if not rows or not all(row.get(column) for row in rows):
            raise UserError(
                f"{path} should name a file in column {column!r} of each line."
            )
    conditions = [_parse(condition, rows[0], path) for condition in where]
    pairs = [
        Pair(
            Path(folder, row["over"]),
            Path(folder, row["reference"]),
            row.get("scene") or row["reference"],
            row,
        )
        for row in rows
        if all(holds(row) for holds in conditions)
    ]
    if split:
        pairs = [pair for pair in pairs if split_of(pair.scene) == split]
    if not pairs:
        raise UserError(f"{path}: no pair of {len(rows)} meets all conditions.")
    return pairs


def split_of(scene):
    """Returns the split of a scene, one of `SPLITS`."""
    return SPLITS[hashlib.sha256(scene.encode()).digest()[0] % 2]


def _parse(condition, row, path):
    """Returns a function that says whether a row meets a condition."""
    match = _CONDITION.fullmatch(condition)
    if not match or match[1] not in row:
        raise UserError(
            f"{condition!r} should be a condition such as mean_reference>=0.3, "
            f"with a column of {path}: {', '.join(row)}."
        )
    column, sign, value = match.groups()
    if sign in ("=", "!="):
        values = value.split("|")
        return lambda row: (row[column] in values) == (sign == "=")

    compare = _OPERATORS[sign]

    def holds(row):
        try:
            return compare(float(row[column]), float(value))
        except ValueError as error:
            raise UserError(
                f"{condition!r} should compare numbers; {path} has "
                f"{row[column]!r} in column {column!r}."
            ) from error

    return holds
