"""Evaluation: simulation, real pairs, measurements, table and program."""

import csv
import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tfexposure import evaluation, metrics
from tfexposure.data import pairs as real_pairs
from tfexposure.data.curation import curate
from tfexposure.data.well_exposed import SCORING, Rules
from tfexposure.errors import UserError
from tfexposure.metrics.classifiers import Classifier
from tfexposure.runtime.model import Model
from tfexposure.runtime.opening import open_whole_image


@pytest.fixture
def folder(tmp_path):
    """Twelve smooth random photos, 48 x 62."""
    photos = tmp_path / "photos"
    photos.mkdir()
    generator = np.random.default_rng(0)
    for i in range(12):
        coarse = generator.integers(10, 245, (4, 5, 3)).astype(np.uint8)
        smooth = Image.fromarray(coarse).resize((62, 48), Image.BILINEAR)
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
    clipped = (target.astype(np.float64) ** 2.2 >= 0.4).any(axis=-1)
    np.testing.assert_array_equal(example.clipped, clipped)
    assert 0.05 < clipped.mean() < 0.95
    # Without tau, what is white counts: all of it and the steps beside.
    blind = evaluation.Example("a", target, example.overexposed)
    white = (example.overexposed == 1).any(axis=-1)
    np.testing.assert_array_equal(blind.clipped, white)
    assert clipped.mean() == pytest.approx(white.mean(), abs=0.02)


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
    assert not example.clipped.any()


def test_jpeg_changes_the_photo_but_not_the_region(folder):
    target = read(folder)
    plain = evaluation.Simulation().apply(target, "a")
    jpeg = evaluation.Simulation(jpeg_quality=60).apply(target, "a")
    np.testing.assert_array_equal(plain.clipped, jpeg.clipped)
    difference = np.abs(plain.overexposed - jpeg.overexposed)
    assert 0 < difference.mean() < 0.1


@pytest.mark.parametrize(
    "name, expected",
    [
        ("tau0.5", evaluation.Simulation(0.5, 0.5)),
        ("tau0.2to0.9", evaluation.Simulation(0.2, 0.9)),
        ("tau-random", evaluation.Simulation(0.5, 1)),
        ("tau-random-jpeg", evaluation.Simulation(0.5, 1, jpeg_quality=90)),
        ("tau0.3-jpeg75", evaluation.Simulation(0.3, 0.3, jpeg_quality=75)),
    ],
)
def test_simulations_have_names(name, expected):
    assert evaluation.Simulation.from_name(name) == expected


@pytest.mark.parametrize("name", ["tau", "tau0..5", "gamma", "tau0.5-png"])
def test_other_names_are_refused(name):
    with pytest.raises(ValueError, match="tau-random"):
        evaluation.Simulation.from_name(name)


def simulated(folder, **settings):
    simulation = evaluation.Simulation(**settings)
    return evaluation.SimulatedSet(evaluation.find_photos(folder), simulation)


def test_rows_measure_what_they_say(folder):
    photos = simulated(folder)
    oracles = dict(evaluation.ORACLES)
    targets = {example.overexposed.tobytes(): example for example in photos}
    oracles["perfect"] = lambda image, *_: targets[image.tobytes()].target
    measured = evaluation.evaluate(photos, evaluation.METHODS, oracles)
    summary = evaluation.summarize(measured, resamples=50)
    rows = {
        row["name"]: {k: v["mean"] for k, v in row.items() if k != "name"}
        for row in summary["rows"]
    }
    assert summary["photos"] == 12
    perfect = rows["perfect"]
    assert perfect["psnr"] == perfect["psnr_clipped"] == 60
    assert perfect["ciede2000"] == perfect["white"] == 0
    assert perfect["luminance"] == pytest.approx(100)
    known, blind = rows["inverse (known tau)"], rows["inverse (blind)"]
    assert known["l1_unclipped"] < 1.5 / 255 < known["l1_clipped"]
    assert rows["untouched"]["l1"] > blind["l1"] > known["l1"]
    assert rows["fill (known tau)"]["psnr"] > known["psnr"]
    assert rows["fill (known tau)"]["l1_unclipped"] < 2.5 / 255
    assert rows["untouched"]["white"] > 0 > known["white"]


