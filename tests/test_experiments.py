"""Experiments: catalogue, statistics, pictures and the program."""

import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tfexposure import config_flags, metrics
from tfexposure.errors import UserError
from tfexposure.evaluation import (
    METHODS,
    ORACLES,
    SimulatedSet,
    Simulation,
    evaluate,
    statistics,
)
from tfexposure.experiments import (
    catalogue,
    drawing,
    figures,
    report,
    reproduce,
    tables,
    training,
)
from tfexposure.experiments.profiles import PROFILES


@pytest.fixture
def folder(tmp_path):
    """Twelve smooth random photos, 40 x 32."""
    photos = tmp_path / "photos"
    photos.mkdir()
    generator = np.random.default_rng(0)
    for i in range(12):
        coarse = generator.integers(10, 245, (4, 5, 3)).astype(np.uint8)
        smooth = Image.fromarray(coarse).resize((40, 32), Image.BILINEAR)
        smooth.save(photos / f"{i:02}.png")
    return photos


@pytest.fixture
def settings(folder, tmp_path):
    return reproduce.Settings(
        profile=PROFILES["smoke"],
        output=tmp_path / "results",
        runs=tmp_path / "runs",
        photos=(str(folder),),
        train_photos=str(folder),
        figure_photos=(str(folder),),
        vgg19_weights="random",
    )


def test_every_table_and_figure_is_there():
    assert set(catalogue.EXPERIMENTS) == {
        *(f"table{i}" for i in range(1, 6)),
        *(f"figure{i}" for i in range(4, 12)),
    }
    # Rows that the paper shares between tables are trained once.
    rows = {
        name: [row.variant for row in table.rows]
        for name, table in catalogue.TABLES.items()
    }
    assert rows["table2"][2] == rows["table3"][0] == rows["table5"][1]
    assert rows["table2"][0] == rows["table5"][0]
    ids = {
        v.id for e in catalogue.EXPERIMENTS for v in catalogue.variants_of(e)
    }
    assert len(ids) == 14
    # Of the paper's text: the final model and its training by random tau.
    assert catalogue.FINAL.id == "g140-d70-all-c50-p100-x3"
    assert catalogue.RANDOM_TAU.id == "g140-d70-all-c50-p100-tau0.5to1-x3"


@pytest.mark.parametrize("profile", PROFILES.values(), ids=lambda p: p.name)
def test_every_training_has_flags_that_the_trainer_knows(profile, tmp_path):
    from absl import flags

    values = flags.FlagValues()
    config_flags.define(values)
    for experiment in catalogue.EXPERIMENTS:
        for variant in catalogue.variants_of(experiment):
            plan = training.plan(variant, 3, profile, "p", "random", tmp_path)
            values.unparse_flags()
            values(["x", *(f"--{k}={v}" for k, v in plan.flags.items())])
            config = config_flags.config_from_flags(values)
            config.validate()
            assert config.train.seed == 3
            assert config.generator.noise == variant.noise
            assert config.train.steps == profile.steps * variant.length


def test_plans_differ_in_folder_exactly_if_flags_differ(tmp_path):
    def folder(variant=catalogue.FINAL, seed=0, source="a"):
        profile = PROFILES["smoke"]
        return training.plan(
            variant, seed, profile, source, "random", tmp_path
        ).folder

    assert folder() == folder()
    others = {folder(catalogue.NO_NOISE), folder(seed=1), folder(source="b")}
    assert len(others | {folder()}) == 4


def test_finished_trainings_are_not_repeated(tmp_path, monkeypatch):
    plan = training.plan(
        catalogue.NO_NOISE, 0, PROFILES["smoke"], "p", "random", tmp_path
    )
    assert "--generator.noise=none" in training.command(plan)
    log = tmp_path / "log"
    code = f"open({str(log)!r}, 'a').write('x'); exit({{}})"
    commands = {}
    monkeypatch.setattr(
        training, "command", lambda _: [sys.executable, "-c", commands["now"]]
    )
    commands["now"] = code.format(3)
    with pytest.raises(UserError, match="exit code 3"):
        training.train(plan)
    assert not plan.record["finished"] and plan.record["seconds"] > 0
    first = plan.record["seconds"]
    commands["now"] = code.format(0)
    training.train(plan)
    assert plan.record["finished"] and plan.record["seconds"] > first
    lines = []
    training.train(plan, lines.append)
    assert log.read_text() == "xx"
    assert "already trained" in lines[0]


