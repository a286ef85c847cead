"""The page of `web/` in a real browser, against Python on the same photos."""

import base64
import functools
import http.server
import io
import json
import pathlib
import shutil
import struct
import subprocess
import threading
import time

import numpy as np
import pytest
from chromium import Chromium
from conftest import HANG
from PIL import Image

import tfexposure
from tfexposure import cli, web
from tfexposure.errors import UserError
from tfexposure.imaging.exposure import overexpose
from tfexposure.photo.io import colour, jpeg

pytestmark = pytest.mark.tf_only
SOURCE = pathlib.Path(__file__).parents[1] / "web"
DESKTOP, PHONE = (1280, 800), (390, 844)


@pytest.fixture(scope="module")
def modules():
    """Installs what the page is made of, once per checkout."""
    if not shutil.which("npm"):
        pytest.skip("npm is needed to build the page")
    if not (SOURCE / "node_modules" / "esbuild").exists():
        done = subprocess.run(["npm", "ci"], cwd=SOURCE, capture_output=True)
        if done.returncode:
            pytest.skip("npm ci could not fetch the page's dependencies")
    return SOURCE / "node_modules"


@pytest.fixture(scope="module")
def folder(modules, tmp_path_factory):
    """The built page."""
    folder = tmp_path_factory.mktemp("page") / "page"
    model = SOURCE.parent / "tfexposure" / "pretrained" / "natural.tflite"
    build = ["node", SOURCE / "build.mjs", model, folder]
    subprocess.run(build, check=True, capture_output=True)
    return folder


class _Handler(http.server.SimpleHTTPRequestHandler):
    headers_sent = web.HEADERS

    def end_headers(self):
        for name, value in self.headers_sent.items():
            self.send_header(name, value)
        super().end_headers()

    def log_message(self, *_):
        pass


class _PlainHandler(_Handler):
    headers_sent = {}


def serve(folder, handler):
    handler = functools.partial(handler, directory=folder)
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    return server, f"http://127.0.0.1:{server.server_port}/"


@pytest.fixture(scope="module")
def address(folder):
    server, address = serve(folder, _Handler)
    yield address
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def browser():
    with Chromium() as chromium:
        yield chromium


@pytest.fixture
def page(browser, address):
    """The browser, with the page just opened."""
    browser.pretend(*DESKTOP)
    enter(browser, address)
    yield browser


def enter(browser, address):
    browser.open(address)
    browser.wait("document.body?.dataset.state === 'ready'")
    # What is saved can be taken from here.
    browser.run(
        """
        window.saved = [];
        const make = URL.createObjectURL;
        URL.createObjectURL = (blob) => {
          saved.push(blob);
          return make(blob);
        };
        """
    )


def sample(repository, name, tau=1.0, size=None):
    """A sample photo with its light brought to 1 / tau: uint8."""
    with Image.open(repository / "samples" / f"{name}.jpg") as image:
        image = image.convert("RGB")
        pixels = np.asarray(image.resize(size) if size else image)
    exposed = overexpose(pixels.astype("float32") / 255, tau)
    return np.rint(exposed * 255).astype("uint8")


def add(page, *paths):
    """Gives the page photos, one after the other."""
    count = page.run("return document.querySelectorAll('#strip li').length")
    for path in paths:
        page.choose_file("#file", path)
    count += len(paths)
    page.wait(
        "document.body.dataset.state === 'ready' && "
        f"document.querySelectorAll('#strip li').length === {count}"
    )


def write(path, pixels, **options):
    Image.fromarray(pixels).save(path, **options)
    return path


def put(page, selector, value):
    """Moves a slider, or chooses of a list."""
    page.run(
        """
        const element = document.querySelector(args[0]);
        element.value = args[1];
        for (const kind of ['input', 'change'])
          element.dispatchEvent(new Event(kind, {bubbles: true}));
        """,
        selector,
        value,
    )


