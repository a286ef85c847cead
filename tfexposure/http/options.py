"""What a query may ask of a correction: the options of `correct`."""

import dataclasses
import math

from tfexposure.errors import UsageError
from tfexposure.http.refusal import Refusal
from tfexposure.photo.batch import Output
from tfexposure.photo.correcting import Settings
from tfexposure.photo.io import encode, formats

# Name -> JSON schema, which OpenAPI shows and `parse` obeys.
OPTIONS: dict[str, dict] = {
    "strength": {
        "type": "number",
        "minimum": 0,
        "maximum": 1,
        "default": 1.0,
        "description": "0 (the photo's pixels) to 1 (the full answer)",
    },
    "ev": {
        "type": "number",
        "minimum": -5,
        "maximum": 5,
        "default": 0.0,
        "description": "stops of light added to the answer",
    },
    "stops": {
        "type": "number",
        "minimum": 0,
        "maximum": 5,
        "description": "how far the photo is overexposed; without it the "
        "model judges",
    },
    "force": {
        "type": "boolean",
        "default": False,
        "description": "correct a photo that would be left alone, too",
    },
    "highlights_only": {
        "type": "boolean",
        "default": False,
        "description": "change clipped regions and a soft border alone",
    },
    "format": {
        "type": "string",
        "enum": sorted(formats.FORMATS),
        "description": "format of the answer; without it that of the photo",
    },
    "quality": {
        "type": "integer",
        "minimum": 1,
        "maximum": 100,
        "description": "of lossy formats; without it the tables of a JPEG, "
        "else 95",
    },
    "subsampling": {
        "type": "string",
        "enum": sorted(encode.SUBSAMPLINGS),
        "description": "colour resolution of a JPEG; without it as in the "
        "photo",
    },
    "metadata": {
        "type": "string",
        "enum": ["keep", "strip"],
        "default": "keep",
        "description": "strip leaves pixels and ICC profile only",
    },
    "answer": {
        "type": "string",
        "enum": ["photo", "json"],
        "default": "photo",
        "description": "json answers the verdict in place of the photo",
    },
}
_SETTINGS = ("strength", "ev", "stops", "force", "highlights_only")
_OUTPUT = ("quality", "subsampling", "metadata")
_NUMBERS = {"number": ("a number", float), "integer": ("a whole number", int)}
_FLAGS = {"true": True, "1": True, "": True, "false": False, "0": False}


@dataclasses.dataclass(frozen=True)
class Wish:
    """How a photo is to be corrected and answered.

    Attributes:
        settings: `correcting.Settings`.
        output: `batch.Output`.
        as_json: whether the verdict is wanted in place of the photo.
    """

    settings: Settings
    output: Output
    as_json: bool


def parse(query):
    """Reads the options of a request.

    Args:
        query: list of (name, text).

    Returns:
        a `Wish`.

    Raises:
        Refusal: for an option unknown, given twice or out of range.
    """
    given = {}
    for name, text in query:
        if name not in OPTIONS:
            raise Refusal(
                400,
                f"{name}: no such option; there are {', '.join(OPTIONS)}",
            )
        if name in given:
            raise Refusal(400, f"{name}: given twice")
        given[name] = _value(name, text, OPTIONS[name])
    try:
        settings = Settings(**{k: given[k] for k in _SETTINGS if k in given})
    except UsageError as error:
        raise Refusal(400, error) from error
    output = Output(
        given.get("format"), **{k: given[k] for k in _OUTPUT if k in given}
    )
    return Wish(settings, output, given.get("answer") == "json")


def _value(name, text, schema):
    """Reads one option as its schema has it."""
    kind, choices = schema["type"], schema.get("enum")
    if choices:
        value, expected = text, f"one of {', '.join(choices)}"
        fits = text in choices
    elif kind == "boolean":
        value, expected = _FLAGS.get(text.lower()), "true or false"
        fits = value is not None
    else:
        low, high = schema["minimum"], schema["maximum"]
        expected = f"{_NUMBERS[kind][0]} from {low} to {high}"
        try:
            value = _NUMBERS[kind][1](text)
        except ValueError:
            value = math.nan
        fits = low <= value <= high
    if fits:
        return value
    raise Refusal(400, f"{name}: expected {expected}. Received: {text[:80]}")
