"""The REST shape of TensorFlow Serving: signatures, rows and columns."""

import base64
import binascii
import json

import numpy as np

import tfexposure
from tfexposure.errors import UsageError
from tfexposure.http.refusal import Refusal
from tfexposure.photo.batch import Output
from tfexposure.photo.correcting import Settings
from tfexposure.photo.io import formats
from tfexposure.runtime.signatures import (
    BYTES_IN,
    BYTES_OUT,
    DEFAULT,
    OF_BYTES,
    OF_BYTES_OPTIONS,
)

# The one version there is: a server has one model as long as it runs.
VERSION = 1
# JSON takes up to 36 bytes of memory for each of these, so an image of 2
# megapixels as nested lists is the largest; encoded photos are one value each.
MAX_VALUES = 8_000_000

_IMAGE = (-1, -1, -1, 3)
_OPTIONS = {
    "strength": ("DT_FLOAT", (-1,)),
    "ev": ("DT_FLOAT", (-1,)),
    "stops": ("DT_FLOAT", (-1,)),
    "force": ("DT_BOOL", (-1,)),
}
# What a `Correction` tells beside the answer.
_TOLD = {
    "changed": ("DT_BOOL", lambda found: bool(found.changed)),
    "share": ("DT_FLOAT", lambda found: float(found.share)),
    "stops": ("DT_FLOAT", lambda found: float(found.before.stops or 0)),
    "stops_spread": (
        "DT_FLOAT",
        lambda found: float(found.before.stops_spread or 0),
    ),
    "clipped": ("DT_FLOAT", lambda found: float(found.before.clipped)),
}


class Servable:
    """A model under the signatures of its SavedModel, the network's apart.

    A model that judges by itself which photos it leaves alone takes options
    and tells of each photo; another restores all, as its SavedModel does.

    Args:
        corrector: `Corrector`.
        name: what it is called in addresses.
        about: dict for `describe`.
    """

    def __init__(self, corrector, name, about):
        self.name = name
        self._corrector = corrector
        model = corrector.model
        self._judges = bool(model.judges or model.grid_spec)
        self._signatures = _signatures(self._judges)
        self._about = json.dumps(
            {
                "made_by": "tfexposure serve",
                "versions": {"tfexposure": tfexposure.__version__},
                "signatures": list(self._signatures),
                **about,
            }
        )

    def check(self, name, version=None):
        """Refuses a model or version that is not served.

        Raises:
            Refusal: of status 404.
        """
        if name != self.name or version not in (None, str(VERSION)):
            wanted = name if version is None else f"{name}, version {version}"
            raise Refusal(
                404,
                f"Servable not found for request: {wanted}; this server has "
                f"{self.name}, version {VERSION}",
            )

    def status(self):
        """Answers `GET /v1/models/NAME`."""
        version = {
            "version": str(VERSION),
            "state": "AVAILABLE",
            "status": {"error_code": "OK", "error_message": ""},
        }
        return {"model_version_status": [version]}

    def metadata(self):
        """Answers `GET /v1/models/NAME/metadata`."""
        signatures = {
            name: {
                "inputs": _tensor_infos(inputs),
                "outputs": _tensor_infos(outputs),
                "method_name": "tensorflow/serving/predict",
            }
            for name, (inputs, outputs) in self._signatures.items()
        }
        return {
            "model_spec": {
                "name": self.name,
                "signature_name": "",
                "version": str(VERSION),
            },
            "metadata": {"signature_def": {"signature_def": signatures}},
        }

    def predict(self, body, stop):
        """Answers `POST /v1/models/NAME:predict`, one photo after the other.

        Args:
            body: bytes of the request, JSON.
            stop: `Stop`.

        Returns:
            bytes, JSON.

        Raises:
            Refusal: if the request is not one that a signature takes.
        """
        request = _parsed(body)
        name = request.get("signature_name") or DEFAULT
        if name not in self._signatures:
            raise Refusal(
                400,
                f'Serving signature name: "{name}" not found; there are '
                f"{', '.join(self._signatures)}",
            )
        inputs, outputs = self._signatures[name]
        if ("instances" in request) == ("inputs" in request):
            raise Refusal(400, 'expected either "instances" or "inputs"')
        by_column = "inputs" in request
        if not inputs:
            return _encoded({"outputs": self._about})
        read = _rows_of_columns if by_column else _rows
        rows = read(request["inputs" if by_column else "instances"], inputs)
        found = [
            self._answer(row, place, stop) for place, row in enumerate(rows)
        ]
        alone = next(iter(outputs)) if len(outputs) == 1 else None
        if by_column:
            columns = {key: [row[key] for row in found] for key in outputs}
            return _encoded({"outputs": columns[alone] if alone else columns})
        return _encoded(
            {"predictions": [row[alone] if alone else row for row in found]}
        )

    def _answer(self, row, place, stop):
        """Corrects the photo of one row: what its signature answers."""
        settings = self._settings(row)
        if BYTES_IN in row:
            _, correction, answer, _ = self._corrector.correct_file(
                row[BYTES_IN],
                settings,
                lambda found: _output(row[BYTES_IN], found),
                stop,
                f"{BYTES_IN}: element {place}",
            )
            encoded = base64.b64encode(answer).decode("ascii")
            found: dict = {BYTES_OUT: {"b64": encoded}}
        else:
            correction = self._corrector.correct_image(
                row["image"], settings, stop
            )
            found = {"restored": correction.pixels.array().tolist()}
        if self._judges:
            found |= {key: tell(correction) for key, (_, tell) in _TOLD.items()}
        return found

    def _settings(self, row):
        if not self._judges:
            return Settings(force=True)
        given = {key: row[key] for key in _OPTIONS if key in row}
        if -1 <= given.get("stops", 0) < 0:
            del given["stops"]  # The model judges.
        try:
            return Settings(**given)
        except UsageError as error:
            raise Refusal(400, error) from error


