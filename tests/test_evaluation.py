"""Evaluation: simulation, measurements, table and program."""

import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tfexposure import evaluation
from tfexposure.errors import UserError
from tfexposure.evaluation.measure import FIDELITY_NAMES
from tfexposure.metrics.classifiers import Classifier
from tfexposure.runtime.model import Model


@pytest.fixture
def folder(tmp_path):
    """Twelve smooth random photos, 24 x 31."""
    photos = tmp_path / "photos"
    photos.mkdir()
    generator = np.random.default_rng(0)
    for i in range(12):
        coarse = generator.integers(10, 245, (4, 5, 3)).astype(np.uint8)
        smooth = Image.fromarray(coarse).resize((31, 24), Image.BILINEAR)
        smooth.save(photos / f"{i:02}.png")
    return photos


def read(folder):
    return evaluation.read_photo(folder / "03.png")


def test_simulation_agrees_with_numpy(folder):
    target = read(folder)
    example = evaluation.Simulation(tau_min=0.4, tau_max=0.4).apply(
        target, "a.png"
    )
    light = np.minimum(target.astype(np.float64) ** 2.2, 0.4) / 0.4
    expected = light ** (1 / 2.2)
    # Noise of half a step, amplified by the gain of 1.52, and rounding.
    assert np.abs(example.overexposed - expected).max() < 1.4 / 255
    assert np.abs(example.overexposed - expected).max() > 0.5 / 255
    steps = example.overexposed * 255
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)
    clipped = (example.overexposed == 1).any(axis=-1, keepdims=True)
    np.testing.assert_array_equal(example.region, clipped)
    assert 0.05 < clipped.mean() < 0.95


def test_simulation_depends_on_the_name_and_seed_only(folder):
    target = read(folder)
    random = evaluation.Simulation(tau_min=0.2, tau_max=0.9)
    first, again = random.apply(target, "a"), random.apply(target, "a")
    np.testing.assert_array_equal(first.overexposed, again.overexposed)
    taus = [random.apply(target, str(i)).tau for i in range(30)]
    assert 0.2 <= min(taus) < 0.4 and 0.7 < max(taus) <= 0.9
    other = evaluation.Simulation(tau_min=0.2, tau_max=0.9, seed=1)
    assert other.apply(target, "a").tau != first.tau


def test_tau_1_changes_nothing(folder):
    target = read(folder)
    example = evaluation.Simulation(tau_min=1, tau_max=1).apply(target, "a")
    np.testing.assert_allclose(example.overexposed, target, atol=1e-6)
    assert example.region.sum() == 0


def test_jpeg_changes_the_photo_but_not_the_region(folder):
    target = read(folder)
    plain = evaluation.Simulation().apply(target, "a")
    jpeg = evaluation.Simulation(jpeg_quality=60).apply(target, "a")
    np.testing.assert_array_equal(plain.region, jpeg.region)
    difference = np.abs(plain.overexposed - jpeg.overexposed)
    assert 0 < difference.mean() < 0.1


def test_rows_measure_what_they_say(folder):
    methods = evaluation.standard_methods()
    methods["perfect"] = lambda example: example.target
    paths = evaluation.find_photos(folder)
    simulation = evaluation.Simulation()
    measured = evaluation.evaluate(paths, simulation, methods)
    summary = evaluation.summarize(measured, simulation)
    rows = {row["name"]: row for row in summary["rows"]}
    assert summary["photos"] == 12
    assert rows["perfect"]["psnr"] == pytest.approx(100)
    assert rows["perfect"]["luminance"] == pytest.approx(100)
    known, blind = rows["inverse (known tau)"], rows["inverse (blind)"]
    assert known["l1_outside"] < 1.5 / 255 < known["l1_inside"]
    assert rows["input"]["l1"] > blind["l1"] > known["l1"]
    # One value against NumPy: the input's L1 inside the clipped areas.
    example = simulation.apply(read(folder), "03.png")
    inside = np.broadcast_to(example.region, example.target.shape) > 0
    expected = np.abs(example.target - example.overexposed)[inside].mean()
    got = measured.fidelity["input"]["l1_inside"][3]
    assert got == pytest.approx(expected, rel=1e-4)


def test_photos_without_clipping_do_not_count_inside(folder):
    simulation = evaluation.Simulation(tau_min=1, tau_max=1)
    paths = evaluation.find_photos(folder)
    methods = evaluation.standard_methods()
    measured = evaluation.evaluate(paths, simulation, methods)
    summary = evaluation.summarize(measured, simulation)
    text = evaluation.to_markdown(summary)
    assert np.isnan(summary["rows"][0]["psnr_inside"])
    row = next(line for line in text.splitlines() if "| input" in line)
    assert row.split("|")[3].strip() == "–"