def test_similarity_and_score_agree_with_the_metrics():
    generator = np.random.default_rng(0)
    target, restored = generator.random((2, 30, 3))
    counts = generator.integers(0, 3, (2, 30)).astype(float)
    expected = [
        metrics.histogram_similarity(
            np.repeat(target, row.astype(int), axis=0),
            np.repeat(restored, row.astype(int), axis=0),
        )
        for row in counts
    ]
    for i in range(3):
        similarity = statistics.Similarity(target[:, i], restored[:, i])
        np.testing.assert_allclose(
            similarity(counts), [float(e[i]) for e in expected], rtol=1e-5
        )
    p = generator.dirichlet(np.ones(5), 30)
    mean, _ = metrics.inception_score(p.astype(np.float32), splits=1)
    score = statistics.Score(p)(np.ones((1, 30)))
    assert score[0] == pytest.approx(float(mean), rel=1e-5)


def test_a_bootstrapped_mean_has_the_textbook_interval():
    values = np.random.default_rng(0).normal(5, 2, 400)
    counts = statistics.resample_photos(400, 2000)
    assert (counts.sum(axis=1) == 400).all()
    interval = statistics.estimate([statistics.Mean(values)], counts)
    half = 1.96 * values.std() / 20
    assert interval.mean == pytest.approx(values.mean())
    assert interval.low == pytest.approx(values.mean() - half, abs=0.03)
    assert interval.high == pytest.approx(values.mean() + half, abs=0.03)


def test_students_quantiles_are_those_of_scipy():
    from scipy import stats

    for freedom in (*range(1, 31), 100, 1001):
        assert statistics.students_t95(freedom) == pytest.approx(
            stats.t.ppf(0.975, freedom), rel=1e-9
        )


def test_photos_of_one_scene_are_drawn_together():
    scenes = ["b", "a", "b", "c", "a", "b"]
    counts = statistics.resample_photos(6, 500, scenes=scenes)
    np.testing.assert_array_equal(counts[:, 0], counts[:, 2])
    np.testing.assert_array_equal(counts[:, 1], counts[:, 4])
    assert (counts[:, [0, 1, 3]].sum(axis=1) == 3).all()
    # Three samples of 1, not six: the interval is wider.
    values = statistics.Mean(np.array([1.0, 2, 1, 3, 2, 1]))
    alone = statistics.resample_photos(6, 500)
    by_scene, by_photo = (
        statistics.estimate([values], drawn) for drawn in (counts, alone)
    )
    width = by_photo.high - by_photo.low
    assert by_scene.high - by_scene.low > 1.2 * width


def test_several_trainings_have_students_interval():
    measures = [statistics.Mean(np.full(4, v)) for v in (1.0, 2.0, 3.0)]
    interval = statistics.estimate(measures, np.ones((1, 4)))
    half = 4.303 / np.sqrt(3)  # Standard deviation 1, 2 degrees of freedom.
    assert interval.mean == pytest.approx(2)
    assert interval.high == pytest.approx(2 + half, rel=1e-3)


def test_the_verdict_follows_paired_differences_and_trainings():
    generator = np.random.default_rng(0)
    base = generator.normal(0, 5, 100)
    counts = statistics.resample_photos(100, 500)

    def verdict(first, second):
        interval = statistics.difference(
            [statistics.Mean(base + v) for v in first],
            [statistics.Mean(base + v) for v in second],
            counts,
        )
        return statistics.verdict(interval, "A", "B")

    # Far smaller than the photos' spread, but the same photos on both sides.
    assert verdict([0.1], [0]) == "A higher"
    assert verdict([0], [0.1]) == "B higher"
    assert verdict([0], [0]) == "cannot be told apart"
    # Trainings differ more among themselves than the sides do.
    assert verdict([0.1, 3, -3], [0, 2.9, -3.1]) == "cannot be told apart"