def test_measures_agree_with_numpy_and_scikit_image(folder):
    from skimage import color, metrics

    example = evaluation.Simulation().apply(read(folder), "03.png")
    target, restored = example.target, example.overexposed**1.4
    found = evaluation.measure(example, restored)
    assert set(found) == set(evaluation.VALUES)
    clipped = example.clipped
    square = (restored.astype(np.float64) - target) ** 2
    lab = color.rgb2lab(target), color.rgb2lab(restored)
    expected = {
        "psnr": -10 * np.log10(square.mean()),
        "psnr_clipped": -10 * np.log10(square[clipped].mean()),
        "psnr_unclipped": -10 * np.log10(square[~clipped].mean()),
        "ssim": metrics.structural_similarity(
            target,
            restored,
            data_range=1,
            gaussian_weights=True,
            sigma=1.5,
            use_sample_covariance=False,
            channel_axis=-1,
        ),
        "ciede2000": color.deltaE_ciede2000(*lab).mean(),
        "chroma_clipped": np.hypot(
            *np.moveaxis((lab[0] - lab[1])[clipped][:, 1:], -1, 0)
        ).mean(),
        "l1": np.abs(restored - target).mean(),
        "l1_clipped": np.abs(restored - target)[clipped].mean(),
    }
    for name, value in expected.items():
        assert found[name] == pytest.approx(value, rel=1e-3), name
    assert found["white_error"] == abs(found["white"])
    # A few clipped pixels are no region to speak of.
    few = target.copy()
    few[:5, :5] = 1
    found = evaluation.measure(evaluation.Example("a", target, few), few)
    assert np.isnan(found["psnr_clipped"]) and found["psnr_unclipped"] == 60


def test_photos_without_clipping_do_not_count_inside(folder):
    photos = simulated(folder, tau_min=1, tau_max=1)
    measured = evaluation.evaluate(photos, evaluation.METHODS)
    summary = evaluation.summarize(measured, resamples=50)
    inside = summary["rows"][0]["psnr_clipped"]
    assert np.isnan(inside["mean"]) and inside["photos"] == 0
    text = evaluation.to_markdown(summary)
    head, row = (
        next(line for line in text.splitlines() if name in line).split("|")
        for name in ("| Row", "| untouched")
    )
    assert row[head.index(" clipped ")].strip() == "–"


def test_a_list_of_examples_is_a_set(folder):
    photos = simulated(folder)
    as_set = evaluation.evaluate(photos, evaluation.METHODS)
    as_list = evaluation.evaluate(list(photos), evaluation.METHODS)
    np.testing.assert_equal(as_list.values, as_set.values)
    assert as_list.names == as_set.names


def test_the_table_prints_n_floor_and_the_classifier(folder, tmp_path):
    def predict(images):
        means = images.mean(axis=(1, 2))
        return means / means.sum(axis=-1, keepdims=True)

    classifier = Classifier(predict, size=16, weights="mean colours")
    measured = evaluation.evaluate(
        simulated(folder),
        evaluation.METHODS,
        evaluation.ORACLES,
        classifier,
    )
    summary = evaluation.summarize(measured, classifier, resamples=50)
    paths = evaluation.write_results(tmp_path / "a/b", [measured], [summary])
    text, (values,) = (
        paths[0].read_text(),
        json.loads(paths[1].read_text())["sets"],
    )
    assert "N = 12 photos" in text and "noise floor" in text
    assert "Classifier score" in text and "Inception" not in text
    assert "mean colours" in text
    first = values["rows"][0]
    assert first["score"]["mean"] >= 1
    assert first["psnr"]["low"] < first["psnr"]["mean"] < first["psnr"]["high"]
    assert len(values["per_photo"]) == 12
    row = values["per_photo"][3]["rows"]["untouched"]
    assert set(row) == {*evaluation.VALUES, "features"}
    assert {p.name for p in (tmp_path / "a").iterdir()} == {"b.md", "b.json"}


def test_paired_differences_are_those_of_the_same_photos(folder):
    """Where all photos improve alike, the interval is narrower."""
    measured = evaluation.evaluate(
        simulated(folder), evaluation.METHODS, evaluation.ORACLES
    )
    summary = evaluation.summarize(measured, resamples=200)
    rows = {row["name"]: row for row in summary["rows"]}
    first = next(iter(rows.values()))
    for row in rows.values():
        for name in metrics.FEATURES:
            paired = summary["paired"][row["name"]][name]
            expected = row[name]["mean"] - first[name]["mean"]
            assert paired["mean"] == pytest.approx(expected, abs=1e-9)
            assert paired["low"] <= paired["mean"] <= paired["high"]
    paired = summary["paired"][first["name"]]
    assert paired["luminance"] == {"mean": 0, "low": 0, "high": 0}
    known = rows["inverse (known tau)"]
    paired = summary["paired"][known["name"]]
    widths = [
        sum(each[n]["high"] - each[n]["low"] for n in metrics.FEATURES)
        for each in (paired, known, first)
    ]
    assert widths[0] < widths[1] + widths[2]
    text = evaluation.to_markdown(summary)
    assert f"less that of {first['name']}" in text
    assert f"{paired['luminance']['mean']:+.1f} [" in text


