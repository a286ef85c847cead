"""The SavedModel: its signatures against Keras, and what they refuse."""

import io
import json
import os

import numpy as np
import pytest
import tensorflow as tf
from PIL import Image, ImageOps
from serving_models import (
    STEP,
    answer,
    make_generator,
    picture,
    saved_model,  # noqa: F401
    trained,  # noqa: F401
)

from tfexposure import runtime, serving
from tfexposure.errors import UserError
from tfexposure.serving import image_codec

pytestmark = pytest.mark.tf_only

ORIENTATION = 0x0112


@pytest.fixture(scope="module")
def signatures(saved_model):  # noqa: F811
    loaded = tf.saved_model.load(str(saved_model))
    yield loaded.signatures
    del loaded


@pytest.fixture(scope="module")
def generator(trained):  # noqa: F811
    return trained[1].averaged


def encode(pixels, kind, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, **options)
    return buffer.getvalue()


def decode(contents):
    return np.asarray(Image.open(io.BytesIO(contents)))


def bytes_of(height, width, seed=0):
    return np.round(picture(height, width, seed=seed)[0] * 255).astype("uint8")


@pytest.mark.parametrize(
    "size", [(1, 1), (1, 7), (3, 50), (16, 32), (33, 45)], ids=str
)
def test_floats_of_any_size_equal_keras(signatures, generator, size):
    image = picture(*size, count=2)
    restored = signatures["serving_default"](image=tf.constant(image))
    assert list(restored) == ["restored"]
    np.testing.assert_allclose(
        restored["restored"], answer(generator, image), atol=1e-4
    )


def test_tiles_join_exactly(signatures, generator):
    # Larger than one window of 32 + 2 x 96 on both axes; not of the stride.
    image = picture(247, 283)
    restored = signatures["serving_default"](image=tf.constant(image))
    np.testing.assert_allclose(
        restored["restored"], answer(generator, image), atol=1e-5
    )


@pytest.mark.parametrize("size", [(21, 30), (239, 250)], ids=["whole", "tiled"])
def test_eight_bits_are_the_rounded_floats(signatures, generator, size):
    image = bytes_of(*size)[None]
    restored = signatures["serving_uint8"](image=tf.constant(image))["restored"]
    assert restored.dtype == tf.uint8
    expected = answer(generator, image.astype("float32") / 255) * 255
    # The last digit of a float may turn a half the other way.
    np.testing.assert_allclose(restored, expected, atol=0.5001)


def test_pictures_come_back_in_their_own_size_and_format(signatures, generator):
    pixels = [bytes_of(20, 31), bytes_of(9, 12, 1), bytes_of(40, 16, 2)]
    sent = [
        encode(pixels[0], "PNG"),
        encode(pixels[1], "JPEG", quality=90),
        encode(pixels[2], "PNG"),
    ]
    answers = signatures["serving_bytes"](image_bytes=tf.constant(sent))
    received = answers["restored_bytes"].numpy()
    for contents, reply in zip(sent, received, strict=True):
        image = decode(contents)
        expected = answer(generator, image[None].astype("float32") / 255)[0]
        assert Image.open(io.BytesIO(reply)).format == (
            Image.open(io.BytesIO(contents)).format
        )
        is_png = reply.startswith(b"\x89PNG")
        # JPEG of quality 95 is near, PNG is exact.
        difference = np.abs(decode(reply) - expected * 255)
        assert difference.mean() < (0.51 if is_png else 3)


@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
@pytest.mark.parametrize("byte_order", ["<", ">"])
def test_a_turned_picture_is_read_upright(kind, byte_order):
    for orientation in range(1, 9):
        exif = Image.Exif()
        exif.endian = byte_order
        # Bytes that look like the tag, in either order.
        exif[0x010E] = "\x01\x12\x00\x03\x00\x00\x00\x01\x00\x05"
        exif[0x010F] = "\x12\x01\x03\x00\x01\x00\x00\x00\x05\x00"
        exif[ORIENTATION] = orientation
        turned = encode(bytes_of(24, 40), kind, exif=exif)
        read = decode_in_graph(tf.constant(turned))
        np.testing.assert_array_equal(read, seen(turned))


def test_what_looks_like_exif_elsewhere_turns_nothing():
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    block = exif.tobytes()
    jpeg = encode(bytes_of(24, 40), "JPEG")
    for marker in (b"\xfe", b"\xe2"):  # A comment, another program's part.
        part = b"\xff" + marker + (len(block) + 2).to_bytes(2, "big") + block
        contents = jpeg[:2] + part + jpeg[2:]
        np.testing.assert_array_equal(
            decode_in_graph(tf.constant(contents)), decode(jpeg)
        )


