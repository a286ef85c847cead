"""Clients of a TensorFlow Serving server that runs an exported model.

Both speak the signature `serving_bytes`: an encoded picture there, an encoded
picture back; and `serving_bytes_options`, which takes how to correct it. REST
needs `requests` alone; gRPC needs the stubs of tensorflow-serving-api, and with
them TensorFlow.
"""

import base64
import json

from tfexposure.errors import UserError, import_extra
from tfexposure.runtime.signatures import (
    BYTES_IN,
    BYTES_OUT,
    OF_BYTES,
    OF_BYTES_OPTIONS,
)

# Time for a connection; the rest of the timeout is for the answer.
_CONNECT_SECONDS = 5
_API_HINT = (
    "gRPC needs the stubs of tensorflow-serving-api. They work with either "
    "build of TensorFlow but ask for the large one, so install them alone: "
    'pip install "tfexposure[serving]" && pip install --no-deps '
    "tensorflow-serving-api. --protocol=rest needs none of it."
)


class Refused(UserError):
    """A server answered that it does not do what it was asked."""


class RestClient:
    """Sends pictures to the REST interface, port 8501 as a rule.

    Args:
        server: `host:port`, or a URL.
        model: name of the model on the server.
        version: int, or None for the server's choice.
        timeout: seconds to wait for an answer.
    """

    def __init__(self, server, model="exposure", version=None, timeout=60.0):
        self._requests = import_extra("requests", "serving")
        url = server if "://" in server else f"http://{server}"
        self.server, self._timeout = server, timeout
        self._url = f"{url.rstrip('/')}/v1/models/{model}"
        if version is not None:
            self._url += f"/versions/{version}"

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
        errors = self._requests.exceptions
        encoded = base64.b64encode(contents).decode("ascii")
        body = {
            "signature_name": OF_BYTES_OPTIONS if options else OF_BYTES,
            "instances": [{BYTES_IN: {"b64": encoded}, **(options or {})}],
        }
        try:
            reply = self._requests.post(
                self._url + ":predict",
                json=body,
                timeout=(min(_CONNECT_SECONDS, self._timeout), self._timeout),
            )
        except errors.ReadTimeout as error:
            raise UserError(
                f"{self.server}: no answer within {self._timeout:g} s"
            ) from error
        except errors.RequestException as error:
            raise UserError(
                f"{self.server}: no server can be reached ({_line(error)})"
            ) from error
        return self._picture(reply)

    def _picture(self, reply):
        try:
            answer = reply.json()
        except ValueError:
            answer = {}
        if reply.status_code != 200:
            reason = answer.get("error") or reply.text or reply.reason
            raise Refused(
                f"{self.server}: refused with status {reply.status_code}: "
                f"{_line(reason)}"
            )
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


class GrpcClient:
    """Sends pictures to the gRPC interface, port 8500 as a rule.

    Args:
        server: `host:port`.
        model: name of the model on the server.
        version: int, or None for the server's choice.
        timeout: seconds to wait for an answer.
    """

    def __init__(self, server, model="exposure", version=None, timeout=60.0):
        self._grpc = import_extra("grpc", "serving")
        try:
            from tensorflow_serving.apis import (
                predict_pb2,
                prediction_service_pb2_grpc,
            )
        except ModuleNotFoundError as error:
            raise UserError(_API_HINT) from error
        self.server, self._timeout = server, timeout
        self._model, self._version = model, version
        self._request = predict_pb2.PredictRequest
        # Photos are larger than the 4 MiB that gRPC accepts by default.
        unlimited = [
            ("grpc.max_receive_message_length", -1),
            ("grpc.max_send_message_length", -1),
        ]
        self._stub = prediction_service_pb2_grpc.PredictionServiceStub(
            self._grpc.insecure_channel(server, unlimited)
        )

    def restore(self, contents: bytes, options=None) -> bytes:
        """Returns an encoded picture's restoration; see `RestClient`."""
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
            reply = self._stub.Predict(request, timeout=self._timeout)
        except self._grpc.RpcError as error:
            kind = UserError
            codes = self._grpc.StatusCode
            if error.code() not in (codes.UNAVAILABLE, codes.DEADLINE_EXCEEDED):
                kind = Refused
            raise kind(self._reason(error)) from error
        pictures = reply.outputs[BYTES_OUT].string_val
        if len(pictures) != 1:
            raise UserError(
                f"{self.server}: answered something else than one picture: "
                f"{sorted(reply.outputs)}"
            )
        return pictures[0]

    def _reason(self, error):
        code = error.code()
        if code == self._grpc.StatusCode.UNAVAILABLE:
            return (
                f"{self.server}: no server can be reached "
                f"({_line(error.details())})"
            )
        if code == self._grpc.StatusCode.DEADLINE_EXCEEDED:
            return f"{self.server}: no answer within {self._timeout:g} s"
        return (
            f"{self.server}: refused with {code.name}: {_line(error.details())}"
        )


CLIENTS = {"grpc": GrpcClient, "rest": RestClient}


def _line(text):
    """The message in one line: the part that says why, if there is one."""
    text = " ".join(str(text).split())
    at = text.find("assertion failed:")
    return text[at if at >= 0 else 0 :][:300]