def _signatures(judges):
    """Name -> (inputs, outputs), each name -> (type, shape)."""
    told = {key: (dtype, (-1,)) for key, (dtype, _) in _TOLD.items()}
    told = told if judges else {}

    def of_images(dtype, options=()):
        return {"image": (dtype, _IMAGE), **dict(options)}, {
            "restored": (dtype, _IMAGE),
            **told,
        }

    def of_bytes(options=()):
        return {BYTES_IN: ("DT_STRING", (-1,)), **dict(options)}, {
            BYTES_OUT: ("DT_STRING", (-1,)),
            **told,
        }

    found = {
        DEFAULT: of_images("DT_FLOAT"),
        "serving_uint8": of_images("DT_UINT8"),
        OF_BYTES: of_bytes(),
    }
    if judges:
        found["serving_options"] = of_images("DT_UINT8", _OPTIONS)
        found[OF_BYTES_OPTIONS] = of_bytes(_OPTIONS)
    found["describe"] = {}, {"manifest": ("DT_STRING", ())}
    return found


def _tensor_infos(tensors):
    return {
        name: {
            "dtype": dtype,
            "tensor_shape": {
                "dim": [{"size": str(side), "name": ""} for side in shape],
                "unknown_rank": False,
            },
            "name": name,
        }
        for name, (dtype, shape) in tensors.items()
    }


def _output(data, correction):
    """As a SavedModel encodes: upright, without tags; JPEGs alike.

    What is left alone keeps its bytes.
    """
    if not correction.changed:
        return Output()
    if formats.sniff(data) == "jpeg":
        return Output(None, 95, "4:4:4", "strip")
    return Output(metadata="strip")


def _encoded(answer):
    return json.dumps(answer, separators=(",", ":")).encode("ascii")