@pytest.mark.parametrize("progressive", [False, True])
def test_a_jpeg_without_its_end_marker_is_read(progressive):
    jpeg = encode(bytes_of(50, 70), "JPEG", progressive=progressive)
    for contents in (jpeg[:-2], jpeg[:-2] + b"\0" * 5, jpeg + b"more"):
        np.testing.assert_array_equal(
            decode_in_graph(tf.constant(contents)), decode(jpeg)
        )


def test_the_smallest_of_files_may_be_large_pictures():
    """What is refused for its size must not be one that a coder can write."""
    white = np.full((1000, 1000), 255, "uint8")
    grey = encode(white, "JPEG", progressive=True, optimize=True)
    black = io.BytesIO()
    Image.fromarray(white > 300).save(black, "PNG", compress_level=9)
    assert len(grey) < 7000 and len(black.getvalue()) < 300
    for contents in (grey, black.getvalue()):
        assert decode_in_graph(tf.constant(contents)).shape == (1000, 1000, 3)


@tf.function
def decode_in_graph(contents):
    return image_codec.decode(contents, tf.constant(0), 10**8, 10**5)[0]


def seen(contents):
    return np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(contents))))


def test_a_turned_jpeg_comes_back_upright_and_untagged(signatures):
    exif = Image.Exif()
    exif[ORIENTATION] = 6
    turned = encode(bytes_of(24, 40), "JPEG", quality=90, exif=exif)
    replies = signatures["serving_bytes"](image_bytes=tf.constant([turned]))
    reply = Image.open(io.BytesIO(replies["restored_bytes"].numpy()[0]))
    assert reply.size == (24, 40) and ORIENTATION not in reply.getexif()