def test_tables_say_which_of_the_papers_orderings_hold(folder):
    table = catalogue.TABLES["table2"]
    oracles = dict(ORACLES)
    original = ORACLES["inverse (known tau)"]
    oracles["good"] = original
    oracles["bad"] = lambda *known: original(*known) * 0.5
    photos = SimulatedSet(sorted(folder.iterdir()), Simulation())
    measured = evaluate(photos, METHODS, oracles)
    rows = [["good"], ["bad"], ["good"]]
    result = tables.compare_rows(table, rows, [measured] * 3, 50)
    result |= {"score": None, "trainings": []}
    pairs = {
        (p["first"], p["second"]): p
        for p in result["pairs"]
        if p["quantity"] == "luminance"
    }
    reverse = pairs["no noise", "decoder only"]
    assert reverse["published_difference"] == pytest.approx(-1.29)
    assert reverse["ordering"] == "reversed"
    assert reverse["verdict"] == "no noise higher"
    assert pairs["decoder only", "encoder + decoder"]["ordering"] == "holds"
    same = pairs["no noise", "encoder + decoder"]
    assert same["verdict"] == same["ordering"] == "cannot be told apart"
    text = report.table_markdown(result)
    assert "| no noise, paper | 88.44 | 88.29 | 83.23 |" in text
    for needed in ("N = 12 photos", "noise floor", "inverse (blind), tau 0.5"):
        assert needed in text
    known = result["baselines"]["inverse (known tau), tau 0.5"]
    assert result["rows"][0]["ours"]["psnr"] == known["psnr"]


def test_table1_at_tau_1_is_perfect(folder):
    result = tables.table1(sorted(folder.iterdir()), resamples=20)
    rows = {row["tau"]: row for row in result["rows"]}
    assert list(rows) == [0.2, 0.5, 0.8, 1.0]
    for name in metrics.FEATURES:
        assert rows[1.0]["overexposed"][name]["mean"] == pytest.approx(100)
    assert rows[0.2]["overexposed"]["luminance"]["mean"] < 50
    assert result["folders"] == {}
    text = report.table1_markdown(result)
    assert "| 0.5 | paper | 54.13 | 66.92 | 52.03 |" in text


def test_table1_has_a_part_for_each_large_folder(folder, monkeypatch):
    monkeypatch.setattr(tables, "_LEAST_FOLDER", 5)
    paths = sorted(folder.iterdir())
    (folder / "few").mkdir()
    for path in paths[:3]:
        path.rename(folder / "few" / path.name)
    mixed = sorted(folder.rglob("*.png"))
    result = tables.table1(mixed, resamples=20)
    alone = tables.table1(paths[3:], resamples=20)
    name = f"{folder.parent.name}/photos"
    assert list(result["folders"]) == [name]
    assert result["folders"][name]["rows"] == alone["rows"]
    assert f"## Photos of {name} alone" in report.table1_markdown(result)


def picture(seed=0, height=30, width=40):
    return np.random.default_rng(seed).random(
        (height, width, 3), dtype=np.float32
    )


@pytest.mark.parametrize("experiment", list(catalogue.FIGURES))
def test_figures_are_drawn_in_one_size_per_photo(experiment):
    photos = {f"{i}.png": picture(i) for i in range(3)}
    restorers = {
        label: lambda image: image * 0.73
        for label in catalogue.FIGURES[experiment]
    }
    image, numbers = figures.draw(experiment, photos, restorers)
    assert image.width > 4 * 40 and image.height > 30
    assert len(np.unique(np.asarray(image))) > 100
    json.dumps(numbers)
    assert figures.CAPTIONS[experiment]


def test_the_ceiling_is_that_of_the_restored_photo():
    ramp = np.linspace(0, 1, 1000, dtype=np.float32).reshape(20, 50, 1)
    photo = np.repeat(ramp, 3, axis=-1)
    _, numbers = figures.ceiling_figure(
        {"ramp": photo}, lambda image: np.minimum(image, 0.8)
    )
    assert numbers["photos"]["ramp"]["ceiling"] == pytest.approx(0.8, abs=1e-3)
    above = numbers["photos"]["ramp"]["original_above"]
    assert above == pytest.approx(0.2, abs=2e-3)


