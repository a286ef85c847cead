"""`tfexposure serve`: what it answers, refuses and counts; and its client."""

import base64
import concurrent.futures
import contextlib
import http.server
import io
import json
import pathlib
import re
import signal
import socket
import subprocess
import sys
import threading
import time

import numpy as np
import pytest
from certificates import make_certificate
from conftest import HANG
from photo_fakes import Gain
from PIL import Image, ImageCms

import tfexposure
from tfexposure import cli
from tfexposure.errors import UserError
from tfexposure.runtime import server_clients
from tfexposure.runtime.server import ServerModel
from tfexposure.runtime.server_clients import Connection, RestClient

requests = pytest.importorskip("requests")
for _extra in ("starlette", "uvicorn", "prometheus_client", "multipart"):
    pytest.importorskip(_extra)
pytest.importorskip("ai_edge_litert")

from tfexposure.http import app as http_app  # noqa: E402
from tfexposure.http import pages  # noqa: E402
from tfexposure.http.server import Server  # noqa: E402
from tfexposure.photo.io.photo import Limits  # noqa: E402

MODEL = "v1/models/tfexposure"


def picture(height=60, width=80, seed=0):
    """Uint8 (H, W, 3): a noisy ramp whose light end is clipped."""
    random = np.random.default_rng(seed)
    ramp = np.linspace(40, 400, width)[:, None] * [1, 0.95, 0.8]
    image = ramp + random.normal(0, 6, (height, width, 3))
    return np.clip(np.rint(image), 0, 255).astype(np.uint8)