def test_palette_alpha_and_16_bit_pngs_are_read(signatures):
    pixels = bytes_of(12, 20)
    images = {
        "alpha": (Image.fromarray(pixels).convert("RGBA"), pixels),
        "palette": (Image.fromarray(pixels // 64 * 64).quantize(64), None),
        "deep": (
            Image.fromarray(pixels[..., 0].astype("uint16") * 257),
            pixels[..., 0],
        ),
    }
    for name, (image, seen) in images.items():
        if seen is None:
            seen = np.asarray(image.convert("RGB"))
        buffer = io.BytesIO()
        image.save(buffer, "PNG")
        sent = [buffer.getvalue(), encode(seen, "PNG")]
        replies = signatures["serving_bytes"](image_bytes=tf.constant(sent))
        received, expected = map(decode, replies["restored_bytes"].numpy())
        np.testing.assert_array_equal(received, expected, err_msg=name)


GOOD = encode(bytes_of(20, 31), "PNG")
JPEG = encode(bytes_of(200, 200), "JPEG", quality=95)
BAD = {
    "empty": (b"", "is empty"),
    "text": (b"hello", "neither a JPEG nor a PNG"),
    "gif": (encode(bytes_of(8, 8), "GIF"), "neither a JPEG nor a PNG"),
    "half a jpeg": (JPEG[: len(JPEG) // 2], "broken or cut off"),
    "jpeg header": (JPEG[:10], "broken or cut off"),
    "half a png": (GOOD[: len(GOOD) // 2], "broken or cut off"),
    "png header": (GOOD[:8], "broken or cut off"),
    "most of a jpeg": (JPEG[:-40], "broken or cut off"),
    "large png": (
        encode(np.zeros((301, 300, 3), "uint8"), "PNG"),
        "more than 90000 pixels:] [301] [300]",
    ),
    "large jpeg": (
        encode(np.zeros((301, 300, 3), "uint8"), "JPEG"),
        "more than 90000 pixels:] [301] [300]",
    ),
    # A bomb: the header alone promises 2^31 - 1 squared pixels.
    "bomb": (
        GOOD[:16] + b"\x7f\xff\xff\xff" * 2 + GOOD[24:],
        "more than 90000",
    ),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_picture_is_named_by_its_place_and_reason(signatures, kind):
    contents, reason = BAD[kind]
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        signatures["serving_bytes"](image_bytes=tf.constant([GOOD, contents]))
    message = str(error.value)
    assert "[image_bytes: element] [1]" in message and reason in message


@pytest.mark.parametrize("kind", ["PNG", "JPEG"])
def test_a_header_that_claims_more_than_its_file_holds_is_refused(kind):
    contents = bytearray(encode(bytes_of(60, 60), kind))
    at = contents.find(b"\xff\xc0") + 5 if kind == "JPEG" else 16
    size = 2 if kind == "JPEG" else 4
    contents[at : at + 2 * size] = (9000).to_bytes(size, "big") * 2
    assert len(contents) < 12_000
    with pytest.raises(tf.errors.InvalidArgumentError, match="is broken"):
        decode_in_graph(tf.constant(bytes(contents)))


def test_what_the_decoder_alone_finds_is_refused_too(signatures):
    broken = GOOD[:60] + bytes([GOOD[60] ^ 255]) + GOOD[61:]
    with pytest.raises(tf.errors.InvalidArgumentError, match="Invalid PNG"):
        signatures["serving_bytes"](image_bytes=tf.constant([broken]))


def test_an_empty_batch_of_pictures_is_refused(signatures):
    with pytest.raises(tf.errors.InvalidArgumentError, match="is empty"):
        signatures["serving_bytes"](image_bytes=tf.constant([], tf.string))


@pytest.mark.parametrize(
    "shape, reason",
    [
        ((0, 8, 8, 3), "not empty"),
        ((1, 0, 8, 3), "not empty"),
        ((2, 301, 150, 3), "more than 90000 pixels"),
        ((1, 8, 8, 4), "expected (N, H, W, 3)"),
        ((8, 8, 3), "[8,8,3] is not compatible with expected shape [?,?,?,3]"),
    ],
    ids=str,
)
@pytest.mark.parametrize("signature", ["serving_default", "serving_uint8"])
def test_bad_shapes_are_refused_in_the_graph(
    saved_model,  # noqa: F811
    server_session,
    signature,
    shape,
    reason,
):
    session, definitions = server_session
    definition = definitions[signature]
    dtype = tf.as_dtype(definition.inputs["image"].dtype).as_numpy_dtype
    with pytest.raises(tf.errors.InvalidArgumentError) as error:
        session.run(
            definition.outputs["restored"].name,
            {definition.inputs["image"].name: np.zeros(shape, dtype)},
        )
    assert reason in str(error.value)


@pytest.fixture(scope="module")
def server_session(saved_model):  # noqa: F811
    """The graph as a C++ server runs it, which checks no fed shapes."""
    with tf.Graph().as_default() as graph:
        session = tf.compat.v1.Session(graph=graph)
        meta = tf.compat.v1.saved_model.load(
            session, ["serve"], str(saved_model)
        )
    # Only Python knows the declared shapes of placeholders that are fed.
    for operation in graph.get_operations():
        if operation.type == "Placeholder":
            operation.outputs[0].get_shape = lambda: tf.TensorShape(None)
    yield session, meta.signature_def
    session.close()


def test_the_manifest_is_the_run_s(signatures, saved_model, trained):  # noqa: F811
    text = signatures["describe"]()["manifest"].numpy().decode()
    manifest = json.loads(text)
    file = saved_model / "assets.extra" / "manifest.json"
    assert json.loads(file.read_text()) == manifest
    assert manifest["config"] == json.loads(trained[0].read_config().to_json())
    assert (manifest["step"], manifest["weights"]) == (STEP, "averaged")
    assert (manifest["halo"], manifest["stride"]) == (96, 16)
    assert manifest["versions"]["tensorflow"] == tf.__version__
    assert set(manifest["signatures"]) == set(signatures)


def test_the_file_holds_each_weight_once(saved_model, generator):  # noqa: F811
    data = next((saved_model / "variables").glob("*.data-*"))
    folded = runtime.fold(generator)
    weights = sum(4 * np.size(weight) for weight in folded.weights)
    assert weights <= data.stat().st_size < 1.05 * weights + 20_000


def test_the_same_request_gives_the_same_answer(signatures):
    sent = tf.constant([encode(bytes_of(30, 40), "JPEG")])
    first, second = (
        signatures["serving_bytes"](image_bytes=sent)["restored_bytes"].numpy()
        for _ in range(2)
    )
    assert first[0] == second[0]


def test_a_version_is_replaced_as_a_whole(tmp_path, monkeypatch):
    monkeypatch.setattr(
        tf.saved_model, "save", lambda _, path, **__: os.makedirs(path)
    )
    generator = make_generator(field_of_view=47)
    first = serving.export_saved_model(generator, tmp_path, 1)
    (first / "left over").touch()
    assert serving.export_saved_model(generator, tmp_path, 1) == first
    assert os.listdir(first) == ["assets.extra"]
    assert os.listdir(tmp_path) == ["1"]


def test_a_failed_export_leaves_nothing(tmp_path, monkeypatch):
    def fail(*_, **__):
        raise OSError("no space left on device")

    monkeypatch.setattr(tf.saved_model, "save", fail)
    generator = make_generator(field_of_view=47)
    with pytest.raises(UserError, match="no space left"):
        serving.export_saved_model(generator, tmp_path, 1)
    assert os.listdir(tmp_path) == []
    with pytest.raises(ValueError, match="`version`"):
        serving.export_saved_model(generator, tmp_path, -1)
