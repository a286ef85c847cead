"""Checks of a configuration's names and values, one at a time."""

import difflib
import math
import operator

from tfexposure.errors import UserError

_LIMITS = {
    "least": (operator.ge, "at least"),
    "most": (operator.le, "at most"),
    "above": (operator.gt, "above"),
    "below": (operator.lt, "below"),
}


def check_value(path, field, value):
    """Checks one field of a section.

    Args:
        path: such as `train.steps`.
        field: `dataclasses.Field` of `sections`.
        value: what it holds.

    Raises:
        UserError: if it is of the wrong type or out of range.
    """
    choices = field.metadata["choices"]
    if choices and value not in choices:
        raise UserError(f"{path} must be one of {list(choices)}, not {value!r}")
    if field.type is tuple:
        _check_numbers(path, field, value)
        values = value
    else:
        _check_type(path, field.type, value)
        values = (value,)
    for limit, bound in field.metadata["limits"].items():
        holds, words = _LIMITS[limit]
        if not all(holds(each, bound) for each in values):
            raise UserError(f"{path} must be {words} {bound}, not {value}")
    if field.metadata["rising"] and values[0] > values[1]:
        raise UserError(f"{path} must not fall, as {value} does")


def _check_type(path, type_, value):
    """A float is finite, and may be written without a point."""
    if type_ is float:
        accepted, kind = _is_number(value), "a finite number"
    else:
        accepted, kind = type(value) is type_, type_.__name__
    if not accepted:
        raise UserError(f"{path} must be {kind}, not {value!r}")


def _check_numbers(path, field, value):
    """Two numbers where the default is two; whole ones where it is whole."""
    pair = len(field.default) == 2
    kind = int if all(type(d) is int for d in field.default) else float
    numbers = isinstance(value, tuple) and all(
        _is_number(each) and (kind is float or type(each) is int)
        for each in value
    )
    if not numbers or not value or (pair and len(value) != 2):
        count = "two" if pair else "some"
        whole = "whole numbers" if kind is int else "numbers"
        raise UserError(f"{path} must be {count} {whole}, not {value!r}")


def _is_number(value):
    return (
        isinstance(value, int | float)
        and not isinstance(value, bool)
        and math.isfinite(value)
    )


def check_names(kind, known, given):
    """Compares names.

    Args:
        kind: what they name, in words.
        known: dict, name -> whether it may be missing.
        given: names.

    Raises:
        UserError: on a missing or an unknown name.
    """
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
