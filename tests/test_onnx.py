"""ONNX files: the network's own answers, in ONNX Runtime."""

import os
import subprocess
import sys

import numpy as np
import onnxruntime
import pytest
from PIL import Image
from serving_models import answer, make_generator, make_restorer, picture

import tfexposure
from tfexposure import cli, runtime
from tfexposure.errors import UserError
from tfexposure.imaging.exposure import overexpose
from tfexposure.runtime import open_model
from tfexposure.runtime.manifest import read_manifest
from tfexposure.runtime.onnx_model import OnnxModel
from tfexposure.runtime.runs import LoadedRun
from tfexposure.runtime.signatures import LOOKED
from tfexposure.serving import onnx, report

# As it was before any export.
LOG_LEVEL = os.environ["TF_CPP_MIN_LOG_LEVEL"]

pytestmark = pytest.mark.tf_only
SIZES = [(1, 1), (1, 7), (16, 16), (33, 50), (64, 20)]


@pytest.fixture(scope="module")
def examples():
    return report.Examples(None, 4, 64, {})


@pytest.fixture(scope="module")
def unet():
    return make_generator()


@pytest.fixture(scope="module")
def restorer():
    return make_restorer()


@pytest.fixture(scope="module")
def unet_folder(unet, examples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("unet")
    onnx.export_onnx(LoadedRun(unet, {}, 3, "averaged"), folder, examples)
    return folder


@pytest.fixture(scope="module")
def blind_folder(restorer, examples, tmp_path_factory):
    folder = tmp_path_factory.mktemp("blind")
    onnx.export_onnx(LoadedRun(restorer, {}, None, "live"), folder, examples)
    return folder


def run(path, **inputs):
    """The answer of a file by name, without this package."""
    session = onnxruntime.InferenceSession(str(path))
    names = [output.name for output in session.get_outputs()]
    return dict(zip(names, session.run(names, inputs), strict=True))


def psnr(first, second):
    error = np.mean(np.square(first.astype("float64") - second))
    return -10 * np.log10(max(error, 1e-15))


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_unet_answers_as_keras(size, unet, unet_folder):
    assert {path.name for path in unet_folder.iterdir()} == {
        "restore.onnx",
        "manifest.json",
    }
    image = picture(*size, count=2)
    restored = run(unet_folder / "restore.onnx", image=image)["restored"]
    assert restored.shape == image.shape
    assert psnr(restored, answer(unet, image)) >= 100


def test_a_unet_s_folder_is_a_model(unet, unet_folder):
    model = open_model(unet_folder)
    keras_model = runtime.KerasModel(unet)
    assert (model.halo, model.stride) == (keras_model.halo, keras_model.stride)
    pixels = np.rint(picture(150, 211)[0] * 255).astype("uint8")
    expected = answer(unet, pixels[None].astype("float32") / 255)[0] * 255
    for tile in (0, 64):
        found = tfexposure.correct(pixels, model=model, force=True, tile=tile)
        assert np.abs(found - expected).max() <= 1


def test_the_environment_stays(unet_folder):
    """tf2onnx would silence TensorFlow in all processes begun later."""
    assert "tf2onnx" in sys.modules
    assert os.environ["TF_CPP_MIN_LOG_LEVEL"] == LOG_LEVEL


def test_a_blind_model_encodes_as_keras(restorer, blind_folder):
    thumbnail = np.asarray(restorer.thumbnail(picture(90, 61, count=3)))
    expected = restorer.encode_photo(thumbnail)
    found = run(blind_folder / "look.onnx", thumbnail=thumbnail)
    for name, values in zip(LOOKED, expected, strict=True):
        assert psnr(found[name], np.asarray(values)) >= 100


@pytest.mark.parametrize("size", SIZES, ids=str)
def test_a_blind_model_s_field_is_that_of_keras(size, restorer, blind_folder):
    random = np.random.default_rng(0)
    inputs = {
        "image": picture(*size, count=2),
        "slopes": random.uniform(0.2, 2, (2, 11)).astype("float32"),
        "code": random.uniform(0, 1, (2, 8)).astype("float32"),
    }
    field = run(blind_folder / "field.onnx", **inputs)["field"]
    expected = np.asarray(restorer.affine_coefficients(*inputs.values()))
    assert np.abs(expected).max() > 0.05
    assert psnr(field, expected) >= 100


def test_a_blind_model_s_folder_corrects_photos(restorer, blind_folder):
    keras_model = runtime.KerasModel(restorer)
    model = open_model(blind_folder)
    pixels = np.rint(picture(903, 1301)[0] * 200).astype("uint8")
    pixels[100:130] = 255
    for options in ({}, {"force": True}, {"stops": 1.5, "strength": 0.5}):
        expected = tfexposure.correct(pixels, model=keras_model, **options)
        found = tfexposure.correct(pixels, model=model, **options)
        assert np.abs(found.astype(int) - expected).max() <= 1
        assert np.abs(found.astype(int) - pixels).max() > 2
    image = picture(61, 90)[0]
    np.testing.assert_allclose(
        model.restore_photo(image), keras_model.restore_photo(image), atol=1e-4
    )


def test_correcting_needs_no_tensorflow(blind_folder, tmp_path):
    pixels = np.rint(picture(40, 60)[0] * 255).astype("uint8")
    Image.fromarray(pixels).save(tmp_path / "in.png")
    program = (
        "import sys\n"
        "sys.modules |= dict.fromkeys(['tensorflow', 'onnx', 'tf2onnx'])\n"
        "from tfexposure import cli\n"
        "sys.exit(cli.main(sys.argv[1:]))\n"
    )
    options = "--force", f"--model={blind_folder}"
    arguments = "correct", str(tmp_path / "in.png"), *options
    done = subprocess.run(
        [sys.executable, "-c", program, *arguments],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    answer = np.asarray(Image.open(tmp_path / "in_corrected.png"))
    expected = tfexposure.correct(pixels, model=blind_folder, force=True)
    np.testing.assert_array_equal(answer, expected)


def test_the_axes_are_named(blind_folder):
    session = onnxruntime.InferenceSession(str(blind_folder / "field.onnx"))
    shapes = {v.name: v.shape for v in session.get_inputs()}
    assert shapes["image"] == ["N", "H", "W", 3]
    (field,) = session.get_outputs()
    assert field.shape == ["N", "field_H", "field_W", 13]


def test_threads_may_share_a_model(unet_folder):
    import concurrent.futures

    model = open_model(unet_folder)
    images = [picture(40 + 2 * n, 60)[0] for n in range(8)]
    alone = [model.restore(image) for image in images]
    model.share(4)
    with concurrent.futures.ThreadPoolExecutor(4) as pool:
        together = list(pool.map(model.restore, images * 2))
    for one, other in zip(alone * 2, together, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5)


def test_the_model_that_ships_corrects_as_in_keras(repository, tmp_path):
    folder = tmp_path / "natural"
    examples = report.Examples(None, 4, 64, {})
    row = onnx.export_onnx(runtime.load_shipped("natural"), folder, examples)
    assert row["psnr_db"] >= 100
    manifest = read_manifest(folder)
    assert manifest["model"] == "natural" and manifest["opset"] == 17
    with Image.open(repository / "samples" / "coffee.jpg") as image:
        values = np.asarray(image.convert("RGB"), "float32") / 255
    photo = np.rint(overexpose(values, 0.4) * 255).astype("uint8")
    Image.fromarray(photo).save(tmp_path / "in.png")
    found = []
    for name in (str(folder), "natural"):
        target = tmp_path / "out.png"
        options = f"--output={target}", "--overwrite", f"--model={name}"
        arguments = "correct", str(tmp_path / "in.png"), "--quiet", *options
        assert cli.main(list(arguments)) == 0
        found.append(np.asarray(Image.open(target)).astype(int))
    assert np.abs(found[0] - found[1]).max() <= 1
    assert np.abs(found[0] - photo).mean() > 5


def test_without_the_extra_it_is_named(unet, unet_folder, monkeypatch):
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    with pytest.raises(UserError, match=r'"tfexposure\[onnx\]"'):
        open_model(unet_folder)
    monkeypatch.setitem(sys.modules, "tf2onnx", None)
    with pytest.raises(UserError, match=r'tf2onnx.*"tfexposure\[onnx\]"'):
        onnx.convert_to_onnx(runtime.KerasModel(unet))


def broken(path, folder):
    contents = path.read_bytes()
    return {
        "half": lambda: path.write_bytes(contents[: len(contents) // 2]),
        "empty": lambda: path.write_bytes(b""),
        "text": lambda: path.write_text("nothing"),
        "missing": path.unlink,
        "another's": lambda: path.write_bytes(
            (folder / "look.onnx").read_bytes()
        ),
        "no manifest": (path.parent / "manifest.json").unlink,
    }


@pytest.mark.parametrize(
    "fault, reason",
    [
        ("half", "field.onnx: not an ONNX file that loads"),
        ("empty", "field.onnx: not an ONNX file that loads"),
        ("text", "field.onnx: not an ONNX file that loads"),
        ("missing", "field.onnx: not an ONNX file that loads"),
        ("another's", "field.onnx: expected the tensors code, image, slopes; "),
        ("no manifest", "has no manifest.json"),
    ],
)
def test_a_damaged_export_is_named(fault, reason, blind_folder, tmp_path):
    for path in blind_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    broken(tmp_path / "field.onnx", blind_folder)[fault]()
    with pytest.raises(UserError, match=reason) as error:
        open_model(tmp_path)
    assert "\n" not in str(error.value)


def test_an_export_that_answers_something_else_is_refused(
    unet, unet_folder, restorer, blind_folder
):
    assert onnx.compare(OnnxModel(unet_folder), runtime.KerasModel(unet)) > 100
    other = make_generator()
    bias = other.output_block.layer.bias
    bias.assign(bias.value + 0.01)
    with pytest.raises(UserError, match="below the 100 dB of float32"):
        onnx.compare(OnnxModel(unet_folder), runtime.KerasModel(other))
    # In what the thumbnail tells, and in the coefficients.
    for part in ("global_branch", "local_unet"):
        other = make_restorer()
        for weight in getattr(other, part).weights:
            weight.assign(weight.value * 1.01)
        with pytest.raises(UserError, match="below the 100 dB of float32"):
            onnx.compare(OnnxModel(blind_folder), runtime.KerasModel(other))


def test_a_folder_holds_one_model(unet, blind_folder, examples, tmp_path):
    for path in blind_folder.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
    mine = tmp_path / "mine.txt"
    mine.write_text("mine")
    onnx.export_onnx(LoadedRun(unet, {}, 3, "averaged"), tmp_path, examples)
    assert {path.name for path in tmp_path.iterdir()} == {
        "restore.onnx",
        "manifest.json",
        "mine.txt",
    }
    assert open_model(tmp_path).grid_spec is None
    with pytest.raises(UserError, match="could not write .*mine.txt"):
        onnx.export_onnx(LoadedRun(unet, {}, 3, "averaged"), mine, examples)
