"""The blind model, which encodes the whole photo first, in both formats."""

import json
import runpy

import numpy as np
import pytest
from ai_edge_litert import interpreter as litert
from serving_models import make_restorer, picture

import tfexposure
from tfexposure import runtime, serving
from tfexposure.blind import BlindRestorer
from tfexposure.errors import UserError
from tfexposure.runtime.lite import LiteModel

pytestmark = pytest.mark.tf_only


@pytest.fixture(scope="module")
def restorer():
    return make_restorer()


@pytest.fixture(scope="module")
def any_size(restorer):
    """The contents of a .tflite file."""
    return serving.convert_to_tflite(runtime.KerasModel(restorer))


@pytest.mark.parametrize("size", [None, 64])
def test_a_tflite_file_takes_both(restorer, any_size, size):
    contents = any_size
    if size:
        exported = runtime.KerasModel(restorer)
        contents = serving.convert_to_tflite(exported, size=size)
    model = LiteModel(contents)
    image = picture(size or 33, size or 50)
    thumbnail = np.asarray(restorer.thumbnail(image))
    np.testing.assert_allclose(
        model.restore(image[0], thumbnail[0])[None],
        restorer((image, thumbnail)),
        atol=1e-4,
    )


def test_a_file_of_any_size_tells_curve_and_field(restorer, any_size, tmp_path):
    """What `tfexposure correct` asks for is the network's own answer."""
    manifest = runtime.make_manifest(runtime.KerasModel(restorer))
    path = serving.write_tflite(tmp_path / "natural.tflite", any_size, manifest)
    # Interpreters that know no signatures find the one that restores.
    interpreter = litert.Interpreter(model_content=any_size)
    inputs = interpreter.get_input_details()
    assert {tensor["name"].split(":")[0] for tensor in inputs} == {
        "serving_default_image",
        "serving_default_thumbnail",
    }
    pixels = np.rint(picture(61, 90)[0] * 255).astype("uint8")
    answer = tfexposure.correct(pixels, model=path)
    expected = restorer(pixels[None].astype("float32") / 255)
    expected = np.asarray(expected)[0] * 255
    assert np.abs(answer - expected).max() <= 0.55
    assert np.abs(answer.astype(int) - pixels).max() > 10


def test_a_file_of_any_size_tells_how_much_to_mix_in(restorer, any_size):
    image = picture(61, 90)
    thumbnail = np.asarray(restorer.thumbnail(image))
    look = litert.Interpreter(model_content=any_size).get_signature_runner(
        "serving_look"
    )
    found = look(thumbnail=thumbnail)["exposure"]
    expected = np.asarray(restorer.encode_photo(thumbnail)[2])
    np.testing.assert_allclose(found, expected, atol=1e-4)
    share, stops, spread = expected[0]
    assert 0 < share < 1 and stops > 0 and spread > 0


def test_the_reference_without_this_package_answers_alike(
    restorer, any_size, tmp_path, repository
):
    manifest = runtime.make_manifest(runtime.KerasModel(restorer))
    path = serving.write_tflite(tmp_path / "natural.tflite", any_size, manifest)
    program = repository / "examples" / "correct_with_litert.py"
    assert "import tfexposure" not in program.read_text()
    reference = runpy.run_path(str(program))
    # Mixed in in part; more than the network sees.
    pixels = np.rint(picture(903, 1301)[0] * 200).astype("uint8")
    pixels[100:130] = 255
    answer = reference["correct"](path, pixels)
    expected = tfexposure.correct(pixels, model=path)
    assert np.abs(answer.astype(int) - expected).max() <= 1
    forced = tfexposure.correct(pixels, model=path, force=True)
    assert (
        2
        < np.abs(answer.astype(int) - pixels).max()
        < (np.abs(forced.astype(int) - pixels).max())
    )


def test_weights_are_loaded_from_their_file(tmp_path):
    model = BlindRestorer()
    model.build()
    model.weights[0].assign(model.weights[0].value + 1)
    path = tmp_path / "best.weights.h5"
    model.save_weights(path)
    loaded = runtime.load_natural(path)
    np.testing.assert_array_equal(loaded.generator.weights[0], model.weights[0])
    assert loaded.weights == "best.weights.h5" and loaded.step is None
    json.dumps(loaded.config)  # It travels in the manifest.
    path.write_text("nothing")
    with pytest.raises(UserError, match="best.weights.h5: does not hold"):
        runtime.load_natural(path)
