"""The page of `web/` in a real browser, against Python on the same file."""

import base64
import functools
import http.server
import pathlib
import shutil
import subprocess
import threading

import numpy as np
import pytest
from chromium import Chromium
from PIL import Image
from serving_models import make_generator, picture

from tfexposure import runtime, serving
from tfexposure.runtime import open_model, tiling

pytestmark = pytest.mark.tf_only
WEB = pathlib.Path(__file__).parents[1] / "web"
SIZE = 256


@pytest.fixture(scope="module")
def modules():
    """Installs what the page is made of, once per checkout."""
    if not shutil.which("npm"):
        pytest.skip("npm is needed to build the page")
    if not (WEB / "node_modules" / "@litertjs").exists():
        done = subprocess.run(["npm", "ci"], cwd=WEB, capture_output=True)
        if done.returncode:
            pytest.skip("npm ci could not fetch the page's dependencies")


@pytest.fixture(scope="module", params=["float32", "int8"])
def model(request, tmp_path_factory):
    """A .tflite file of a fixed size."""
    generator = make_generator()
    exported = runtime.KerasModel(generator)
    examples = [{"image": picture(SIZE, SIZE, seed=s)} for s in range(4)]
    contents = serving.convert_to_tflite(
        exported, request.param, SIZE, examples
    )
    path = tmp_path_factory.mktemp("model") / f"{request.param}.tflite"
    manifest = runtime.make_manifest(exported, size=SIZE)
    return serving.write_tflite(path, contents, manifest)


@pytest.fixture(scope="module")
def browser():
    with Chromium() as chromium:
        yield chromium


@pytest.fixture(scope="module")
def page(model, modules, browser, tmp_path_factory):
    """The browser, with the page of the model."""
    folder = tmp_path_factory.mktemp("page") / "dist"
    subprocess.run(
        ["node", WEB / "build.mjs", model, folder],
        check=True,
        capture_output=True,
    )
    handler = functools.partial(_Quiet, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    browser.open(f"http://127.0.0.1:{server.server_port}/")
    browser.wait("document.body.dataset.state !== 'loading'")
    yield browser
    server.shutdown()
    server.server_close()


class _Quiet(http.server.SimpleHTTPRequestHandler):
    def log_message(self, *_):
        pass


def restored_by(runner, image):
    """What the tile plan of `tfexposure correct` gives in Python."""
    restored = np.empty_like(image)
    rows, columns = tiling.grid(*image.shape[:2], runner)
    for row in rows:
        down = tiling.mirror(row.window + np.arange(SIZE), len(image))
        for column in columns:
            right = column.window + np.arange(SIZE)
            right = tiling.mirror(right, image.shape[1])
            answer = runner.restore(image[down][:, right])
            restored[row.start : row.stop, column.start : column.stop] = answer[
                row.inner, column.inner
            ]
    return restored


def status(page):
    return page.run("return document.getElementById('status').textContent")


def correct(page, path):
    """Gives the page a photo; returns what it shows as the answer."""
    page.run("document.body.dataset.state = 'waiting'")
    page.choose_file("#file", path)
    page.wait("['done', 'failed'].includes(document.body.dataset.state)")
    shape = page.run(
        """
        const canvas = document.getElementById('after');
        const {width, height} = canvas;
        const context = canvas.getContext('2d');
        const {data} = context.getImageData(0, 0, width, height);
        window.pixels = btoa(Array.from(data, (v) => String.fromCharCode(v))
            .join(''));
        return [height, width, document.body.dataset.state];
        """
    )
    assert shape[2] == "done", status(page)
    values = base64.b64decode(page.run("return window.pixels"))
    pixels = np.frombuffer(values, "uint8").reshape(*shape[:2], 4)
    assert (pixels[..., 3] == 255).all()
    return pixels[..., :3]


@pytest.mark.parametrize("size", [(90, 130), (270, 301)], ids=["one", "tiled"])
def test_the_page_answers_what_python_does(page, model, size, tmp_path):
    assert status(page).startswith(("Drop a photo", "301", "130")), status(page)
    pixels = np.round(picture(*size)[0] * 255).astype("uint8")
    path = tmp_path / "photo.png"
    Image.fromarray(pixels).save(path)
    shown = correct(page, path)
    runner = open_model(model)
    expected = restored_by(runner, pixels.astype("float32") / 255) * 255
    error = np.mean((shown - expected) ** 2)
    assert expected.std() > 5
    assert 10 * np.log10(255**2 / error) >= 45


def test_a_turned_photo_is_shown_upright(page, tmp_path):
    exif = Image.Exif()
    exif[0x0112] = 6
    pixels = np.round(picture(40, 60)[0] * 255).astype("uint8")
    Image.fromarray(pixels).save(tmp_path / "turned.jpg", exif=exif)
    assert correct(page, tmp_path / "turned.jpg").shape == (60, 40, 3)


def test_the_slider_uncovers_the_answer(page, tmp_path):
    pixels = np.round(picture(40, 60)[0] * 255).astype("uint8")
    Image.fromarray(pixels).save(tmp_path / "photo.png")
    correct(page, tmp_path / "photo.png")
    clip = page.run(
        """
        const slider = document.getElementById('slider');
        slider.value = 25;
        slider.dispatchEvent(new Event('input'));
        return getComputedStyle(document.getElementById('after')).clipPath;
        """
    )
    assert clip.endswith("25%)")
    file = tmp_path / "page.png"
    page.screenshot(file)
    assert Image.open(file).size[0] > 300


def test_a_file_that_is_no_picture_is_named(page, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    page.run("document.body.dataset.state = 'waiting'")
    page.choose_file("#file", tmp_path / "notes.txt")
    page.wait("document.body.dataset.state === 'failed'")
    assert "notes.txt" in status(page)


def test_the_tiles_are_those_of_python(page):
    cases = [
        (length, size, halo, 16)
        for length in (1, 16, 255, 256, 257, 300, 1000)
        for size, halo in ((256, 96), (512, 96), (64, 10))
    ]
    plans = page.run(
        """
        const {plan} = await import('./tiles.js');
        return args[0].map((c) => plan(...c));
        """,
        cases,
    )
    for (length, size, halo, stride), found in zip(cases, plans, strict=True):
        expected = tiling.plan(length, None, halo, stride, size)
        assert [(s["start"], s["stop"], s["window"]) for s in found] == [
            (span.start, span.stop, span.window) for span in expected
        ]


@pytest.mark.parametrize("size", [(3, 5), (37, 23)], ids=str)
def test_the_thumbnail_is_that_of_the_natural_model(page, size, monkeypatch):
    from tfexposure.imaging import clipping, thumbnail

    pixels = np.round(picture(*size)[0] * 255).astype("uint8")
    pixels[:2, :2] = 255
    alpha = np.full((*size, 1), 255, "uint8")
    found = page.run(
        """
        const {thumbnail} = await import('./tiles.js');
        const [data, height, width, side, share] = args;
        return Array.from(thumbnail({data, width, height}, side, share));
        """,
        np.concatenate([pixels, alpha], -1).ravel().tolist(),
        *size,
        8,
        list(clipping.COUNT_RAMP),
    )
    image = pixels[None].astype("float32") / 255
    monkeypatch.setattr(thumbnail, "THUMBNAIL_SIZE", 8)
    expected = thumbnail.thumbnails_of(image)
    np.testing.assert_allclose(
        np.reshape(found, (1, 8, 8, 9)), expected, atol=1e-5
    )