def test_similarity_of_patches_agrees_with_numpy(folder):
    target = read(folder)
    examples = [
        evaluation.Simulation(0.5, 0.5).apply(shifted, str(index))
        for index, shifted in enumerate((target, target[::-1] * 0.8))
    ]
    found = evaluation.evaluate(
        examples, {"dim": lambda image: image * 0.8}, similarity="patches"
    )
    counts = []
    for scale in (None, 0.8):
        patches = []
        for index, example in enumerate(examples):
            image = example.target
            if scale:
                levels = evaluation.to_uint8(example.overexposed * scale)
                image = np.float32(levels) / 255
            patches.extend(metrics.draw_patches(image, index))
        light = np.stack(patches) @ np.array([0.27, 0.67, 0.06])
        means = light.mean(axis=(1, 2))
        counts.append(np.histogram(means, 32, (0, 1))[0] / len(means))
    expected = 100 * np.minimum(*counts).sum()
    summary = evaluation.summarize(found, resamples=10)
    (row,) = summary["rows"]
    assert row["luminance"]["mean"] == pytest.approx(expected)
    assert 0 < expected < 100
    assert "16 patches of 64 px" in evaluation.to_markdown(summary)


def test_photos_are_limited_evenly_and_bad_ones_named(folder):
    paths = evaluation.find_photos(folder, limit=3)
    assert [path.name for path in paths] == ["00.png", "06.png", "11.png"]
    (folder / "06.png").write_bytes(b"no photo")
    Image.new("RGB", (62, 48), (3, 3, 3)).save(folder / "11.png")
    simulation = evaluation.Simulation()
    photos = evaluation.SimulatedSet(paths, simulation, rules=SCORING)
    measured = evaluation.evaluate(photos, evaluation.METHODS)
    assert measured.names == ("00.png",)
    assert "06.png" in measured.unreadable[0]
    assert measured.left_out == ("11.png",)
    text = evaluation.to_markdown(evaluation.summarize(measured))
    assert "1 badly exposed" in text and "1 photos were unreadable" in text
    with pytest.raises(UserError, match="06.png"):
        photos = evaluation.SimulatedSet(paths, simulation, max_unreadable=0)
        evaluation.evaluate(photos, evaluation.METHODS)
    with pytest.raises(UserError, match="11.png is badly exposed"):
        photos = evaluation.SimulatedSet(paths[2:], simulation, rules=SCORING)
        evaluation.evaluate(photos, evaluation.METHODS)
    with pytest.raises(UserError, match="nowhere"):
        evaluation.find_photos("nowhere")
    with pytest.raises(ValueError, match="tau_min"):
        evaluation.Simulation(tau_min=0)


@pytest.fixture
def pairs(folder):
    """Twelve pairs of four scenes, overexposed by tau 0.5."""
    rows = []
    for number, example in enumerate(simulated(folder)):
        name = f"over_{example.name}"
        image = Image.fromarray(evaluation.to_uint8(example.overexposed))
        image.save(folder / name)
        rows.append(
            {
                "over": name,
                "reference": example.name,
                "scene": f"s{number // 3}",
                "camera": "first" if number < 5 else "second",
                "mean_reference": f"{0.3 + number / 100:.2f}",
            }
        )
    write_pairs(folder, rows)
    return folder


def write_pairs(folder, rows):
    with open(folder / "pairs.csv", "w", newline="") as file:
        writer = csv.DictWriter(file, rows[0])
        writer.writeheader()
        writer.writerows(rows)


def test_pairs_score_like_the_simulation_they_hold(pairs):
    found = evaluation.evaluate(evaluation.PairSet(pairs), evaluation.METHODS)
    paths = [pairs / f"{i:02}.png" for i in range(12)]
    photos = evaluation.SimulatedSet(paths, evaluation.Simulation())
    expected = evaluation.evaluate(photos, evaluation.METHODS)
    for name in ("psnr", "psnr_best_gain", "ssim", "ciede2000"):
        np.testing.assert_allclose(
            found.values["inverse (blind)"][name],
            expected.values["inverse (blind)"][name],
        )
    assert found.scenes == tuple(f"s{i // 3}" for i in range(12))
    text = evaluation.to_markdown(evaluation.summarize(found))
    assert "N = 12 photos; real pairs of 4 scenes" in text


def test_pairs_that_say_tau_have_oracles(pairs):
    assert not evaluation.PairSet(pairs).tau_known
    rows = [
        pair.columns | {"tau": "0.5"} for pair in real_pairs.read_pairs(pairs)
    ]
    write_pairs(pairs, rows)
    photos = evaluation.PairSet(pairs)
    assert photos.tau_known
    found = evaluation.evaluate(photos, {}, evaluation.ORACLES)
    assert found.values["inverse (known tau)"]["l1_unclipped"].max() < 1.5 / 255