def encoded(pixels, kind="JPEG", **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def decoded(contents):
    return np.asarray(Image.open(io.BytesIO(contents)))


@pytest.fixture(scope="module")
def server():
    """URL of a server in a process of its own; it must end well."""
    command = [
        *(sys.executable, "-m", "tfexposure.cli", "serve", "--port=0"),
        *("--max_pixels=1000000", "--max_bytes=500000", "--workers=2"),
        "--queue=20",
    ]
    with subprocess.Popen(
        command, stderr=subprocess.PIPE, text=True
    ) as process:
        line = process.stderr.readline()
        found = re.search(r"http://127\.0\.0\.1:\d+/", line)
        assert found, line + process.stderr.read()
        yield found[0]
        process.send_signal(signal.SIGTERM)
        assert process.wait(HANG) == 0
        assert process.stderr.read() == "tfexposure serve: stopped\n"


def post(server, data, path="correct", **options):
    return requests.post(server + path, data=data, params=options, timeout=HANG)


def predict(server, body, model=MODEL):
    return requests.post(f"{server}{model}:predict", json=body, timeout=HANG)


def refused(reply, status, words):
    """Whether a reply is an error of one line."""
    assert reply.status_code == status, reply.text
    message = reply.json()["error"]
    assert re.search(words, message), message
    assert "\n" not in message
    return message


def corrected(contents, tmp_path, *flags, suffix=".jpg"):
    """What `tfexposure correct` makes of a file."""
    source, target = tmp_path / "in.bin", tmp_path / f"out{suffix}"
    source.write_bytes(contents)
    words = ["correct", source, f"--output={target}", "--overwrite", "--quiet"]
    assert cli.main([str(word) for word in [*words, *flags]]) == 0
    return target.read_bytes()


def photo_with_all():
    """A JPEG lying on its side, with EXIF, and colours of a wide profile."""
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB"))
    return encoded(
        picture(), quality=90, exif=exif, icc_profile=profile.tobytes()
    )


def test_the_answer_is_the_file_that_correct_writes(server, tmp_path):
    photo = photo_with_all()
    reply = post(server, photo)
    assert reply.status_code == 200
    assert reply.headers["Content-Type"] == "image/jpeg"
    assert reply.content == corrected(photo, tmp_path) != photo
    with Image.open(io.BytesIO(reply.content)) as image:
        assert image.getexif()[0x0112] == 6
        assert image.getexif()[0x010F] == "a camera"
        assert image.info["icc_profile"]
    verdict = json.loads(reply.headers["Tfexposure-Verdict"])
    assert verdict["status"] == "corrected"
    assert verdict["verdict"] == "needs invention"
    assert verdict["clipped_before"] > 0.3 > verdict["clipped_after"]


def test_every_format_comes_back_as_correct_writes_it(server, tmp_path):
    pytest.importorskip("pillow_heif")
    photos = pathlib.Path(__file__).parent / "fixtures" / "fuzz"
    for path in sorted(photos.iterdir()):
        photo = path.read_bytes()
        reply = post(server, photo, force=1)
        assert reply.status_code == 200, path.name
        suffix = path.suffix
        expected = corrected(photo, tmp_path, "--force", suffix=suffix)
        assert reply.content == expected, path.name
        kind = reply.headers["Content-Type"].removeprefix("image/")
        expected = {".jpg": "jpeg", ".tif": "tiff"}.get(suffix, suffix[1:])
        assert kind == expected, path.name


def test_a_photo_that_needs_nothing_keeps_its_bytes(server):
    photo = encoded(picture() // 3, "PNG")
    reply = post(server, photo)
    assert reply.content == photo
    assert reply.headers["Content-Type"] == "image/png"
    verdict = json.loads(reply.headers["Tfexposure-Verdict"])
    assert verdict["status"] == "unchanged"


@pytest.mark.parametrize(
    "options",
    [
        {"strength": 0.5, "ev": -1},
        {"stops": 2, "highlights_only": "true"},
        {"format": "png", "metadata": "strip"},
        {"quality": 40, "subsampling": "4:2:0", "force": "1"},
    ],
    ids=lambda options: "-".join(options),
)
def test_options_are_those_of_correct(server, tmp_path, options):
    photo = photo_with_all()
    flags = [
        f"--{name}" if value in ("true", "1") else f"--{name}={value}"
        for name, value in options.items()
    ]
    suffix = ".png" if "format" in options else ".jpg"
    expected = corrected(photo, tmp_path, *flags, suffix=suffix)
    assert post(server, photo, **options).content == expected
    assert expected != corrected(photo, tmp_path)


def test_a_form_and_the_verdict_alone(server, tmp_path):
    photo = encoded(picture())
    reply = requests.post(
        server + "correct", files={"photo": ("a.jpg", photo)}, timeout=HANG
    )
    assert reply.content == corrected(photo, tmp_path)
    verdict = post(server, photo, answer="json").json()
    told = json.loads(reply.headers["Tfexposure-Verdict"])
    for name in ("status", "verdict", "stops", "tau", "notes"):
        assert verdict[name] == told[name]


def test_forms_without_a_photo_are_refused(server):
    reply = requests.post(
        server + "correct", files={"photo": (None, "text")}, timeout=HANG
    )
    refused(reply, 400, "photo: expected a file in the form")
    reply = requests.post(
        server + "correct",
        b"--",
        headers={"Content-Type": "multipart/form-data"},
        timeout=HANG,
    )
    refused(reply, 400, "boundary")


def claiming(width, height):
    """A JPEG whose header claims another size than it has."""
    contents = bytearray(encoded(picture()))
    at = contents.index(b"\xff\xc0") + 5
    contents[at : at + 4] = (height << 16 | width).to_bytes(4, "big")
    return bytes(contents)


@pytest.mark.parametrize(
    "contents, status, words",
    [
        (b"", 400, "empty"),
        (b"no photo at all", 400, "not a photo"),
        (encoded(picture())[:900], 400, "damaged or cut short"),
        (claiming(9000, 9000), 400, "9000 x 9000 pixels.*max_pixels"),
        (claiming(990, 1000), 400, "more than .* bytes can hold"),
        (bytes(500_001), 413, "more than the 500,000 bytes.*max_bytes"),
        ((bytes(9_000) for _ in range(99)), 413, "more than the 500,000 bytes"),
    ],
    ids=["empty", "text", "cut", "81-MP", "impossible", "large", "chunks"],
)
def test_bad_photos_are_refused(server, contents, status, words):
    refused(post(server, contents), status, words)


@pytest.mark.parametrize(
    "query, words",
    [
        ("strenght=1", "strenght: no such option; there are strength, ev"),
        ("strength=2", "strength: expected a number from 0 to 1.*: 2"),
        ("ev=nan", "ev: expected a number from -5 to 5"),
        ("quality=1.5", "quality: expected a whole number from 1 to 100"),
        ("force=perhaps", "force: expected true or false"),
        ("format=gif", "format: expected one of avif, bmp"),
        ("ev=1&ev=2", "ev: given twice"),
        ("url=http://localhost/a.jpg", "url: no such option"),
    ],
)
def test_bad_options_are_refused(server, query, words):
    photo = encoded(picture())
    refused(post(server, photo, f"correct?{query}"), 400, words)


def test_addresses_and_methods_that_are_not_there(server):
    refused(requests.get(server + "nothing", timeout=HANG), 404, "Not Found")
    refused(requests.get(server + "correct", timeout=HANG), 405, "Method")


def test_only_this_machine_and_its_own_pages_are_served(server):
    def ask(**headers):
        return requests.post(
            server + "correct",
            encoded(picture()),
            headers=headers,
            timeout=HANG,
        )

    assert ask(Host="photos.example").status_code == 400
    refused(ask(Origin="http://photos.example"), 403, "photos.example may not")
    assert ask(Origin=server.rstrip("/")).status_code == 200


def test_many_at_once_get_their_own_answers(server, tmp_path):
    photos = [encoded(picture(40 + n, 70 - n, n)) for n in range(12)]
    expected = [corrected(photo, tmp_path) for photo in photos]
    with concurrent.futures.ThreadPoolExecutor(12) as pool:
        replies = list(pool.map(lambda photo: post(server, photo), photos))
    assert [reply.content for reply in replies] == expected


def test_images_as_tensorflow_serving_takes_them(server):
    images = [picture(9, 14, n) for n in range(2)]
    expected = [tfexposure.correct(image) for image in images]
    body = {
        "signature_name": "serving_uint8",
        "instances": [{"image": image.tolist()} for image in images],
    }
    rows = predict(server, body).json()["predictions"]
    np.testing.assert_array_equal([row["restored"] for row in rows], expected)
    assert all(row["changed"] and row["share"] > 0 for row in rows)
    # By columns, in floating point, under the default signature.
    values = np.float32(images) / np.float32(255)
    reply = predict(server, {"inputs": values.tolist()}, MODEL + "/versions/1")
    outputs = reply.json()["outputs"]
    np.testing.assert_allclose(
        outputs["restored"],
        [tfexposure.correct(value) for value in values],
        atol=1e-6,
    )
    assert sorted(outputs) == [
        *("changed", "clipped", "restored", "share", "stops", "stops_spread")
    ]


def test_bytes_as_tensorflow_serving_takes_them(server):
    turned = photo_with_all()
    left_alone = encoded(picture() // 3)
    body = {
        "signature_name": "serving_bytes",
        "instances": [
            {"b64": base64.b64encode(contents).decode()}
            for contents in (turned, left_alone)
        ],
    }
    first, second = predict(server, body).json()["predictions"]
    assert first["changed"] and not second["changed"]
    contents = [
        base64.b64decode(row["restored_bytes"]["b64"])
        for row in (first, second)
    ]
    assert contents[1] == left_alone
    with Image.open(io.BytesIO(contents[0])) as image:
        # Upright, without tags, in full colour: as a SavedModel encodes.
        assert image.size == (60, 80) and not image.getexif()
        upright = np.rot90(decoded(turned), -1)
        expected = tfexposure.correct(np.ascontiguousarray(upright))
        assert np.abs(np.asarray(image) - expected.astype(float)).mean() < 2


def test_options_as_tensorflow_serving_takes_them(server):
    image = picture(12, 20)
    wishes = [
        {"strength": 1.0, "ev": 0.0, "stops": -1.0, "force": False},
        {"strength": 0.5, "ev": 1.0, "stops": -1.0, "force": True},
        {"strength": 1.0, "ev": 0.0, "stops": 2, "force": False},
    ]
    body = {
        "signature_name": "serving_options",
        "instances": [{"image": image.tolist(), **wish} for wish in wishes],
    }
    rows = predict(server, body).json()["predictions"]
    for row, wish in zip(rows, wishes, strict=True):
        stops = None if wish["stops"] < 0 else wish["stops"]
        expected = tfexposure.correct(image, **(wish | {"stops": stops}))
        np.testing.assert_array_equal(row["restored"], expected)


@pytest.mark.parametrize(
    "body, status, words",
    [
        ({}, 400, '"instances" or "inputs"'),
        ([], 400, "JSON object"),
        ({"instances": []}, 400, "a list, not empty"),
        ({"instances": [1]}, 400, r"image: element 0.*\(H, W, 3\)"),
        ({"instances": [[[[1, 2]]]]}, 400, r"image: element 0.*\(1, 1, 2\)"),
        ({"instances": [[[1], [1, 2]]]}, 400, "image: element 0"),
        ({"inputs": {"picture": []}}, 400, "expected image"),
        ({"inputs": {"image": []}}, 400, "lists of one length"),
        (
            {"signature_name": "serving_uint8", "instances": [[[[0, 0, 300]]]]},
            400,
            "from 0 to 255",
        ),
        (
            {"signature_name": "serving_bytes", "instances": ["text"]},
            400,
            "image_bytes: element 0.*b64",
        ),
        (
            {"signature_name": "serving_bytes", "instances": [{"b64": "R0lG"}]},
            400,
            "image_bytes: element 0: not a photo",
        ),
        ({"signature_name": "other", "instances": [1]}, 400, "other.*not foun"),
    ],
)
def test_bad_requests_are_refused(server, body, status, words):
    refused(predict(server, body), status, words)


def test_bad_json_is_refused(server):
    for text, words in [
        ("{", "JSON Parse error"),
        ('{"instances": [NaN]}', "NaN is no number"),
        ("[" * 100_000, "JSON Parse error"),
    ]:
        reply = post(server, text, f"{MODEL}:predict")
        refused(reply, 400, words)
    wish = {"strength": 9, "ev": 0, "stops": -1, "force": False}
    row = {"image": [[[0, 0, 0]]], **wish}
    body = {"signature_name": "serving_options", "instances": [row]}
    refused(predict(server, body), 400, r"strength should lie in \[0, 1\]")
    body["instances"][0]["force"] = 1
    refused(predict(server, body), 400, "force: element 0: expected true or")


def test_the_model_is_described(server):
    def get(path):
        return requests.get(server + path, timeout=HANG)

    (status,) = get(MODEL).json()["model_version_status"]
    assert status["state"] == "AVAILABLE" and status["version"] == "1"
    signatures = get(MODEL + "/metadata").json()["metadata"]
    signatures = signatures["signature_def"]["signature_def"]
    inputs = signatures["serving_bytes_options"]["inputs"]
    assert inputs["image_bytes"]["dtype"] == "DT_STRING"
    assert inputs["strength"]["tensor_shape"]["dim"][0]["size"] == "-1"
    described = predict(server, {"signature_name": "describe", "inputs": {}})
    manifest = json.loads(described.json()["outputs"])
    assert manifest["model"] == "natural"
    assert manifest["signatures"] == list(signatures)
    refused(get("v1/models/exposure"), 404, "exposure; this server has tfexp")
    refused(get(MODEL + "/versions/2"), 404, "version 2")


def test_the_endpoints_are_described_without_other_hosts(server):
    description = requests.get(server + "openapi.json", timeout=HANG).json()
    page = requests.get(server + "docs", timeout=HANG)
    assert "default-src 'none'" in page.headers["Content-Security-Policy"]
    assert not re.search(r"<script|(src|href)=.?(\w+:)?//", page.text)
    for path, operations in description["paths"].items():
        assert path in page.text
        for method in operations:
            reply = requests.request(method, server + path[1:], timeout=HANG)
            assert reply.status_code != 404, path
    options = description["paths"]["/correct"]["post"]["parameters"]
    assert {"strength", "ev", "stops", "force", "format", "quality"} <= {
        option["name"] for option in options
    }


def figures(server):
    """Name and labels -> value, of `/metrics`."""
    text = requests.get(server + "metrics", timeout=HANG).text
    lines = [line for line in text.splitlines() if not line.startswith("#")]
    return {k: float(v) for k, _, v in (n.rpartition(" ") for n in lines)}


def test_health_and_metrics(server):
    health = requests.get(server + "healthz", timeout=HANG)
    assert health.json() == {"status": "ok"}
    before = figures(server)
    photo = encoded(picture())
    post(server, photo)
    post(server, photo)
    post(server, b"no photo")
    post(server, photo, nonsense=1)
    after = figures(server)
    grown = {
        name: after[name] - before.get(name, 0)
        for name in after
        if name.startswith("tfexposure") and "created" not in name
    }
    requests_of = 'tfexposure_requests_total{code="%d",endpoint="/correct"}'
    assert grown[requests_of % 200] == 2
    assert grown[requests_of % 400] == 2
    assert grown['tfexposure_photos_total{status="corrected"}'] == 2
    assert grown['tfexposure_photos_total{status="failed"}'] == 1
    assert grown["tfexposure_pixels_total"] == 2 * 60 * 80
    seconds = 'tfexposure_request_seconds_count{endpoint="/correct"}'
    assert grown[seconds] == 4
    assert after["tfexposure_requests_in_hand"] == 0


def test_the_client_s_answer_is_correct_s(server, tmp_path):
    photo = photo_with_all()
    expected = corrected(photo, tmp_path)
    source, target = tmp_path / "in.jpg", tmp_path / "out.jpg"
    source.write_bytes(photo)
    command = ["client", str(source), f"--output={target}", "--overwrite"]
    command += ["--quiet", f"--server={server}"]
    assert cli.main([*command, "--send=pixels"]) == 0
    assert target.read_bytes() == expected
    assert cli.main(command) == 0
    with Image.open(target) as image:
        assert image.getexif()[0x010F] == "a camera"
        apart = np.asarray(image, float) - decoded(expected)
    address = f"{server}tfexposure"
    tfexposure.correct(source, target, model=address)
    assert target.read_bytes() == expected
    # A JPEG's answer is a JPEG, too, on its way.
    assert 0 < np.abs(apart).mean() < 3


class Recorder:
    """A client that keeps what it sends."""

    server = "a server"

    def __init__(self):
        self.sent = []

    def restore(self, contents, options=None):
        self.sent.append(contents)
        return contents


def profiled(name):
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile(name))
    return profile.tobytes()


@pytest.mark.parametrize(
    "photo, own",
    [
        (encoded(picture()), True),
        (encoded(picture(), "PNG"), True),
        (photo_with_all(), True),
        (encoded(picture()[..., 0]), True),
        (encoded(picture(), "WEBP", lossless=True), False),
        (encoded(picture(), icc_profile=profiled("LAB")[:200]), True),
        (encoded(picture()[..., [0, 1, 2, 2]], "PNG"), False),
        (encoded(picture()[..., 0].astype(np.uint16), "PNG"), False),
    ],
    ids=["jpeg", "png", "turned", "grey", "webp", "broken", "alpha", "deep"],
)
def test_a_file_is_sent_as_it_is_where_it_tells_all(tmp_path, photo, own):
    kind = Image.open(io.BytesIO(photo)).format.lower()
    source = tmp_path / f"in.{kind}"
    source.write_bytes(photo)
    for sends_files in (True, False):
        client = Recorder()
        model = ServerModel(client, sends_files)
        tfexposure.correct(source, model=model, force=True)
        assert (client.sent[-1] == photo) == (own and sends_files)


class Unwilling(http.server.BaseHTTPRequestHandler):
    """Answers the statuses that it is given, then a picture."""

    statuses, asked, picture = [], 0, encoded(picture(), "PNG")

    def do_POST(self):  # noqa: N802
        self.rfile.read(int(self.headers["Content-Length"]))
        type(self).asked += 1
        status = self.statuses.pop(0) if self.statuses else 200
        answer = {"error": "not now"}
        if status == 200:
            contents = base64.b64encode(self.picture).decode()
            answer = {"predictions": [{"b64": contents}]}
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.mark.parametrize(
    "statuses, retries, asked, words",
    [
        ([503, 429, 502], 3, 4, None),
        ([503, 503], 1, 2, "status 503: not now"),
        ([400], 3, 1, "status 400: not now"),
        ([504], 3, 1, "status 504: not now"),
    ],
)
def test_the_client_tries_again_where_that_may_help(
    monkeypatch, statuses, retries, asked, words
):
    waits = []
    monkeypatch.setattr(server_clients.time, "sleep", waits.append)
    handler = type("Handler", (Unwilling,), {"statuses": statuses})
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        client = RestClient(
            f"127.0.0.1:{server.server_port}",
            connection=Connection(HANG, retries=retries),
        )
        if words:
            with pytest.raises(UserError, match=words):
                client.restore(b"")
        else:
            assert client.restore(b"") == Unwilling.picture
        server.shutdown()
    assert handler.asked == asked
    # Each is longer than the one before, but for chance.
    for number, wait in enumerate(waits):
        assert 0.125 * 2**number <= wait <= 0.25 * 2**number
    assert len(waits) == asked - 1


def test_the_client_waits_as_long_as_it_is_told():
    model, photo = Held(), encoded(picture())
    with running(held_app(model)) as url:
        client = RestClient(url, connection=Connection(HANG, 0.3))
        with pytest.raises(UserError, match="no answer within 0.3 s"):
            client.restore(photo)
        model.let.set()


@contextlib.contextmanager
def running(app, **options):
    """The URL of an application that listens in a thread."""
    server = Server(app, "127.0.0.1", 0, 60, **options)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        yield server.url
    finally:
        server.stop()
        thread.join(HANG)
        assert not thread.is_alive()


class Held(Gain):
    """A model that answers only when it is let."""

    def __init__(self):
        super().__init__()
        self.begun, self.let = threading.Event(), threading.Event()

    def restore(self, image, thumbnail=None):
        self.begun.set()
        assert self.let.wait(HANG)
        return super().restore(image)


def held_app(model, workers=1, queue=1, timeout=HANG):
    bounds = http_app.Bounds(workers, queue, timeout)
    return http_app.make_app(model, Limits(), bounds)


def wait_for(condition):
    end = time.monotonic() + HANG
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.01)


def test_more_than_the_queue_holds_is_told_to_come_again():
    model, photo = Held(), encoded(picture())
    with running(held_app(model)) as url, _pool(3) as pool:
        replies = [pool.submit(post, url, photo, force=1) for _ in range(2)]
        wait_for(lambda: figures(url)["tfexposure_requests_in_hand"] == 2)
        reply = post(url, photo, force=1)
        refused(reply, 503, "2 requests are in hand")
        assert reply.headers["Retry-After"] == "1"
        # A client that retries gets its answer in the end.
        client = RestClient(url, connection=Connection(HANG, retries=99))
        late = pool.submit(client.restore, photo)
        model.let.set()
        assert [reply.result().status_code for reply in replies] == [200, 200]
        assert decoded(late.result(HANG)).shape == (60, 80, 3)
        assert figures(url)["tfexposure_requests_in_hand"] == 0


_pool = concurrent.futures.ThreadPoolExecutor


def test_what_takes_too_long_is_given_up():
    model, photo = Held(), encoded(picture())
    with running(held_app(model, timeout=0.5)) as url:
        refused(post(url, photo, force=1), 504, "no answer within 0.5 s")
        # Its thread still holds its place, and gives up when it can.
        assert figures(url)["tfexposure_requests_in_hand"] == 1
        model.let.set()
        wait_for(lambda: figures(url)["tfexposure_requests_in_hand"] == 0)
        assert post(url, photo, force=1).status_code == 200
        counted = 'tfexposure_photos_total{status="corrected"}'
        assert figures(url)[counted] == 1


def test_a_client_that_goes_away_frees_its_place():
    model, photo = Held(), encoded(picture())

    def in_hand():
        return figures(url)["tfexposure_requests_in_hand"]

    with running(held_app(model)) as url, _pool(1) as pool:
        first = pool.submit(post, url, photo, force=1)
        assert model.begun.wait(HANG)
        host, port = url.split("/")[2].split(":")
        with socket.create_connection((host, int(port)), HANG) as connection:
            connection.sendall(
                b"POST /correct?force=1 HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Length: %d\r\n\r\n%b" % (len(photo), photo)
            )
            wait_for(lambda: in_hand() == 2)
        wait_for(lambda: in_hand() == 1)
        model.let.set()
        assert first.result().status_code == 200
        assert len(model.sizes) == 1


def test_an_upload_that_does_not_end_is_given_up():
    with running(held_app(Held(), timeout=0.5)) as url:
        host, port = url.split("/")[2].split(":")
        with socket.create_connection((host, int(port)), HANG) as connection:
            connection.sendall(
                b"POST /correct HTTP/1.1\r\nHost: localhost\r\n"
                b"Content-Length: 99\r\n\r\nbegun"
            )
            reply = connection.recv(4096)
        assert b" 408 " in reply.split(b"\r\n")[0]
        assert figures(url)["tfexposure_requests_in_hand"] == 0


_SLOW_SERVER = """
import sys, threading, time
sys.path.insert(0, sys.argv[1])
from photo_fakes import Gain
from tfexposure.http import app, server
from tfexposure.photo.io.photo import Limits

class Slow(Gain):
    def restore(self, image, thumbnail=None):
        print("begun", flush=True)
        sys.stdin.readline()
        return super().restore(image)

made = app.make_app(Slow(), Limits(), app.Bounds(1, 1, 600))
listening = server.Server(made, "127.0.0.1", 0, 600)
print(listening.url, flush=True)
listening.run()
print("stopped", flush=True)
"""


def test_a_signal_lets_it_finish_what_is_in_hand():
    tests = pathlib.Path(__file__).parent
    photo = encoded(picture())
    with (
        subprocess.Popen(
            [sys.executable, "-c", _SLOW_SERVER, tests],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        ) as process,
        _pool(2) as pool,
    ):
        url = process.stdout.readline().strip()
        replies = [pool.submit(post, url, photo, force=1) for _ in range(2)]
        assert process.stdout.readline() == "begun\n"
        wait_for(lambda: figures(url)["tfexposure_requests_in_hand"] == 2)
        process.send_signal(signal.SIGTERM)
        wait_for(lambda: not _listens(url))
        process.stdin.write("\n\n")
        process.stdin.flush()
        assert [reply.result().status_code for reply in replies] == [200, 200]
        assert process.wait(HANG) == 0
        assert process.stdout.read() == "begun\nstopped\n"


def _listens(url):
    host, port = url.split("/")[2].split(":")
    try:
        socket.create_connection((host, int(port)), 1).close()
    except OSError:
        return False
    return True


def test_the_page_is_served_where_there_is_one(tmp_path):
    folder = tmp_path / "page"
    folder.mkdir()
    (folder / "index.html").write_text("<p>the page")
    (folder / "run.wasm").write_bytes(b"\0asm")
    (tmp_path / "secret").write_text("nobody's business")
    headers = {"Cross-Origin-Opener-Policy": "same-origin"}
    page = pages.WebPage(folder, headers)
    app = http_app.make_app(Gain(), Limits(), page=page)
    with running(app) as url:
        page = requests.get(url, timeout=HANG)
        assert page.text == "<p>the page"
        assert page.headers["Cross-Origin-Opener-Policy"] == "same-origin"
        wasm = requests.get(url + "run.wasm", timeout=HANG)
        assert wasm.headers["Content-Type"] == "application/wasm"
        for path in ("%2e%2e/secret", "..%2fsecret"):
            assert requests.get(url + path, timeout=HANG).status_code == 404
        assert requests.get(url + "healthz", timeout=HANG).ok


@pytest.fixture(scope="module")
def certificate(tmp_path_factory):
    """PEM files of a certificate for this machine, and of its key."""
    return make_certificate(tmp_path_factory.mktemp("tls"))


def test_the_client_speaks_tls_with_those_it_trusts(
    certificate, tmp_path, capsys
):
    app = http_app.make_app(Gain(), Limits())
    source, target = tmp_path / "in.png", tmp_path / "out.png"
    source.write_bytes(encoded(picture(), "PNG"))
    command = ["client", str(source), f"--output={target}", "--quiet"]
    with running(app, certificate=certificate[0], key=certificate[1]) as url:
        assert url.startswith("https://")
        trusting = [f"--server={url}", f"--tls_ca={certificate[0]}"]
        assert cli.main([*command, *trusting]) == 0
        expected = np.rint(picture() * np.float32(0.7))
        np.testing.assert_allclose(decoded(target.read_bytes()), expected)
        target.unlink()
        assert cli.main([*command, f"--server={url}"]) == 1
        assert "certificate verify failed" in capsys.readouterr().err
        assert not target.exists()


def test_a_certificate_that_cannot_be_used_is_named(tmp_path):
    nothing = tmp_path / "none.pem"
    nothing.write_text("")
    with pytest.raises(UserError, match="none.pem: no certificate"):
        Server(None, "127.0.0.1", 0, 1, str(nothing))
    with pytest.raises(UserError, match="absent.pem: cannot be read"):
        RestClient("x", connection=Connection(authority="absent.pem"))


def test_a_port_that_is_taken_and_bad_flags_are_named(capsys):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        assert cli.main(["serve", f"--port={port}"]) == 1
    error = capsys.readouterr().err
    assert f"127.0.0.1:{port}: cannot listen there" in error
    for flag, words in [
        ("--workers=0", "--workers should be at least 1"),
        ("--timeout=0", "--timeout should be positive"),
        ("--tls_key=k.pem", "--tls_key needs --tls_cert"),
    ]:
        assert cli.main(["serve", flag]) == 2
        assert words in capsys.readouterr().err


@pytest.mark.parametrize("module", ["uvicorn", "starlette"])
def test_without_the_extra_one_line_says_what_to_install(
    module, monkeypatch, capsys
):
    monkeypatch.setitem(sys.modules, module, None)
    assert cli.main(["serve"]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert 'pip install "tfexposure[server]"' in line
