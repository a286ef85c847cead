"""The model that ships answers alike wherever it runs: as `correct` does."""

import io

import numpy as np
import pytest
import tensorflow as tf
from conftest import HANG
from PIL import Image
from serving_models import MODEL, start_stand_in

import tfexposure
from tfexposure import runtime, serving
from tfexposure.imaging.exposure import overexpose
from tfexposure.runtime import open_model

pytestmark = pytest.mark.tf_only


@pytest.fixture(scope="module")
def keras_model():
    return open_model("natural")


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    loaded = runtime.load_shipped("natural")
    base = tmp_path_factory.mktemp("natural")
    return serving.export_saved_model(
        loaded.generator, base, 1, loaded, max_pixels=9_000_000
    )


@pytest.fixture(scope="module")
def signatures(saved):
    loaded = tf.saved_model.load(str(saved))
    yield loaded.signatures
    del loaded


@pytest.fixture(scope="module")
def sample(repository):
    """Reads a sample photo with its light brought to 1 / tau: uint8."""

    def read(name, tau, size=None):
        with Image.open(repository / "samples" / f"{name}.jpg") as image:
            image = image.convert("RGB")
            pixels = np.asarray(image.resize(size) if size else image)
        exposed = overexpose(pixels.astype("float32") / 255, tau)
        return np.rint(exposed * 255).astype("uint8")

    return read


def encoded(pixels, orientation=None):
    buffer, exif = io.BytesIO(), Image.Exif()
    if orientation:
        exif[0x0112] = orientation
    Image.fromarray(pixels).save(buffer, "PNG", exif=exif, compress_level=1)
    return buffer.getvalue()


def decoded(contents):
    return np.asarray(Image.open(io.BytesIO(contents)))


@pytest.fixture(scope="module")
def photos(sample):
    """Upright pixels and a PNG of them by name."""
    coffee = sample("coffee", 0.6)
    page = np.full((200, 150, 3), 255, np.uint8)
    page[20:180:12, 15:130] = 20
    upright = {
        "landscape": coffee,
        "mixed in part": sample("chelsea", 0.5),
        "portrait, turned": np.rot90(sample("chelsea", 0.4)),
        "grey": sample("coffee", 0.4)[..., 1],
        "good": sample("coffee", 1.0),
        "framed": np.pad(
            coffee, ((20, 25), (30, 15), (0, 0)), constant_values=255
        ),
        "page": page,
        "white": np.full((30, 40, 3), 255, np.uint8),
        "one pixel": np.full((1, 1, 3), 90, np.uint8),
    }
    files = {name: encoded(pixels) for name, pixels in upright.items()}
    turned = np.rot90(upright["portrait, turned"])
    files["portrait, turned"] = encoded(np.ascontiguousarray(turned), 6)
    return upright, files


@pytest.fixture(scope="module")
def replies(signatures, photos):
    """The answers to all photos, sent in one request, by name."""
    _, files = photos
    told = signatures["serving_bytes"](
        image_bytes=tf.constant(list(files.values()))
    )
    told = {name: values.numpy() for name, values in told.items()}
    return {
        photo: {name: values[index] for name, values in told.items()}
        for index, photo in enumerate(files)
    }


def assert_alike(first, second):
    """Within one level of 8 bits, and mostly the same."""
    difference = np.abs(first.astype(int) - second)
    # Floats of both are 2e-4 apart at most, a twentieth of a level: that many
    # values may round differently. Grey is the luma of rounded colours, here,
    # and of exact ones there.
    assert difference.max() <= 1 and difference.mean() < 0.05


PHOTOS = (
    "landscape", "mixed in part", "portrait, turned", "grey", "good", "framed",
    "page", "white", "one pixel",
)  # fmt: skip


@pytest.mark.parametrize("name", PHOTOS)
def test_bytes_are_answered_as_the_command_line_does(
    name, replies, photos, keras_model
):
    pixels, contents = (part[name] for part in photos)
    reply = replies[name]
    expected = tfexposure.correct(pixels, model=keras_model)
    assert reply["changed"] == (expected != pixels).any()
    if reply["changed"]:
        # Upright, as grey as it came, and without a tag that turns it again.
        assert_alike(decoded(reply["restored_bytes"]), expected)
    else:
        assert reply["restored_bytes"] == contents
    pixels = np.ascontiguousarray(pixels)
    found = tfexposure.inspect(pixels, model=keras_model)
    assert reply["clipped"] == pytest.approx(found.clipped, abs=1e-6)
    assert reply["stops"] == pytest.approx(found.stops, abs=1e-3)
    spread = found.stops_spread or 0.0
    assert reply["stops_spread"] == pytest.approx(spread, abs=1e-3)


def test_the_photos_reach_every_branch(replies):
    shares = {name: reply["share"] for name, reply in replies.items()}
    assert shares["landscape"] == shares["framed"] == 1
    assert 0.1 < shares["mixed in part"] < 0.9
    assert shares["good"] == shares["page"] == 0


@pytest.fixture(scope="module")
def opened(saved):
    """The SavedModel, and the `.tflite` file of the package."""
    return open_model(saved), open_model()