def save(page, kind="image/png"):
    """Saves the photo that is shown; returns the file's bytes."""
    put(page, "#type", kind)
    count = page.run("return saved.length")
    page.click("#save")
    page.wait(f"saved.length > {count} || errors.childElementCount")
    assert not page.run("return errors.textContent")
    return taken(page, -1)


def taken(page, index):
    """Bytes of a file that was saved."""
    coded = page.run(
        """
        const reader = new FileReader();
        reader.readAsDataURL(saved.at(args[0]));
        await new Promise((resolve) => { reader.onload = resolve; });
        return reader.result.split(',')[1];
        """,
        index,
    )
    return base64.b64decode(coded)


def decoded(contents, mode="RGB"):
    return np.asarray(Image.open(io.BytesIO(contents)).convert(mode))


def assert_alike(found, expected):
    """Within one level of 8 bits: the network itself computes in 8 bits."""
    assert found.shape == expected.shape
    difference = np.abs(found.astype(int) - expected)
    assert difference.max() <= 1 and difference.mean() < 0.15


def shown(page, name="after"):
    """Pixels of a layer as they are on the screen, RGB."""
    width, height, values = page.run(
        """
        const canvas = document.querySelector(`#${args[0]} canvas`);
        const copy = new OffscreenCanvas(canvas.width, canvas.height);
        const context = copy.getContext('2d');
        context.drawImage(canvas, 0, 0);
        const {data} = context.getImageData(0, 0, copy.width, copy.height);
        return [copy.width, copy.height,
                btoa(Array.from(data, (v) => String.fromCharCode(v)).join(''))];
        """,
        name,
    )
    pixels = np.frombuffer(base64.b64decode(values), "uint8")
    return pixels.reshape(height, width, 4)[..., :3]


def shown_when(page, condition):
    """The pixels of the answer once they are as they should be."""
    end = time.monotonic() + HANG
    while time.monotonic() < end:
        view = shown(page)
        if condition(view):
            return view
    pytest.fail("the page never showed what it should")


def verdict(page):
    text = page.run("return document.getElementById('verdict').innerText")
    return text.replace("\xa0", " ")


CASES = {
    "landscape": lambda root: sample(root, "china"),
    "portrait": lambda root: np.rot90(sample(root, "chelsea", 0.4)),
    "grey": lambda root: sample(root, "coffee", 0.4)[..., 1],
    "mixed in part": lambda root: sample(root, "chelsea", 0.5),
    "framed": lambda root: np.pad(
        sample(root, "coffee", 0.6)[:301, :],
        ((20, 25), (30, 15), (0, 0)),
        constant_values=255,
    ),
}


@pytest.mark.parametrize("name", CASES)
def test_photos_come_out_as_in_python(page, name, repository, tmp_path):
    pixels = np.ascontiguousarray(CASES[name](repository))
    add(page, write(tmp_path / "photo.png", pixels))
    found = decoded(save(page), "L" if pixels.ndim == 2 else "RGB")
    expected = tfexposure.correct(pixels)
    assert_alike(found, expected)
    assert (expected != pixels).mean() > 0.5


def test_a_photo_of_12_megapixels_leaves_the_page_awake(
    page, repository, tmp_path
):
    pixels = sample(repository, "friends", 0.5, (3000, 4001))
    path = write(tmp_path / "large.jpg", pixels, quality=92)
    page.run(
        """
        window.blocked = [0];
        new PerformanceObserver((list) => {
          for (const task of list.getEntries()) blocked.push(task.duration);
        }).observe({type: 'longtask'});
        """
    )
    add(page, path)
    put(page, "#ev", 0.5)
    put(page, "#ev", 0)
    contents = save(page)
    # The answer itself takes seconds; 50 ms on a machine with nothing else to
    # do (docs/page.md).
    assert page.run("return Math.max(...blocked)") < 400
    with Image.open(path) as image:
        assert_alike(decoded(contents), tfexposure.correct(np.asarray(image)))