def test_differences_share_one_scale():
    dark, bright = np.full((4, 5), 0.1), np.full((4, 5), 0.4)
    pair = [np.asarray(drawing.heat(v, top=0.4)) for v in (dark, bright)]
    assert pair[0].astype(int).sum() < pair[1].astype(int).sum()
    black = np.asarray(drawing.heat(np.zeros((2, 2)), top=0.4))
    assert (black == 0).all()


def test_grids_place_pictures_unscaled():
    left = Image.new("RGB", (20, 10), (200, 0, 0))
    right = Image.new("RGB", (50, 12), (0, 0, 200))
    sheet = np.asarray(drawing.grid([[left, right]], ("left", "right")))
    assert (sheet == (200, 0, 0)).all(axis=-1).sum() == 200
    assert (sheet == (0, 0, 200)).all(axis=-1).sum() == 600


def test_jpeg_pictures_are_kept_small(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (300, 300, 3))
    image = Image.fromarray(noise.astype(np.uint8))
    drawing.save(tmp_path / "a.jpg", image, limit=80_000)
    assert 10_000 < (tmp_path / "a.jpg").stat().st_size <= 80_000
    drawing.save(tmp_path / "a.png", image)
    np.testing.assert_array_equal(Image.open(tmp_path / "a.png"), noise)


def test_all_that_is_missing_is_said_before_training(settings, monkeypatch):
    trained = []
    monkeypatch.setattr(training, "train", lambda *a: trained.append(a))
    poor = dataclasses.replace(
        settings,
        photos=("nowhere",),
        train_photos="",
        vgg19_weights="absent.npz",
        inception="absent.keras",
    )
    with pytest.raises(UserError) as error:
        reproduce.reproduce("table4", poor)
    for needed in ("nowhere", "--train_photos", "absent.npz", "absent.keras"):
        assert needed in str(error.value)
    with pytest.raises(UserError, match="--figure_photos"):
        reproduce.reproduce(
            "figure7", dataclasses.replace(settings, figure_photos=())
        )
    assert not trained


def test_a_table_runs_from_photos_to_files(settings, monkeypatch):
    """With stand-ins for the trainer and its generators."""
    trained = []

    def train(plan, progress):
        trained.append(plan)
        plan.folder.mkdir(parents=True)
        record = {"finished": True, "seconds": 60.0, "device": "none"}
        (plan.folder / "reproduce.json").write_text(json.dumps(record))

    monkeypatch.setattr(training, "train", train)
    monkeypatch.setattr(
        reproduce,
        "open_whole_image",
        lambda run: lambda image: image * 0.73,
    )
    settings = dataclasses.replace(settings, seeds=2, steps=5)
    paths = reproduce.reproduce("table5", settings, lambda line: None)
    names = [path.name for path in paths]
    assert names == ["table5-smoke.md", "table5-smoke.json"]
    assert len(trained) == 8
    assert {plan.flags["train.steps"] for plan in trained} == {5, 15}
    result = json.loads(paths[1].read_text())
    assert result["photos"] == 6 and len(result["trainings"]) == 8
    # The row with random tau has baselines of its own.
    assert "inverse (known tau), tau 0.5 to 1" in result["baselines"]
    assert "mean of 2 trainings" in paths[0].read_text()


def test_the_program_draws_figure4(folder, tmp_path):
    done = subprocess.run(
        [
            sys.executable,
            "trainers/reproduce.py",
            "--experiment=figure4",
            "--profile=smoke",
            f"--figure_photos={folder / '00.png'}",
            f"--output={tmp_path / 'out'}",
            f"--runs={tmp_path / 'runs'}",
        ],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    made = {path.name for path in (tmp_path / "out").iterdir()}
    assert made == {f"figure4-smoke.{kind}" for kind in ("png", "md", "json")}
    text = (tmp_path / "out" / "figure4-smoke.md").read_text()
    assert "![figure4](figure4-smoke.png)" in text
