"""The clients against a server, and its warm-up requests.

The server is `serving_stand_in.py`, and tensorflow_model_server too where it
is on PATH or named by TENSORFLOW_MODEL_SERVER.
"""

import io
import os
import pathlib
import shutil
import socket
import subprocess
import time
from concurrent import futures

import numpy as np
import pytest
from certificates import make_certificate
from conftest import HANG
from PIL import Image
from serving_models import (
    MODEL,
    STEP,
    answer,
    picture,
    saved_model,  # noqa: F401
    start_stand_in,
    trained,  # noqa: F401
)

import tfexposure
from tfexposure import cli
from tfexposure.errors import UserError
from tfexposure.runtime import server_clients as clients

pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api")
pytestmark = pytest.mark.tf_only

REAL = os.environ.get("TENSORFLOW_MODEL_SERVER") or shutil.which(
    "tensorflow_model_server"
)


@pytest.fixture(scope="module", params=["stand-in", "real"])
def server(request, saved_model, tmp_path_factory):  # noqa: F811
    """dict with the ports `grpc` and `rest` of a running server."""
    folder = tmp_path_factory.mktemp("server")
    log = (folder / "log").open("w+")
    start = start_stand_in if request.param == "stand-in" else _start_real
    process, ready = start(saved_model.parent, folder, log)
    yield ready
    process.stdin.close()
    process.terminate()
    process.wait(HANG)


def _start_real(base, folder, log):
    if not REAL:
        pytest.skip("tensorflow_model_server is not on PATH")
    ports = [_free_port(), _free_port()]
    process = subprocess.Popen(
        [
            REAL,
            f"--port={ports[0]}",
            f"--rest_api_port={ports[1]}",
            f"--model_name={MODEL}",
            f"--model_base_path={base}",
        ],
        stdin=subprocess.PIPE,
        stderr=log,
        cwd=folder,
    )
    client = clients.RestClient(
        f"127.0.0.1:{ports[1]}",
        connection=clients.Connection(timeout=30, retries=0),
    )
    end = time.monotonic() + HANG
    while True:
        try:
            client.restore(_png(np.zeros((4, 4, 3), "uint8")))
            break
        except UserError:
            assert process.poll() is None, "the server stopped"
            assert time.monotonic() < end, "the server never answered"
            time.sleep(1)
    return process, {"grpc": ports[0], "rest": ports[1], "version": STEP}


def _free_port():
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        return listener.getsockname()[1]


def _png(pixels):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def _pixels(height, width):
    return np.round(picture(height, width)[0] * 255).astype("uint8")


@pytest.fixture(params=["grpc", "rest"])
def connect(request, server):
    """Makes clients of one protocol."""

    def make(**options):
        address = f"127.0.0.1:{server[request.param]}"
        return clients.CLIENTS[request.param](address, **options)

    make.protocol = request.param
    return make


def test_the_stand_in_knows_no_project_code_and_was_warmed_up(server):
    if "project" not in server:
        pytest.skip("says nothing of the real server")
    assert server["project"] == []
    assert server["version"] == STEP
    assert server["warmed"] == 6  # Two photos, three signatures.
    assert "describe" in server["signatures"]


@pytest.mark.parametrize("size", [(21, 34), (240, 250)], ids=["small", "tiled"])
def test_a_server_answers_what_keras_does(connect, trained, size):  # noqa: F811
    pixels = _pixels(*size)
    reply = connect().restore(_png(pixels))
    received = np.asarray(Image.open(io.BytesIO(reply)))
    image = pixels[None].astype("float32") / 255
    expected = answer(trained[1].averaged, image)[0] * 255
    np.testing.assert_allclose(received, expected, atol=0.5001)


def test_an_address_opens_a_server_s_model(connect, server, trained):  # noqa: F811
    scheme = {"grpc": "grpc", "rest": "http"}[connect.protocol]
    address = f"{scheme}://127.0.0.1:{server[connect.protocol]}/{MODEL}"
    pixels = _pixels(21, 34)
    answers = [
        tfexposure.correct(pixels, model=model, force=True)
        for model in (address, f"{address}/{STEP}")
    ]
    image = pixels[None].astype("float32") / 255
    expected = answer(trained[1].averaged, image)[0] * 255
    for restored in answers:
        np.testing.assert_allclose(restored, expected, atol=0.5001)


