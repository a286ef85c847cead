"""Checks of a configuration's names and values, one at a time."""

import difflib
import math

from tfexposure.errors import UserError


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
    least = field.metadata["least"]
    if least is not None and value < least:
        raise UserError(f"{path} must be at least {least}, not {value}")


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
