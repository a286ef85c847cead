"""A stand-in for tensorflow_model_server, for the tests of its clients.

A program of its own that knows TensorFlow, the official gRPC stubs and nothing
of tfexposure. It loads `<base>/<highest version>` as the real server does, by
a v1 session and the tensor names of the SignatureDefs, replays the warm-up
requests, and answers Predict by gRPC and REST.

    python serving_stand_in.py BASE MODEL

prints a line of JSON with its ports and what it has loaded, then serves until
its standard input is closed.
"""

import base64
import http.server
import json
import pathlib
import sys
import threading
from concurrent import futures

import grpc
import numpy as np
import tensorflow as tf
from tensorflow_serving.apis import (
    predict_pb2,
    prediction_log_pb2,
    prediction_service_pb2_grpc,
)

# grpc.StatusCode by number: TensorFlow's error codes are the same.
CODES = {code.value[0]: code for code in grpc.StatusCode}


class Refusal(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Servable:
    """One version of a model."""

    def __init__(self, base, name):
        self.name = name
        versions = [int(p.name) for p in base.iterdir() if p.name.isdigit()]
        self.version = max(versions)
        self.folder = base / str(self.version)
        self.session = tf.compat.v1.Session(graph=tf.Graph())
        with self.session.graph.as_default():
            meta = tf.compat.v1.saved_model.load(
                self.session, ["serve"], str(self.folder)
            )
        self.signatures = meta.signature_def

    def warm_up(self):
        """A request that fails would fail the load, so it raises here."""
        path = self.folder / "assets.extra" / "tf_serving_warmup_requests"
        count = 0
        if path.exists():
            for record in tf.compat.v1.io.tf_record_iterator(str(path)):
                log = prediction_log_pb2.PredictionLog.FromString(record)
                self.predict(log.predict_log.request)
                count += 1
        return count

    def predict(self, request):
        spec = request.model_spec
        if spec.name not in ("", self.name):
            raise Refusal(5, f"Servable not found for request: {spec.name}")
        if spec.version.value not in (0, self.version):
            raise Refusal(5, "Servable not found for request: version")
        name = spec.signature_name or "serving_default"
        if name not in self.signatures:
            raise Refusal(3, f'Serving signature name: "{name}" not found')
        signature = self.signatures[name]
        if set(request.inputs) != set(signature.inputs):
            raise Refusal(3, "input keys do not match the signature's")
        feed = {
            signature.inputs[key].name: tf.make_ndarray(value)
            for key, value in request.inputs.items()
        }
        names = {key: info.name for key, info in signature.outputs.items()}
        try:
            values = self.session.run(names, feed)
        except tf.errors.OpError as error:
            raise Refusal(error.error_code, error.message[:1024]) from None
        except ValueError as error:  # Python checks fed shapes; C++ does not.
            raise Refusal(3, str(error)[:1024]) from None
        response = predict_pb2.PredictResponse()
        for key, value in values.items():
            response.outputs[key].CopyFrom(tf.make_tensor_proto(value))
        return response


class Grpc(prediction_service_pb2_grpc.PredictionServiceServicer):
    def __init__(self, servable):
        self.servable = servable

    def Predict(self, request, context):  # noqa: N802
        try:
            return self.servable.predict(request)
        except Refusal as refusal:
            context.abort(CODES[refusal.code], str(refusal))


def value_of(entry):
    if isinstance(entry, dict):
        return base64.b64decode(entry["b64"])
    return entry


def type_of(servable, body, key):
    signature = servable.signatures.get(body["signature_name"])
    if signature is None:
        raise Refusal(3, "Serving signature name not found")
    return tf.as_dtype(signature.inputs[key].dtype).as_numpy_dtype


def rest_handler(servable):
    """The row format of POST /v1/models/NAME[/versions/N]:predict."""

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_POST(self):  # noqa: N802
            length = int(self.headers["Content-Length"])
            body = json.loads(self.rfile.read(length))
            try:
                status, answer = 200, self.answer(body)
            except Refusal as refusal:
                status = {3: 400, 5: 404}.get(refusal.code, 500)
                answer = {"error": str(refusal)}
            payload = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(payload)))
            self.end_headers()
            self.wfile.write(payload)

        def answer(self, body):
            path, _, verb = self.path.rpartition(":")
            parts = path.strip("/").split("/")
            if verb != "predict" or parts[:2] != ["v1", "models"]:
                raise Refusal(3, "Malformed request")
            request = predict_pb2.PredictRequest()
            request.model_spec.name = parts[2]
            if parts[3:4] == ["versions"]:
                request.model_spec.version.value = int(parts[4])
            request.model_spec.signature_name = body["signature_name"]
            rows = body["instances"]
            for key in rows[0]:
                values = [value_of(row[key]) for row in rows]
                if not isinstance(values[0], bytes):
                    # Python's floats have more bits than a signature's.
                    values = np.array(values, type_of(servable, body, key))
                request.inputs[key].CopyFrom(tf.make_tensor_proto(values))
            outputs = servable.predict(request).outputs
            predictions = []
            for index in range(len(rows)):
                row = {}
                for key, tensor in outputs.items():
                    row[key] = tf.make_ndarray(tensor)[index]
                    # Only names that end so are told to be binary.
                    if key.endswith("_bytes"):
                        encoded = base64.b64encode(row[key])
                        row[key] = {"b64": encoded.decode()}
                    else:
                        row[key] = row[key].item()
                # A single output stands for itself.
                predictions.append(
                    next(iter(row.values())) if len(row) == 1 else row
                )
            return {"predictions": predictions}

        def log_message(self, *_):
            pass

    return Handler


def main():
    servable = Servable(pathlib.Path(sys.argv[1]), sys.argv[2])
    warmed = servable.warm_up()
    unlimited = [
        ("grpc.max_receive_message_length", -1),
        ("grpc.max_send_message_length", -1),
    ]
    server = grpc.server(futures.ThreadPoolExecutor(2), options=unlimited)
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        Grpc(servable), server
    )
    port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    rest = http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), rest_handler(servable)
    )
    threading.Thread(target=rest.serve_forever, daemon=True).start()
    ready = {
        "grpc": port,
        "rest": rest.server_port,
        "version": servable.version,
        "warmed": warmed,
        "signatures": sorted(servable.signatures),
        "project": [m for m in sys.modules if m.startswith("tfexposure")],
        "numpy": np.__version__,
    }
    print(json.dumps(ready), flush=True)
    sys.stdin.read()
    server.stop(None)


if __name__ == "__main__":
    main()
