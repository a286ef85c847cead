"""Clients of a server: TensorFlow Serving, or `tfexposure serve`.

Both speak the signature `serving_bytes`: an encoded picture there, an encoded
picture back; and `serving_bytes_options`, which takes how to correct it. REST
needs `requests` alone; gRPC needs the stubs of tensorflow-serving-api, and with
them TensorFlow.
"""

import base64
import dataclasses
import json
import pathlib
import random
import time

from tfexposure.errors import UserError, import_extra
from tfexposure.runtime.signatures import (
    BYTES_IN,
    BYTES_OUT,
    OF_BYTES,
    OF_BYTES_OPTIONS,
)

# Time for a connection; the rest of the timeout is for the answer.
_CONNECT_SECONDS = 5
# Before the first retry; it doubles from one to the next.
_FIRST_PAUSE = 0.25
_API_HINT = (
    "gRPC needs the stubs of tensorflow-serving-api. They work with either "
    "build of TensorFlow but ask for the large one, so install them alone: "
    'pip install "tfexposure[serving]" && pip install --no-deps '
    "tensorflow-serving-api. --protocol=rest needs none of it."
)
# Statuses of a server, or what stands before it, that may do it later.
_BUSY = (429, 502, 503)
_LATE = (408, 504)


class Refused(UserError):
    """A server answered that it does not do what it was asked."""


class Busy(UserError):
    """A server cannot be reached, or has too much to do: worth a retry.

    Attributes:
        retry_after: seconds to wait, as the server asked for.
    """

    def __init__(self, message, retry_after=0.0):
        super().__init__(message)
        self.retry_after = retry_after


@dataclasses.dataclass(frozen=True)
class Connection:
    """How a client deals with its server.

    Attributes:
        timeout: seconds for a picture, retries included.
        rest_timeout: seconds for one request of REST; `None`: what is left.
        retries: further tries where the server is busy or out of reach.
        authority: PEM file of the certificates that are trusted; `None`: those
            of the system.
        certificate: PEM file by which the client proves who it is, or `None`.
        key: PEM file of its key; `None`: in the same file.
    """

    timeout: float = 60.0
    rest_timeout: float | None = None
    retries: int = 3
    authority: str | None = None
    certificate: str | None = None
    key: str | None = None


class Client:
    """Sends pictures to a server.

    Args:
        server: `host:port`, or with a scheme before it.
        model: name of the model on the server.
        version: int, or None for the server's choice.
        connection: `Connection`.
    """

    def __init__(
        self,
        server,
        model="tfexposure",
        version=None,
        connection=Connection(),  # noqa: B008
    ):
        self.server = server
        self._model, self._version = model, version
        self._connection = connection

    def restore(self, contents: bytes, options=None) -> bytes:
        """Returns an encoded picture's restoration, encoded alike.

        Args:
            contents: JPEG or PNG.
            options: dict of `strength`, `ev`, `stops` and `force`, for a
                model that takes them.

        Raises:
            Refused: if the server refuses.
            UserError: if it cannot be reached in time.
        """
        end = time.monotonic() + self._connection.timeout
        pause, left = _FIRST_PAUSE, self._connection.retries
        while True:
            try:
                return self._ask(contents, options, end - time.monotonic())
            except Busy as error:
                # Clients that were refused together should not return so.
                wait = max(error.retry_after, pause * random.uniform(0.5, 1))
                if not left or time.monotonic() + wait >= end:
                    raise
            time.sleep(wait)
            pause, left = 2 * pause, left - 1

    def _ask(self, contents, options, seconds):
        raise NotImplementedError

    def _late(self, seconds):
        return UserError(f"{self.server}: no answer within {seconds:.3g} s")

    def _out_of_reach(self, reason):
        return Busy(f"{self.server}: no server can be reached ({reason})")