def test_a_version_can_be_asked_for(connect):
    pixels = _png(_pixels(8, 8))
    assert connect(version=STEP).restore(pixels) == connect().restore(pixels)
    with pytest.raises(UserError, match="refused with (NOT_FOUND|status 404)"):
        connect(version=STEP + 1).restore(pixels)


def test_refusals_say_why(connect):
    refused = "refused with (INVALID_ARGUMENT|status 400).*element.*0.*"
    with pytest.raises(UserError, match=refused + "neither a JPEG nor a PNG"):
        connect().restore(b"GIF89a")
    with pytest.raises(UserError, match=refused + "more than 90000 pixels"):
        connect().restore(_png(np.zeros((301, 300, 3), "uint8")))
    with pytest.raises(UserError, match="NOT_FOUND|404"):
        connect(model="another").restore(_png(_pixels(8, 8)))


def test_no_server_and_no_answer_are_told_apart(connect):
    kind = clients.CLIENTS[connect.protocol]
    how = clients.Connection(timeout=5, retries=0)
    with pytest.raises(UserError, match="no server can be reached"):
        kind(f"127.0.0.1:{_free_port()}", connection=how).restore(b"")
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address = f"127.0.0.1:{silent.getsockname()[1]}"
        with pytest.raises(UserError, match="no answer within 0.3 s|reached"):
            how = clients.Connection(timeout=0.3)
            kind(address, connection=how).restore(b"")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """PEM files of a certificate for this machine, and of its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


def test_grpc_speaks_tls_with_those_it_trusts(certificate):
    import grpc
    from tensorflow_serving.apis import (
        predict_pb2,
        prediction_service_pb2_grpc,
    )

    class Echo(prediction_service_pb2_grpc.PredictionServiceServicer):
        def Predict(self, request, context):  # noqa: N802
            answer = predict_pb2.PredictResponse()
            sent = request.inputs["image_bytes"].string_val
            answer.outputs["restored_bytes"].string_val.extend(sent)
            return answer

    server = grpc.server(futures.ThreadPoolExecutor(1))
    prediction_service_pb2_grpc.add_PredictionServiceServicer_to_server(
        Echo(), server
    )
    chain, key = (pathlib.Path(path).read_bytes() for path in certificate)
    port = server.add_secure_port(
        "127.0.0.1:0", grpc.ssl_server_credentials([(key, chain)])
    )
    server.start()
    trusting = clients.Connection(retries=0, authority=certificate[0])
    for address in (f"grpcs://127.0.0.1:{port}", f"127.0.0.1:{port}"):
        client = clients.GrpcClient(address, connection=trusting)
        assert client.restore(b"a picture") == b"a picture"
    others = clients.Connection(retries=0)
    client = clients.GrpcClient(f"grpcs://127.0.0.1:{port}", connection=others)
    with pytest.raises(UserError, match="no server can be reached"):
        client.restore(b"a picture")
    server.stop(None)


def test_the_command_keeps_the_photo_s_metadata(
    connect,
    server,
    trained,  # noqa: F811
    tmp_path,
    capsys,
):
    exif = Image.Exif()
    exif[0x0112] = 6
    exif[0x010F] = "a camera"
    source, target = tmp_path / "in.jpg", tmp_path / "out.jpg"
    Image.fromarray(_pixels(40, 56)).save(source, quality=97, exif=exif)
    port = server[connect.protocol]
    status = cli.main(
        [
            *("client", str(source), str(target), "--force", "--quiet"),
            *(f"--protocol={connect.protocol}", f"--server=127.0.0.1:{port}"),
        ]
    )
    assert status == 0, capsys.readouterr().err
    with Image.open(source) as before, Image.open(target) as after:
        assert after.size == before.size == (56, 40)
        assert after.getexif()[0x010F] == "a camera"
        assert after.getexif()[0x0112] == before.getexif()[0x0112]
        image = np.asarray(before, "float32")[None] / 255
        # The answer to a turned picture is not the turned answer: the server
        # must have seen it upright.
        upright = np.rot90(image, -1, (1, 2))
        expected = np.rot90(answer(trained[1].averaged, upright)[0] * 255)
        assert np.abs(np.asarray(after) - expected).mean() < 3


def test_the_server_s_configuration_is_well_formed(repository):
    from google.protobuf import text_format
    from tensorflow_serving.config import model_server_config_pb2

    text = (repository / "export" / "serving" / "models.config").read_text()
    config = text_format.Parse(
        text, model_server_config_pb2.ModelServerConfig()
    )
    (model,) = config.model_config_list.config
    assert model.name == MODEL and model.base_path == "/models/tfexposure"