@pytest.mark.parametrize(
    "moved, options",
    [
        ({"#strength": 40}, {"strength": 0.4}),
        ({"#ev": -0.5}, {"ev": -0.5}),
        ({"#stops": 1.5, "#ev": 0.25}, {"stops": 1.5, "ev": 0.25}),
    ],
    ids=str,
)
def test_sliders_are_the_options_of_correct(
    page, moved, options, repository, tmp_path
):
    pixels = sample(repository, "chelsea", 0.4)
    add(page, write(tmp_path / "photo.png", pixels))
    for selector, value in moved.items():
        put(page, selector, value)
    expected = tfexposure.correct(pixels, **options)
    assert_alike(decoded(save(page)), expected)

    # So is what the page shows; small photos are drawn at full size.
    def near(view):
        return np.abs(view.astype(int) - expected).max() <= 1

    assert_alike(shown_when(page, near), expected)


def test_a_photo_left_alone_says_why_and_can_be_forced(
    page, repository, tmp_path
):
    pixels = sample(repository, "flower")
    add(page, write(tmp_path / "good.png", pixels))
    assert "Left as it is\n" in verdict(page)
    assert "takes it for well exposed" in verdict(page)
    assert page.run("return document.getElementById('save').disabled")
    page.click("#force")
    page.wait("!document.getElementById('save').disabled")
    expected = tfexposure.correct(pixels, force=True)
    assert_alike(decoded(save(page)), expected)
    document = np.full((200, 150, 3), 255, np.uint8)
    document[20:180:12, 15:130] = 20
    add(page, write(tmp_path / "page.png", document))
    assert "a page or something cut out" in verdict(page)


def test_the_model_judges_all_but_pages(modules):
    script = """
        const {judge} = await import(process.argv[1]);
        const told = (...exposure) => ({exposure, slopes: [1]});
        const found = [told(0.25, 1.5, 0.4), told(0, 0.1, 0.3)].map(
          (answer) => judge(answer, false));
        found.push(judge(told(1, 2, 0), true));
        console.log(JSON.stringify(found));
        """
    call = ["node", "--input-type=module", "-e", script, SOURCE / "src/gate.js"]
    done = subprocess.run(call, check=True, capture_output=True, text=True)
    partly, alone, document = json.loads(done.stdout)
    assert partly == {"share": 0.25, "stops": 1.5, "spread": 0.4, "reason": ""}
    assert alone["share"] == 0 and alone["reason"] == "well exposed"
    assert document["share"] == 0 and document["reason"] == "page"


def _exif(orientation, next_directory):
    """An EXIF block: orientation, camera, a thumbnail's empty directory."""
    entries = struct.pack(
        "<HHIIHHII", 0x010F, 2, 6, 38, 0x0112, 3, 1, orientation
    )
    directory = struct.pack("<H", 2) + entries
    directory += struct.pack("<I", next_directory)
    end = b"Maker\0" + struct.pack("<HI", 0, 0)
    return b"Exif\0\0II*\0\x08\0\0\0" + directory + end


def _xmp(orientation):
    return (
        b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="%d"/>'
        % orientation
    )


P3 = ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060))


def test_metadata_is_kept_byte_for_byte(page, repository, tmp_path):
    profile = colour.make_profile(P3)
    pixels = np.rot90(sample(repository, "chelsea", 0.4))
    path = write(
        tmp_path / "photo.jpg",
        pixels,
        exif=_exif(6, 44),
        icc_profile=profile,
        xmp=_xmp(6),
        comment=b"hello",
    )
    add(page, path)
    contents = save(page, "image/jpeg")
    # Pixels are upright, and the thumbnail would be of the photo as it was.
    changed = {_exif(6, 44): _exif(1, 0)}
    header = b"http://ns.adobe.com/xap/1.0/\0"
    changed[header + _xmp(6)] = header + _xmp(1)
    given = jpeg.kept_segments(jpeg.read_segments(path.read_bytes()))
    found = jpeg.kept_segments(jpeg.read_segments(contents))
    assert len(given) == 4 and changed.keys() < {body for _, body in given}
    assert sorted(found) == sorted(
        (marker, changed.get(body, body)) for marker, body in given
    )
    image = Image.open(io.BytesIO(contents))
    assert image.size == pixels.shape[:2]  # Turned.
    # PNG has chunks for the same.
    image = Image.open(io.BytesIO(save(page)))
    assert image.info["icc_profile"] == profile
    assert image.getexif()[0x010F] == "Maker"
    assert b"Orientation" in image.info["xmp"]


