"""TFLite files: every precision against Keras, and what is refused."""

import json
import zipfile

import numpy as np
import pytest
from serving_models import answer, make_generator, picture

from tfexposure import runtime, serving
from tfexposure.errors import UserError
from tfexposure.runtime.lite import LiteModel
from tfexposure.runtime.runs import LoadedRun
from tfexposure.serving import lite_checks, report, scoring, tflite

pytestmark = pytest.mark.tf_only


@pytest.fixture(scope="module")
def generator():
    return make_generator()


@pytest.fixture(scope="module")
def exported(generator):
    return runtime.KerasModel(generator)


@pytest.fixture(scope="module")
def dynamic(exported):
    return serving.convert_to_tflite(exported)


@pytest.fixture(scope="module")
def fixed(exported):
    return serving.convert_to_tflite(exported, size=64)


def psnr(first, second):
    return -10 * np.log10(np.mean((first - second) ** 2))


def test_any_size_equals_keras(dynamic, generator):
    model = LiteModel(dynamic)
    for size in [(1, 1), (1, 7), (16, 16), (33, 50), (64, 20)]:
        image = picture(*size, count=2)
        restored = [model.restore(one) for one in image]
        np.testing.assert_allclose(
            restored, answer(generator, image), atol=1e-4
        )


@pytest.mark.parametrize(
    "options",
    [
        dict(norm="instance", field_of_view=47),
        dict(upsampling="resize", skip="add", field_of_view=70),
    ],
    ids=str,
)
def test_other_generators_are_converted_too(options):
    generator = make_generator(**options)
    exported = runtime.KerasModel(generator)
    image = picture(19, 30)
    model = LiteModel(serving.convert_to_tflite(exported))
    np.testing.assert_allclose(
        model.restore(image[0]), answer(generator, image)[0], atol=1e-4
    )


@pytest.mark.parametrize("precision", tflite.PRECISIONS[1:])
def test_lower_precisions_stay_near_keras(precision, generator, fixed):
    exported = runtime.KerasModel(generator, shuffle=precision != "int16x8")
    examples = [{"image": picture(64, 64, seed=seed)} for seed in range(6)]
    contents = serving.convert_to_tflite(exported, precision, 64, examples[1:])
    image = examples[0]["image"]
    model = LiteModel(contents)
    floor = tflite.QUALITY_FLOORS[precision]
    found = psnr(model.restore(image[0]), answer(generator, image)[0])
    # Less than float32, or the file is not what it says.
    assert floor <= found < 130
    assert len(contents) < 0.8 * len(fixed)
    pixels = np.uint8 if precision == "int8" else np.float32
    assert model.inputs["image"]["dtype"] == pixels
    assert model.outputs["restored"]["dtype"] == pixels
    obstacles = lite_checks.gpu_obstacles(contents)
    assert ("16-bit integers" in obstacles) == (precision == "int16x8")


def test_gpu_delegates_want_a_fixed_size(dynamic, fixed):
    assert lite_checks.gpu_obstacles(fixed) == []
    assert "SHAPE is not supported" in lite_checks.gpu_obstacles(dynamic)
    assert "sizes are known only at run time" in lite_checks.gpu_obstacles(
        dynamic
    )


def test_a_file_without_its_weights_is_refused(fixed, exported, monkeypatch):
    lite_checks.check_contents(fixed, exported, "float32")
    wide = runtime.KerasModel(make_generator(filters=8))
    with pytest.raises(UserError, match="the conversion lost some"):
        lite_checks.check_contents(fixed, wide, "float32")


def test_a_file_that_answers_something_else_is_refused(fixed, exported):
    lite_checks.compare(fixed, exported, 64)
    other = make_generator()
    other.output_block.layer.bias.assign([5.0, 5.0, 5.0])
    with pytest.raises(UserError, match="differs from TensorFlow's by"):
        lite_checks.compare(fixed, runtime.KerasModel(other), 64)


def test_wrong_arguments_are_named(exported):
    with pytest.raises(ValueError, match="`precision`"):
        serving.convert_to_tflite(exported, "int4")
    with pytest.raises(ValueError, match="`size`.*multiple of 16"):
        serving.convert_to_tflite(exported, size=100)
    with pytest.raises(ValueError, match="`examples`"):
        serving.convert_to_tflite(exported, "int8", 64)


def test_the_manifest_travels_in_the_file(dynamic, exported, tmp_path):
    manifest = runtime.make_manifest(exported, precision="float32")
    path = serving.write_tflite(tmp_path / "a.tflite", dynamic, manifest)
    with zipfile.ZipFile(path) as members:
        assert json.loads(members.read("manifest.json")) == manifest
    # The model itself is untouched, and runs.
    assert path.read_bytes()[: len(dynamic)] == dynamic
    image = picture(20, 30)[0]
    np.testing.assert_array_equal(
        LiteModel(path).restore(image), LiteModel(dynamic).restore(image)
    )
    first = path.read_bytes()
    serving.write_tflite(path, dynamic, manifest)
    assert path.read_bytes() == first


def test_a_file_below_the_floor_is_refused_unless_forced(
    generator, tmp_path, monkeypatch
):
    monkeypatch.setitem(tflite.QUALITY_FLOORS, "dynamic_int8", 200.0)
    loaded = LoadedRun(generator, {}, 3, "averaged")
    examples = report.Examples(None, 4, 64, {})
    arguments = (loaded, "dynamic_int8", 64, examples, tmp_path)
    row, reason = report.export_one(*arguments)
    assert "below the 200.0 dB" in reason and not list(tmp_path.iterdir())
    row, reason = report.export_one(*arguments, force=True)
    assert reason is None
    path = tmp_path / "generator-3-dynamic_int8-64.tflite"
    assert path.exists()
    table = report.table([row])
    assert path.name in table and str(row["psnr_db"]) in table


def test_scores_are_those_of_known_pictures(fixed, exported, monkeypatch):
    inputs = [{"image": picture(64, 64, seed=seed)} for seed in range(2)]
    exact = scoring.score(fixed, exported, inputs, repeats=1)
    assert exact["psnr_db"] > 120 and exact["delta_e"] < 0.01
    assert exact["photos"] == 2
    assert exact["megabytes"] == round(len(fixed) / 1e6, 3)

    class Darker(LiteModel):
        def restore(self, image):
            return super().restore(image) - np.float32(0.1)

    monkeypatch.setattr(scoring, "LiteModel", Darker)
    darker = scoring.score(fixed, exported, inputs, repeats=1)
    assert abs(darker["psnr_db"] - 20) < 0.05
    assert darker["delta_e"] > 5


def test_photos_are_read_upright_and_evenly(tmp_path):
    from PIL import Image

    exif = Image.Exif()
    exif[0x0112] = 3
    for index in range(5):
        pixels = np.zeros((40, 60, 3), "uint8")
        pixels[:20] = 50 * index
        Image.fromarray(pixels).save(tmp_path / f"{index}.jpg", exif=exif)
    images = scoring.read_examples(tmp_path, 16, limit=3)
    assert [image.shape for image in images] == [(1, 16, 16, 3)] * 3
    # The bright half was stored above and is seen below.
    assert images[2][0, 12].mean() > 0.4 > 0.1 > images[2][0, 3].mean()
    (tmp_path / "2.jpg").write_text("no photo")
    with pytest.raises(UserError, match="2.jpg: not a readable photo"):
        scoring.read_examples(tmp_path, 16)
    with pytest.raises(UserError, match="at least two photos"):
        scoring.read_examples(tmp_path / "none", 16)