def _parsed(body):
    """The request as a dict, of bounded memory."""
    values = sum(map(body.count, (b"[", b"{", b",")))
    if values > MAX_VALUES:
        raise Refusal(
            413,
            f"{values:,} values of JSON, more than {MAX_VALUES:,}; send photos "
            f"as bytes ({OF_BYTES})",
        )

    def refuse(name):
        raise ValueError(f"{name} is no number")

    try:
        request = json.loads(body, parse_constant=refuse)
    except (ValueError, RecursionError) as error:
        raise Refusal(400, f"JSON Parse error: {error}") from error
    if not isinstance(request, dict):
        raise Refusal(400, "expected a JSON object")
    return request


def _rows(instances, inputs):
    """Rows of `instances`, each name -> value."""
    if not isinstance(instances, list) or not instances:
        raise Refusal(400, '"instances": expected a list, not empty')
    alone = next(iter(inputs)) if len(inputs) == 1 else None
    rows = []
    for place, row in enumerate(instances):
        named = isinstance(row, dict) and "b64" not in row
        if alone and not named:
            row = {alone: row}
        _check_names(row, inputs, f'"instances", element {place}')
        rows.append(_converted(row, inputs, place))
    return rows


def _rows_of_columns(columns, inputs):
    """Rows of `inputs`: name -> values of all, or those of the only input."""
    alone = next(iter(inputs)) if len(inputs) == 1 else None
    if alone and not isinstance(columns, dict):
        columns = {alone: columns}
    _check_names(columns, inputs, '"inputs"')
    lengths = {
        name: len(values) if isinstance(values, list) else 0
        for name, values in columns.items()
    }
    if len(set(lengths.values())) > 1 or not all(lengths.values()):
        raise Refusal(
            400,
            '"inputs": expected lists of one length, not empty. Received: '
            f"{lengths}",
        )
    rows = zip(*columns.values(), strict=True)
    return [
        _converted(dict(zip(columns, row, strict=True)), inputs, place)
        for place, row in enumerate(rows)
    ]


def _check_names(row, inputs, what):
    names = sorted(row) if isinstance(row, dict) else type(row).__name__
    if names != sorted(inputs):
        raise Refusal(
            400, f"{what}: expected {', '.join(inputs)}. Received: {names}"
        )


def _converted(row, inputs, place):
    return {
        name: _value(row[name], tensor, f"{name}: element {place}")
        for name, tensor in inputs.items()
    }


def _value(value, tensor, what):
    """One photo's value of an input as its type has it."""
    dtype, shape = tensor
    if dtype == "DT_STRING":
        return _bytes_of(value, what)
    if len(shape) == 4:
        return _image_of(value, dtype, what)
    if dtype == "DT_BOOL":
        if isinstance(value, bool):
            return value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        return value
    expected = "true or false" if dtype == "DT_BOOL" else "a number"
    raise Refusal(400, f"{what}: expected {expected}. Received: {value!r:.80}")


def _bytes_of(value, what):
    try:
        return base64.b64decode(value["b64"], validate=True)
    except (KeyError, TypeError, ValueError, binascii.Error) as error:
        raise Refusal(
            400, f'{what}: expected {{"b64": "..."}} of a file\'s bytes'
        ) from error


def _image_of(value, dtype, what):
    """Nested lists as (H, W, 3)."""
    try:
        image = np.array(value)
    except ValueError:
        image = np.array(None)
    whole = dtype == "DT_UINT8"
    if (
        image.ndim != 3
        or image.shape[2] != 3
        or not image.size
        or image.dtype.kind not in ("iu" if whole else "iuf")
    ):
        raise Refusal(
            400,
            f"{what}: expected nested lists (H, W, 3) of "
            f"{'whole ' * whole}numbers, not empty. Received: {image.dtype} "
            f"{image.shape}",
        )
    if whole and (image.min() < 0 or image.max() > 255):
        raise Refusal(400, f"{what}: expected values from 0 to 255")
    # Beyond [0, 1] a SavedModel clips, too.
    image = image if whole else np.clip(image, 0, 1)
    return image.astype(np.uint8 if whole else np.float32)