def test_other_colours_than_srgb_stay(page, repository, tmp_path):
    pixels = sample(repository, "china")
    pixels[50:90, 50:90] = (10, 220, 30)  # Outside sRGB.
    profile = colour.make_profile(P3)
    path = write(tmp_path / "p3.png", pixels, icc_profile=profile)
    add(page, path)
    put(page, "#strength", 80)
    found = decoded(save(page)).astype(int)
    out = tmp_path / "out.png"
    cli.main(["correct", str(path), str(out), "--strength=0.8"])
    difference = np.abs(found - decoded(out.read_bytes()))
    assert difference.max() <= 2 and difference.mean() < 0.3
    assert np.abs(found - pixels).mean() > 5


def test_quality_is_chosen(page, repository, tmp_path):
    add(page, write(tmp_path / "photo.png", sample(repository, "china")))
    sizes = []
    for quality in (60, 95):
        put(page, "#quality", quality)
        sizes.append(len(save(page, "image/jpeg")))
    assert sizes[0] < 0.6 * sizes[1]


def test_several_photos_are_saved_at_once(page, repository, tmp_path):
    photos = {
        "first": sample(repository, "china"),
        "second": sample(repository, "chelsea", 0.4),
        "good": sample(repository, "flower"),
    }
    paths = [
        write(tmp_path / f"{name}.png", pixels)
        for name, pixels in photos.items()
    ]
    add(page, *paths)
    put(page, "#type", "image/png")
    page.click("#save-all")
    page.wait("note.textContent.startsWith('2 saved, 1 left')")
    for index, name in enumerate(("first", "second")):
        expected = tfexposure.correct(photos[name])
        assert_alike(decoded(taken(page, index)), expected)
    said = page.run("return strip.innerText.split('\\n')")
    assert [said.count(text) for text in ("corrected", "left as it is")] == [
        2,
        1,
    ]
    # The third one is shown after the others were added: hand on its options.
    put(page, "#ev", 0.5)
    page.click("#same")
    page.wait("!strip.innerText.includes('left as it is')")
    page.click("#strip li:first-child button")
    page.wait("Number(ev.value) === 0.5")
    page.wait("document.querySelector('#after canvas').width === 640")
    page.click("#close")
    page.wait("document.querySelectorAll('#strip li').length === 2")


def test_photos_are_dropped_pasted_and_there_are_samples(page):
    page.click("[data-sample=china]")
    page.wait("document.querySelectorAll('#strip li').length === 1")
    for kind, transfer in (
        ("drop", "dataTransfer"),
        ("paste", "clipboardData"),
    ):
        page.run(
            """
            const [kind, transfer] = args;
            const reply = await fetch('samples/seeding.jpg');
            const data = new DataTransfer();
            data.items.add(new File([await reply.blob()], `${kind}.jpg`));
            const Kind = kind === 'drop' ? DragEvent : ClipboardEvent;
            document.body.dispatchEvent(new Kind(
              kind, {[transfer]: data, bubbles: true, cancelable: true}));
            """,
            kind,
            transfer,
        )
        page.wait(f"strip.innerText.includes('{kind}.jpg')")
    page.wait("document.body.dataset.state === 'ready'")
    assert not page.run("return errors.textContent")