def test_pairs_are_chosen_by_columns_and_split_by_scene(pairs):
    def read(*where, split=None):
        found = real_pairs.read_pairs(pairs, where, split)
        return [pair.reference.name for pair in found]

    assert read("camera=first") == [f"{i:02}.png" for i in range(5)]
    assert read("camera != first", "mean_reference<0.37") == [
        "05.png",
        "06.png",
    ]
    assert read("mean_reference>=0.41") == ["11.png"]
    assert read("reference=00.png|03.png") == ["00.png", "03.png"]
    assert read("reference!=00.png|03.png", "camera=first") == [
        "01.png",
        "02.png",
        "04.png",
    ]
    both = [read(split=split) for split in real_pairs.SPLITS]
    assert sorted(both[0] + both[1]) == read()
    digests = [hashlib.sha256(f"s{i}".encode()).digest()[0] for i in range(4)]
    scenes = [pair.scene for pair in real_pairs.read_pairs(pairs, (), "test")]
    assert set(scenes) == {f"s{i}" for i in range(4) if digests[i] % 2}
    for where, message in (
        ("camera=third", "no pair of 12"),
        ("lens=fast", "over, reference, scene, camera"),
        ("camera", "should be a condition"),
        ("camera<3", "'first' in column 'camera'"),
    ):
        with pytest.raises(UserError, match=message):
            read(where)


def test_references_may_lack_a_few_rows(pairs):
    def frame(name, size):
        Image.open(pairs / "00.png").resize(size).save(pairs / name)

    frame("over.png", (300, 200))
    frame("nearly.png", (298, 199))
    frame("other.png", (290, 200))
    write_pairs(pairs, [{"over": "over.png", "reference": "nearly.png"}])
    (example,) = evaluation.PairSet(pairs)
    assert example.target.shape == example.overexposed.shape == (200, 300, 3)
    assert np.abs(example.target - example.overexposed).mean() < 0.02
    write_pairs(pairs, [{"over": "over.png", "reference": "other.png"}])
    with pytest.raises(UserError, match="other.png.*over.png.*290 x 200"):
        list(evaluation.PairSet(pairs))
    write_pairs(pairs, [{"over": "over.png", "truth": "other.png"}])
    with pytest.raises(UserError, match="'reference'"):
        evaluation.PairSet(pairs)
    with pytest.raises(UserError, match="nowhere"):
        evaluation.PairSet("nowhere")


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
    restored = open_whole_image(Recorder())(example.overexposed)
    assert restored.shape == example.target.shape
    assert restored.mean() == pytest.approx(
        example.overexposed.mean(), abs=1e-3
    )


def test_models_of_one_size_are_refused():
    class Fixed(Model):
        fixed_size = (64, 64)

    with pytest.raises(UserError, match="64"):
        open_whole_image(Fixed())


@pytest.mark.tf_only
def test_the_program_scores_a_saved_model(pairs, tmp_path):
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
    # The folder holds the pairs' frames, too.
    manifest = tmp_path / "kept.jsonl"
    curate(pairs, manifest, Rules(max_bright=0.001, max_dark=1))
    program = [sys.executable, "trainers/evaluate.py"]
    done = subprocess.run(
        [
            *program,
            f"--photos={manifest}",
            "--set=tau0.5",
            "--set=tau-random-jpeg",
            f"--pairs={pairs}",
            f"--model={tmp_path / 'model'}",
            f"--output={tmp_path / 'result'}",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("N = 12 photos") == 3
    sets = json.loads((tmp_path / "result.json").read_text())["sets"]
    names = [each["name"] for each in sets]
    assert names == ["tau0.5", "tau-random-jpeg", "photos"]
    rows = {row["name"]: row for row in sets[0]["rows"]}
    # This model is the inverse of tau 0.5.
    model = rows[f"model {tmp_path / 'model'}"]
    for name in ("psnr", "l1_clipped", "luminance"):
        assert model[name]["mean"] == pytest.approx(
            rows["inverse (known tau)"][name]["mean"], rel=1e-3
        )
    assert "inverse (known tau)" not in [r["name"] for r in sets[2]["rows"]]


@pytest.mark.parametrize(
    "flags, message",
    [
        (["--photos=samples", "--set=tau2"], "error: --set: 0 <"),
        (["--pairs=nowhere"], "error: nowhere/pairs.csv"),
        (["--pairs=samples", "--correct=natural:loud"], "error: samples"),
        (["--photos=samples", "--correct=natural:loud"], "force or stops"),
        ([], "--photos or --pairs"),
    ],
)
def test_the_program_says_what_is_wrong(flags, message):
    program = [sys.executable, "trainers/evaluate.py", *flags]
    bad = subprocess.run(program, capture_output=True, text=True)
    assert bad.returncode == 1 and message in bad.stderr + bad.stdout