class RestClient(Client):
    """Sends pictures to a REST interface, port 8501 as a rule.

    Args:
        server: `host:port`, or a URL. Certificates in `connection` mean TLS
            for one without scheme.
    """

    def __init__(self, server, *args, **kwargs):
        super().__init__(server, *args, **kwargs)
        self._requests = import_extra("requests", "serving")
        tls = self._connection
        if "://" not in server:
            secure = tls.authority or tls.certificate
            server = f"{'https' if secure else 'http'}://{server}"
        self._url = f"{server.rstrip('/')}/v1/models/{self._model}"
        if self._version is not None:
            self._url += f"/versions/{self._version}"
        for path in filter(None, (tls.authority, tls.certificate, tls.key)):
            _read(path)
        certificate = tls.certificate
        self._tls = {
            "verify": tls.authority or True,
            "cert": (certificate, tls.key) if tls.key else certificate,
        }

    def _ask(self, contents, options, seconds):
        encoded = base64.b64encode(contents).decode("ascii")
        body = {
            "signature_name": OF_BYTES_OPTIONS if options else OF_BYTES,
            "instances": [{BYTES_IN: {"b64": encoded}, **(options or {})}],
        }
        seconds = min(seconds, self._connection.rest_timeout or seconds)
        errors = self._requests.exceptions
        try:
            reply = self._requests.post(
                self._url + ":predict",
                json=body,
                timeout=(min(_CONNECT_SECONDS, seconds), seconds),
                **self._tls,
            )
        except errors.ReadTimeout as error:
            raise self._late(seconds) from error
        except (errors.SSLError, errors.InvalidURL) as error:
            raise UserError(f"{self.server}: {_line(error)}") from error
        except errors.RequestException as error:
            raise self._out_of_reach(_line(error)) from error
        return self._picture(reply)

    def _picture(self, reply):
        try:
            answer = reply.json()
        except ValueError:
            answer = {}
        if reply.status_code != 200:
            raise self._refusal(reply, answer)
        try:
            (prediction,) = answer["predictions"]
            # A single output stands for itself.
            prediction = prediction.get(BYTES_OUT, prediction)
            return base64.b64decode(prediction["b64"])
        except (AttributeError, KeyError, TypeError, ValueError) as error:
            raise UserError(
                f"{self.server}: answered something else than one picture: "
                f"{json.dumps(answer)[:200]}"
            ) from error

    def _refusal(self, reply, answer):
        status = reply.status_code
        reason = isinstance(answer, dict) and answer.get("error")
        reason = _line(reason or reply.text or reply.reason)
        message = f"{self.server}: refused with status {status}: {reason}"
        if status in _BUSY:
            after = reply.headers.get("Retry-After", "")
            return Busy(message, float(after) if after.isdigit() else 0.0)
        return UserError(message) if status in _LATE else Refused(message)


class GrpcClient(Client):
    """Sends pictures to a gRPC interface, port 8500 as a rule.

    Args:
        server: `host:port`, or with `grpc://` or `grpcs://` before it. The
            latter, or certificates in `connection`, mean TLS.
    """

    def __init__(self, server, *args, **kwargs):
        super().__init__(server, *args, **kwargs)
        self._grpc = import_extra("grpc", "serving")
        try:
            from tensorflow_serving.apis import (
                predict_pb2,
                prediction_service_pb2_grpc,
            )
        except ModuleNotFoundError as error:
            raise UserError(_API_HINT) from error
        self._request = predict_pb2.PredictRequest
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(
            self._channel(server)
        )

    def _channel(self, server):
        # Photos are larger than the 4 MiB that gRPC accepts by default.
        unlimited = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
        ]
        scheme, _, address = server.rpartition("://")
        tls = self._connection
        if scheme != "grpcs" and not (tls.authority or tls.certificate):
            return self._grpc.insecure_channel(address, unlimited)
        authority, key, certificate = (
            path and _read(path)
            for path in (
                tls.authority,
                tls.key or tls.certificate,
                tls.certificate,
            )
        )
        return self._grpc.secure_channel(
            address,
            self._grpc.ssl_channel_credentials(authority, key, certificate),
            unlimited,
        )

    def _ask(self, contents, options, seconds):
        request = self._request()
        request.model_spec.name = self._model
        request.model_spec.signature_name = (
            OF_BYTES_OPTIONS if options else OF_BYTES
        )
        if self._version is not None:
            request.model_spec.version.value = self._version
        tensor = request.inputs[BYTES_IN]
        tensor.dtype = 7  # DT_STRING
        tensor.tensor_shape.dim.add(size=1)
        tensor.string_val.append(contents)
        for name, value in (options or {}).items():
            tensor = request.inputs[name]
            tensor.tensor_shape.dim.add(size=1)
            if isinstance(value, bool):
                tensor.dtype = 10  # DT_BOOL
                tensor.bool_val.append(value)
            else:
                tensor.dtype = 1  # DT_FLOAT
                tensor.float_val.append(value)
        try:
            reply = self._stub.Predict(request, timeout=seconds)
        except self._grpc.RpcError as error:
            raise self._refusal(error, seconds) from error
        pictures = reply.outputs[BYTES_OUT].string_val
        if len(pictures) != 1:
            raise UserError(
                f"{self.server}: answered something else than one picture: "
                f"{sorted(reply.outputs)}"
            )
        return pictures[0]

    def _refusal(self, error, seconds):
        code, codes = error.code(), self._grpc.StatusCode
        reason = _line(error.details())
        if code == codes.UNAVAILABLE:
            return self._out_of_reach(reason)
        if code == codes.DEADLINE_EXCEEDED:
            return self._late(seconds)
        message = f"{self.server}: refused with {code.name}: {reason}"
        return (Busy if code == codes.RESOURCE_EXHAUSTED else Refused)(message)


CLIENTS = {"grpc": GrpcClient, "rest": RestClient}
# Scheme of an address -> protocol; those with an s mean TLS.
SCHEMES = {"grpc": "grpc", "grpcs": "grpc", "http": "rest", "https": "rest"}


def _read(path):
    try:
        return pathlib.Path(path).read_bytes()
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error


def _line(text):
    """The message in one line: the part that says why, if there is one."""
    text = " ".join(str(text).split())
    at = text.find("assertion failed:")
    return text[at if at >= 0 else 0 :][:300]
