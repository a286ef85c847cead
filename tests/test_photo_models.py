"""Models from disk: SavedModel, .tflite, run folder, thumbnail input."""

import json
import zipfile

import numpy as np
import photo_models
import pytest

from tfexposure.errors import UserError
from tfexposure.photo.correcting import Settings, correct_photo
from tfexposure.photo.io.photo import Photo
from tfexposure.photo.io.pixel_buffer import PixelBuffer
from tfexposure.runtime import open_model, tiling

pytestmark = pytest.mark.tf_only
MANIFEST = {"halo": photo_models.HALO, "stride": 2}


@pytest.fixture(scope="module")
def saved(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model") / "1"
    return photo_models.save_model(folder, MANIFEST)


@pytest.fixture(scope="module")
def lite(saved, tmp_path_factory):
    path = tmp_path_factory.mktemp("lite") / "model.tflite"
    return photo_models.save_lite(path, saved, MANIFEST)


@pytest.fixture(scope="module")
def toned(tmp_path_factory):
    folder = tmp_path_factory.mktemp("toned") / "1"
    return photo_models.save_model(folder, {"halo": 6, "stride": 2}, 16)


def picture(height=150, width=211):
    return np.random.default_rng(0).integers(
        0, 256, (height, width, 3), np.uint8
    )


def corrected(model, pixels, tile):
    photo = Photo("test", PixelBuffer.of_array(pixels), "png")
    settings = Settings(force=True, tile=tile)
    return correct_photo(photo, model, settings).pixels.array()


def reference(pixels):
    """The network itself, on the picture mirrored to an even size."""
    rows = tiling.mirror(np.arange(pixels.shape[0] + 1 & ~1), pixels.shape[0])
    columns = tiling.mirror(
        np.arange(pixels.shape[1] + 1 & ~1), pixels.shape[1]
    )
    padded = pixels[rows][:, columns].astype(np.float32) / 255
    module = photo_models.Module().module
    restored = module.serve(padded[None])["restored"].numpy()[0]
    return restored[: pixels.shape[0], : pixels.shape[1]] * 255


@pytest.mark.parametrize("kind", ["saved", "lite"])
def test_tiled_equals_untiled_with_true_convolutions(kind, request):
    model = open_model(request.getfixturevalue(kind))
    assert (model.halo, model.stride) == (6, 2)
    assert model.fixed_size is None and model.thumbnail is None
    pixels = picture()
    whole = corrected(model, pixels, 0).astype(int)
    assert np.abs(whole - reference(pixels)).max() <= 0.51
    assert np.abs(corrected(model, pixels, 64) - whole).max() <= 1


@pytest.mark.parametrize("kind", ["saved", "lite"])
def test_several_threads_may_call(kind, request):
    import concurrent.futures

    model = open_model(request.getfixturevalue(kind))
    images = [picture(40 + 2 * n, 60) / np.float32(255) for n in range(8)]
    alone = [model.restore(image) for image in images]
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        together = list(pool.map(model.restore, images * 4))
    for one, other in zip(alone * 4, together, strict=True):
        assert np.abs(one - other).max() < 1e-5


def test_the_folder_of_versions_is_a_model_too(saved):
    model = open_model(saved.parent)
    assert model.halo == 6


def test_without_manifest_the_halo_is_cautious(tmp_path):
    model = open_model(photo_models.save_model(tmp_path / "m"))
    assert (model.halo, model.stride) == (112, 16)


def test_manifest_without_halo_gets_the_default_networks(tmp_path):
    folder = photo_models.save_model(tmp_path / "m", {"step": 5})
    assert open_model(folder).halo == 96


@pytest.mark.parametrize("lite_file", [False, True])
def test_thumbnail_goes_with_every_tile(toned, tmp_path, lite_file):
    model = toned
    if lite_file:
        manifest = {"halo": 6, "stride": 2, "thumbnail": 16}
        model = photo_models.save_lite(tmp_path / "m.tflite", toned, manifest)
    model = open_model(model)
    assert model.thumbnail == 16
    pixels = picture()
    whole = corrected(model, pixels, 0).astype(int)
    assert np.abs(corrected(model, pixels, 64) - whole).max() <= 1
    mean = (pixels / 255).mean((0, 1))
    assert np.abs(whole - reference(pixels) * mean).max() <= 1.01


def test_fixed_size_lite_file(saved, tmp_path):
    import tensorflow as tf

    model = tf.saved_model.load(str(saved))
    function = model.signatures["serving_default"]

    @tf.function(
        input_signature=[tf.TensorSpec((1, 64, 64, 3), tf.float32, "image")]
    )
    def serve(image):
        return function(image=image)

    module = tf.Module()
    module.model, module.serve = model, serve
    tf.saved_model.save(
        module, str(tmp_path / "fixed"), signatures={"serving_default": serve}
    )
    path = photo_models.save_lite(
        tmp_path / "fixed.tflite", tmp_path / "fixed", MANIFEST
    )
    model = open_model(path)
    assert model.fixed_size == (64, 64)
    pixels = picture()
    whole = corrected(open_model(saved), pixels, 0).astype(int)
    assert np.abs(corrected(model, pixels, None) - whole).max() <= 1


def test_run_folder_is_rebuilt(tmp_path, monkeypatch):
    import keras

    from tfexposure.paper.generator import UNetGenerator
    from tfexposure.runtime import runs

    keras.utils.set_random_seed(0)
    generator = UNetGenerator(filters=2, field_of_view=47)
    generator(np.zeros((1, 32, 32, 3), np.float32))
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(runs, "load_generator", lambda _: generator)
    model = open_model(tmp_path)
    pixels = picture()
    whole = corrected(model, pixels, 0).astype(int)
    inputs = pixels[None].astype(np.float32) / 255
    expected = np.asarray(generator(inputs, training=False))[0] * 255
    assert np.abs(whole - expected).max() <= 1
    assert np.abs(corrected(model, pixels, 64) - whole).max() <= 1


def test_serving_tile_is_preferred_and_nine_channels_are_made(tmp_path):
    """As exported for networks that look at the whole photo first."""
    import tensorflow as tf

    from tfexposure.runtime import thumbnails

    module = tf.Module()
    image = tf.TensorSpec((None, None, None, 3), name="image")
    small = tf.TensorSpec((None, 8, 8, 9), name="thumbnail")
    module.whole = tf.function(
        lambda image: {"restored": image * 0}, input_signature=[image]
    )
    module.tile = tf.function(
        lambda image, thumbnail: {
            "restored": image
            * tf.reduce_mean(thumbnail[..., 3:6], (1, 2))[:, None, None]
        },
        input_signature=[image, small],
    )
    tf.saved_model.save(
        module,
        str(tmp_path),
        signatures={
            "serving_default": module.whole,
            "serving_tile": module.tile,
        },
    )
    model = open_model(tmp_path)
    assert (model.thumbnail, model.thumbnail_channels) == (8, 9)
    pixels = picture(64, 96)
    pixels[:32] = 255
    values = pixels.astype(np.float32) / 255
    view = values.reshape(16, 4, 16, 6, 3).mean((1, 3))
    share = np.clip((view - 0.97) / 0.025, 0, 1).mean((0, 1))
    answer = corrected(model, pixels, 64)
    assert np.abs(answer - pixels * share).max() <= 1
    halves = [(0, values[:29]), (29, values[29:])]
    made = thumbnails.make_thumbnail(halves, 64, 96, model)
    assert made.shape == (8, 8, 9)
    np.testing.assert_allclose(made[..., 6:], view[1::2, 1::2], atol=1e-6)


@pytest.mark.parametrize(
    "name, content, reason",
    [
        ("missing.tflite", None, "does not exist"),
        ("broken.tflite", b"nonsense", "not a .tflite file that loads"),
        ("empty", "folder", "holds none of these"),
        ("model.h5", b"x", "holds none of these"),
    ],
)
def test_what_is_no_model_is_refused(tmp_path, name, content, reason):
    path = tmp_path / name
    if content == "folder":
        path.mkdir()
    elif content is not None:
        path.write_bytes(content)
    with pytest.raises(UserError, match=reason):
        open_model(path)


def test_broken_saved_model_is_refused(tmp_path):
    (tmp_path / "saved_model.pb").write_bytes(b"nonsense")
    with pytest.raises(UserError, match="not a SavedModel that loads"):
        open_model(tmp_path)


def test_wrong_names_are_named(tmp_path):
    import tensorflow as tf

    module = tf.Module()
    module.serve = tf.function(
        lambda x: {"y": x},
        input_signature=[tf.TensorSpec((None, None, None, 3), name="x")],
    )
    tf.saved_model.save(
        module, str(tmp_path), signatures={"serving_default": module.serve}
    )
    with pytest.raises(UserError, match="it takes x and answers y"):
        open_model(tmp_path)


def test_malformed_manifest_is_refused(tmp_path):
    folder = photo_models.save_model(tmp_path / "m", {"halo": "wide"})
    with pytest.raises(UserError, match="halo 'wide'"):
        open_model(folder)
    assert json.loads((folder / "assets.extra" / "manifest.json").read_text())


def test_model_of_an_earlier_version_is_refused(tmp_path):
    from tfexposure import pretrained

    path = tmp_path / "old.tflite"
    path.write_bytes(pretrained.default_model_path().read_bytes())
    with zipfile.ZipFile(path, "a") as members:
        manifest = json.loads(members.read("manifest.json"))
        del manifest["guide"]["lift"]
        with pytest.warns(UserWarning, match="Duplicate name"):
            members.writestr("manifest.json", json.dumps(manifest))
    with pytest.raises(UserError, match="old.tflite.*export it again"):
        open_model(path)


def test_blind_restorer_tile_by_tile(tmp_path, monkeypatch):
    """The kind that looks once at the whole photo."""
    import keras

    from tfexposure.blind import BlindRestorer
    from tfexposure.runtime import runs

    keras.utils.set_random_seed(0)
    restorer = BlindRestorer(
        (4, 4, 4, 4, 4), embedding_size=8, unet_widths=(4, 4, 4)
    )
    restorer(np.zeros((1, 64, 64, 3), np.float32))
    random = np.random.default_rng(0)
    for variable in restorer.trainable_variables:
        if not np.any(variable.numpy()):  # Else it would change nothing.
            variable.assign(random.normal(0, 0.05, variable.shape))
    (tmp_path / "config.json").write_text("{}")
    monkeypatch.setattr(runs, "load_generator", lambda _: restorer)
    model = open_model(tmp_path)
    assert model.thumbnail_channels == 9
    pixels = picture(197, 331)
    pixels[:60] = 255
    inputs = pixels[None].astype(np.float32) / 255
    expected = np.asarray(restorer(inputs, training=False))[0] * 255
    guided = corrected(model, pixels, None).astype(int)
    assert np.abs(guided - expected).max() <= 1
    model.grid_spec = None
    whole = corrected(model, pixels, 0).astype(int)
    assert np.abs(whole - expected).max() <= 1
    assert np.abs(corrected(model, pixels, 64) - whole).max() <= 1
    assert np.abs(whole - pixels).max() > 10


@pytest.mark.parametrize(
    "address",
    ["http://localhost:1", "http:///tfexposure", "http://localhost:1/a/b"],
)
def test_an_address_names_host_and_model(address):
    with pytest.raises(UserError, match="SCHEME://HOST:PORT/NAME"):
        open_model(address)


def test_a_server_out_of_reach_is_named():
    pytest.importorskip("requests")
    model = open_model("http://localhost:1/tfexposure/2")
    with pytest.raises(UserError, match="localhost:1: no server"):
        model.restore(np.zeros((2, 2, 3), np.float32))