def test_the_table_prints_n_floor_and_the_classifier(folder, tmp_path):
    def predict(images):
        means = images.mean(axis=(1, 2))
        return means / means.sum(axis=-1, keepdims=True)

    classifier = Classifier(predict, size=16, weights="mean colours")
    simulation = evaluation.Simulation()
    measured = evaluation.evaluate(
        evaluation.find_photos(folder),
        simulation,
        evaluation.standard_methods(),
        classifier,
    )
    summary = evaluation.summarize(measured, simulation, classifier)
    paths = evaluation.write_results(tmp_path / "a/b", measured, summary)
    text, values = paths[0].read_text(), json.loads(paths[1].read_text())
    assert "N = 12 photos" in text and "noise floor" in text
    assert "Classifier score" in text and "Inception" not in text
    assert "mean colours" in text
    assert values["rows"][0]["score"]["mean"] >= 1
    assert len(values["per_photo"]) == 12
    row = values["per_photo"][3]["rows"]["input"]
    assert set(row) == {*FIDELITY_NAMES, "features"}
    assert {p.name for p in (tmp_path / "a").iterdir()} == {"b.md", "b.json"}


def test_photos_are_limited_evenly_and_bad_ones_named(folder):
    paths = evaluation.find_photos(folder, limit=3)
    assert [path.name for path in paths] == ["00.png", "06.png", "11.png"]
    (folder / "06.png").write_bytes(b"no photo")
    methods = {"input": evaluation.standard_methods()["input"]}
    simulation = evaluation.Simulation()
    measured = evaluation.evaluate(paths, simulation, methods)
    assert measured.names == ("00.png", "11.png")
    assert "06.png" in measured.unreadable[0]
    with pytest.raises(UserError, match="06.png"):
        evaluation.evaluate(paths, simulation, methods, max_unreadable=0)
    with pytest.raises(UserError, match="nowhere"):
        evaluation.find_photos("nowhere")
    with pytest.raises(ValueError, match="tau_min"):
        evaluation.Simulation(tau_min=0)


def test_large_photos_are_reduced_and_turned_upright(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    image = Image.new("RGB", (400, 200), (9, 200, 9))
    image.save(tmp_path / "a.jpg", exif=exif)
    assert evaluation.read_photo(tmp_path / "a.jpg").shape == (400, 200, 3)
    small = evaluation.read_photo(tmp_path / "a.jpg", max_side=100)
    assert small.shape == (100, 50, 3)


def test_models_get_the_thumbnail_they_ask_for(folder):
    class Recorder(Model):
        thumbnail = 4

        def restore(self, image, thumbnail=None):
            return np.full_like(image, thumbnail.mean())

    example = evaluation.Simulation().apply(read(folder), "a")
    restored = evaluation.model_method(Recorder())(example)
    assert restored.shape == example.target.shape
    assert restored.mean() == pytest.approx(
        example.overexposed.mean(), abs=1e-3
    )


def test_models_of_one_size_are_refused():
    class Fixed(Model):
        fixed_size = (64, 64)

    with pytest.raises(UserError, match="64"):
        evaluation.model_method(Fixed())


@pytest.mark.tf_only
def test_the_program_scores_a_saved_model(folder, tmp_path):
    import tensorflow as tf

    class Darken(tf.Module):
        @tf.function(
            input_signature=[tf.TensorSpec((None, None, None, 3), name="image")]
        )
        def __call__(self, image):
            return {"restored": image * 0.5 ** (1 / 2.2)}

    module = Darken()
    tf.saved_model.save(
        module,
        str(tmp_path / "model"),
        signatures={"serving_default": module.__call__},
    )
    program = [sys.executable, "trainers/evaluate.py"]
    done = subprocess.run(
        [
            *program,
            f"--photos={folder}",
            f"--model={tmp_path / 'model'}",
            f"--output={tmp_path / 'result'}",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert "N = 12 photos" in done.stdout
    summary = json.loads((tmp_path / "result.json").read_text())
    rows = {row["name"]: row for row in summary["rows"]}
    # This model is the inverse of tau 0.5.
    for name in ("psnr", "l1_inside", "luminance"):
        assert rows["model"][name] == pytest.approx(
            rows["inverse (known tau)"][name], rel=1e-3
        )
    bad = subprocess.run(
        [*program, f"--photos={folder}", "--tau_min=2"],
        capture_output=True,
        text=True,
    )
    assert bad.returncode == 1 and "error: 0 <" in bad.stderr