def test_a_file_that_is_no_photo_is_named(page, tmp_path):
    (tmp_path / "notes.txt").write_text("hello")
    page.choose_file("#file", tmp_path / "notes.txt")
    page.wait("errors.textContent.includes('notes.txt')")
    assert page.run("return welcome.checkVisibility()")
    page.click("#errors button")
    assert not page.run("return errors.textContent")


def test_what_is_invented_is_coloured(page, repository, tmp_path):
    pixels = sample(repository, "chelsea", 0.4)
    pixels[:100, :100] = 255
    pixels[:100, 100:200] = (255, 128, 128)
    pixels[100:200, :100] = 128
    add(page, write(tmp_path / "photo.png", pixels))
    page.click("#invented")
    page.wait("legend.checkVisibility()")
    view = shown_when(page, lambda view: view[50, 50, 1] < 200).astype(int)
    magenta, orange, grey = view[50, 50], view[50, 150], view[150, 50]
    assert magenta[0] > magenta[1] + 50 and magenta[2] > magenta[1] + 50
    assert orange[0] > orange[1] > orange[2]
    assert np.ptp(grey) == 0


def test_the_divider_is_moved_by_keys_and_by_touch(page, tmp_path, repository):
    page.pretend(*PHONE, phone=True)
    add(page, write(tmp_path / "photo.png", sample(repository, "china")))
    clip = "return getComputedStyle(after).clipPath"
    page.run("split.focus()")
    for _ in range(3):
        for kind in ("rawKeyDown", "keyUp"):
            page.devtools(
                "Input.dispatchKeyEvent",
                type=kind,
                key="ArrowRight",
                code="ArrowRight",
                windowsVirtualKeyCode=39,
            )
    assert page.run(clip).endswith("53%)")
    left, top, width, height = page.run(
        "const {left, top, width, height} = stage.getBoundingClientRect();"
        "return [left, top, width, height]"
    )

    def touch(kind, *points):
        places = [{"x": x, "y": top + height / 2, "id": i} for i, x in points]
        page.devtools("Input.dispatchTouchEvent", type=kind, touchPoints=places)

    touch("touchStart", (0, left + 0.53 * width))
    touch("touchMove", (0, left + 0.25 * width))
    touch("touchEnd")
    assert abs(page.run("return Number(split.value)") - 25) <= 1
    # Two fingers enlarge.
    small = page.run("return scale.value")
    touch("touchStart", (0, left + 150))
    touch("touchStart", (0, left + 150), (1, left + 200))
    touch("touchMove", (0, left + 60), (1, left + 300))
    touch("touchEnd")
    assert int(page.run("return scale.value")[:-2]) > 2 * int(small[:-2])
    assert page.run("return stage.classList.contains('enlarged')")


def test_an_enlarged_photo_shows_its_own_pixels(page, repository, tmp_path):
    pixels = sample(repository, "friends", 0.5, (2000, 1500))
    add(page, write(tmp_path / "photo.png", pixels))
    page.wait("document.querySelector('#before canvas').width > 100")
    assert shown(page, "before").shape[1] <= 1000
    page.click("[data-zoom=full]")
    page.wait("scale.value === '100 %'")
    page.wait("document.querySelector('#before canvas').width > 1000")
    view = shown(page, "before")
    matrix = page.run(
        "const {transform} = document.querySelector('#before canvas').style;"
        "return transform.match(/-?[\\d.]+/g).map(Number)"
    )
    assert matrix[2] == 1
    height, width = view.shape[:2]
    assert any(
        (pixels[top : top + height, left : left + width] == view).all()
        for top in range(0, 1500 - height + 1)
        for left in range(0, 2000 - width + 1)
        if (pixels[top, left] == view[0, 0]).all()
    )


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("device", ["desktop", "phone"])
def test_everybody_can_use_it(
    browser, address, modules, device, scheme, repository, tmp_path
):
    size = {"desktop": DESKTOP, "phone": PHONE}[device]
    browser.pretend(*size, phone=device == "phone", scheme=scheme)
    enter(browser, address)
    axe = (modules / "axe-core" / "axe.min.js").read_text()
    check = (
        axe + ";const {violations} = await axe.run();"
        "return violations.map(({id, nodes}) => [id, nodes[0].html])"
    )
    assert browser.run(check) == []
    photos = [
        write(tmp_path / f"{n}.png", sample(repository, n))
        for n in ("china", "flower")
    ]
    add(browser, *photos)
    browser.click("#invented")
    assert browser.run(check) == []
    # Nothing is wider than the screen, nor too small for a finger.
    assert browser.run("return document.body.scrollWidth") <= size[0]
    if device == "phone":
        least = browser.run(
            "return Math.min(...[...document.querySelectorAll('button')]"
            ".filter((b) => b.checkVisibility()).map((b) => b.offsetHeight))"
        )
        assert least >= 40