@pytest.mark.parametrize("name", ["landscape", "grey", "framed", "good"])
def test_files_are_answered_alike(name, photos, keras_model, opened):
    pixels = photos[0][name]
    expected = tfexposure.correct(pixels, model=keras_model)
    saved_model, lite_model = opened
    assert_alike(tfexposure.correct(pixels, model=saved_model), expected)
    lite = tfexposure.correct(pixels, model=lite_model)
    error = np.mean(np.square(lite.astype(float) - expected))
    # Its weights have 8 bits.
    assert 10 * np.log10(255**2 / max(error, 1e-9)) >= 50
    assert (lite == pixels).all() == (expected == pixels).all()


def test_evaluations_get_the_network_alone(opened, sample, keras_model):
    image = sample("china", 0.3)[:301, :400] / np.float32(255)
    answer = opened[0].restore_photo(image)
    expected = keras_model.restore_photo(image)
    np.testing.assert_allclose(answer, expected, atol=1e-4)
    assert np.abs(expected - image).mean() > 0.005


def test_tensors_are_answered_alike(signatures, sample, keras_model):
    # Larger than what the network sees; no multiple of anything.
    pixels = np.stack(
        [sample("seeding", tau, (2451, 1633)) for tau in (1, 0.4)]
    )
    told = signatures["serving_uint8"](image=tf.constant(pixels))
    for image, restored in zip(pixels, told["restored"], strict=True):
        expected = tfexposure.correct(image, model=keras_model)
        assert_alike(restored.numpy(), expected)
    floats = sample("china", 0.8) / np.float32(255)
    told = signatures["serving_default"](image=tf.constant(floats[None]))
    expected = tfexposure.correct(floats, model=keras_model)
    np.testing.assert_allclose(told["restored"][0], expected, atol=2e-4)


OPTIONS = (
    {},
    {"force": True, "strength": 0.4},
    {"stops": 1.5},
    {"stops": 0.7, "ev": -0.5},
    {"ev": 0.6},
    {"strength": 0.0, "ev": 1.0, "force": True},
)
DEFAULTS = {"strength": 1.0, "ev": 0.0, "stops": -1.0, "force": False}


def option_tensors(options):
    return {
        name: tf.constant([chosen.get(name, value) for chosen in options])
        for name, value in DEFAULTS.items()
    }


def test_options_are_those_of_the_command_line(signatures, sample, keras_model):
    image = sample("coffee", 1.0)[:200, :300]
    told = signatures["serving_options"](
        image=tf.constant(np.stack([image] * len(OPTIONS))),
        **option_tensors(OPTIONS),
    )
    contents = tf.constant([encoded(image)] * 2)
    of_bytes = signatures["serving_bytes_options"](
        image_bytes=contents, **option_tensors(OPTIONS[1:3])
    )["restored_bytes"]
    for index, options in enumerate(OPTIONS):
        expected = tfexposure.correct(image, model=keras_model, **options)
        assert_alike(told["restored"][index].numpy(), expected)
        assert told["changed"][index] == (expected != image).any()
        if index in (1, 2):
            reply = decoded(of_bytes[index - 1].numpy())
            np.testing.assert_array_equal(reply, told["restored"][index])


@pytest.mark.parametrize(
    "options", [{"strength": 1.1}, {"ev": -6.0}, {"stops": 5.5}], ids=str
)
def test_options_out_of_range_are_refused(signatures, options):
    image = tf.zeros((1, 8, 8, 3), tf.uint8)
    (name,) = options
    with pytest.raises(tf.errors.InvalidArgumentError, match=name):
        signatures["serving_options"](image=image, **option_tensors([options]))


def test_a_side_that_would_take_much_memory_is_refused(signatures):
    image = tf.zeros((1, 1, 70_000, 3), tf.uint8)
    with pytest.raises(tf.errors.InvalidArgumentError, match="a side of more"):
        signatures["serving_uint8"](image=image)


@pytest.fixture(scope="module")
def server(saved, tmp_path_factory):
    """Ports of a program that serves the model without this package."""
    pytest.importorskip("tensorflow_serving", reason="tensorflow-serving-api")
    folder = tmp_path_factory.mktemp("server")
    with (folder / "log").open("w+") as log:
        process, ready = start_stand_in(saved.parent, folder, log)
        yield ready
        process.stdin.close()
        process.terminate()
        process.wait(HANG)


@pytest.mark.parametrize("protocol", ["grpc", "rest"])
def test_a_server_s_clients_are_answered_alike(
    protocol, server, sample, keras_model
):
    scheme = {"grpc": "grpc", "rest": "http"}[protocol]
    address = f"{scheme}://127.0.0.1:{server[protocol]}/{MODEL}"
    model = open_model(address)
    image = sample("coffee", 1.0)[:200, :300]
    bright = sample("chelsea", 0.5)
    for pixels, options in (
        (bright, {}),  # Mixed in in part.
        (image, {}),  # Left alone.
        (image, {"force": True, "strength": 0.4}),
        (image, {"stops": 1.5, "ev": -0.5}),
        (image, {"ev": 0.6}),
        (bright[..., 1].copy(), {"highlights_only": True, "force": True}),
    ):
        expected = tfexposure.correct(pixels, model=keras_model, **options)
        answer = tfexposure.correct(pixels, model=model, **options)
        difference = np.abs(answer.astype(int) - expected)
        assert difference.max() <= 1, options
        assert (answer == pixels).all() == (expected == pixels).all()