def test_no_request_leaves(page):
    refused = page.run(
        """
        const refused = [];
        document.addEventListener('securitypolicyviolation',
            (event) => refused.push(event.blockedURI));
        await fetch('http://127.0.0.2:9/').catch(() => {});
        await new Promise((resolve) => setTimeout(resolve, 100));
        return refused;
        """
    )
    assert set(refused) == {"http://127.0.0.2:9/"}
    asked = page.run(
        "return performance.getEntriesByType('resource')"
        ".map(({name}) => new URL(name).origin === location.origin)"
    )
    assert len(asked) > 3 and all(asked)


def test_the_policy_is_one(folder):
    policy = web.HEADERS["Content-Security-Policy"]
    policy = policy.removesuffix("; frame-ancestors 'none'")
    assert f'content="{policy}"' in (folder / "index.html").read_text()
    assert policy in (folder / "sw.js").read_text()


def test_it_works_without_a_net(folder, repository, tmp_path):
    """Also where the server sends no headers: the service worker adds them."""
    server, address = serve(folder, _PlainHandler)
    with Chromium() as browser:
        browser.open(address)
        browser.wait("document.body?.dataset.threads && crossOriginIsolated")
        # What else the server has is not the service worker's business.
        (folder / "other.txt").write_text("other")
        read = "return (await fetch('other.txt')).headers.has(args[0])"
        assert not browser.run(read, "content-security-policy")
        server.shutdown()
        server.server_close()
        enter(browser, address)
        assert browser.run("return crossOriginIsolated")
        policy = browser.run(
            "return (await fetch('pixels.js')).headers"
            ".get('content-security-policy')"
        )
        assert policy.startswith("default-src 'none'")
        add(browser, write(tmp_path / "a.png", sample(repository, "china")))
        assert "Corrected" in verdict(browser)


def test_it_runs_without_threads(folder, repository, tmp_path):
    """Where there are no headers and no service worker, as over http."""
    server, address = serve(folder, _PlainHandler)
    with Chromium() as browser:
        browser.devtools(
            "Page.addScriptToEvaluateOnNewDocument",
            source="Object.defineProperty(Navigator.prototype, "
            "'serviceWorker', {value: undefined})",
        )
        enter(browser, address)
        assert browser.run("return document.body.dataset.threads") == "1"
        pixels = sample(repository, "china")
        add(browser, write(tmp_path / "photo.png", pixels))
        assert_alike(decoded(save(browser)), tfexposure.correct(pixels))
    server.shutdown()
    server.server_close()


def test_the_built_page_is_found_or_missed_with_a_reason(
    monkeypatch, folder, tmp_path
):
    monkeypatch.setattr(web, "_FOLDER", folder)
    assert (web.page_folder() / "index.html").exists()
    monkeypatch.setattr(web, "_FOLDER", tmp_path)
    with pytest.raises(UserError, match="make web"):
        web.page_folder()
