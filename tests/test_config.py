"""The configuration: JSON, flags, validation, the run's folder."""

import dataclasses
import json
import os
import subprocess
import sys

import pytest
from absl import flags

from tfexposure import config_flags
from tfexposure.config import (
    SECTIONS,
    Config,
    DataConfig,
    RunDir,
    TrainConfig,
    choose_gpus,
    parse_devices,
)
from tfexposure.errors import UserError
from tfexposure.storage import read_json, write_atomically


def parse(*arguments):
    values = flags.FlagValues()
    config_flags.define(values)
    values(["program", *arguments])
    return config_flags.config_from_flags(values)


def test_json_round_trip():
    config = Config(data=DataConfig(tau_min=0.25, source="photos"))
    assert Config.from_json(config.to_json()) == config


def test_unknown_and_missing_fields_are_named():
    values = Config().to_dict()
    values["generator"]["filter"] = 32
    with pytest.raises(UserError, match="generator: 'filter'.*'filters'"):
        Config.from_dict(values)
    values = Config().to_dict()
    del values["loss"]["content_weight"]
    with pytest.raises(UserError, match="missing field of loss.*content_w"):
        Config.from_dict(values)
    for text, message in (
        ("{", "not a config"),
        ("[]", "a config must be a JSON object"),
        (json.dumps(Config().to_dict() | {"data": 3}), "data must be a JSON"),
    ):
        with pytest.raises(UserError, match=message):
            Config.from_json(text)


def test_runs_of_earlier_versions_are_read():
    # What computes nothing may be new since then.
    values = Config().to_dict()
    del values["data"]["cache"]
    assert Config.from_dict(values) == Config()


def test_every_field_is_a_flag_with_help():
    values = flags.FlagValues()
    config_flags.define(values)
    for name, section in SECTIONS.items():
        for field in dataclasses.fields(section):
            assert values[f"{name}.{field.name}"].help.strip()
    assert parse() == Config()


def test_flags_override_fields():
    config = parse(
        "--generator.filters=8", "--nodata.flip", "--train.learning_rate=0.1"
    )
    assert config.generator.filters == 8
    assert config.data.flip is False
    assert config.train.learning_rate == 0.1


@pytest.mark.parametrize(
    ("argument", "message"),
    [
        ("--generator.noise=encoder", "generator.noise.*'encoder'"),
        ("--generator.field_of_view=100", "generator.field_of_view.*100"),
        ("--data.tau_min=0", "data.tau_min.*0.0"),
        ("--data.tau_min=0.9", "data.tau_min <= data.tau_max"),
        ("--data.jpeg_quality_max=101", "jpeg_quality_max.*101"),
        ("--data.jpeg_quality_min=9", "jpeg_quality_min <= .*, not 9 and 0"),
        ("--train.steps=0", "train.steps must be at least 1"),
        ("--train.ema=-1", "train.ema"),
        ("--train.decay_steps=-1", "needs train.minutes"),
        ("--train.best_metric=sharpness", "train.best_metric"),
        ("--task=blind --train.precision=float16", "train.precision"),
        ("--task=blind --train.discriminator_steps=2", "no discriminator"),
        ("--task=blind --train.accumulate=2", "train.accumulate must be 1"),
        ("--train.learning_rate=-1", "train.learning_rate"),
        ("--train.learning_rate=nan", "rate must be a finite number, not nan"),
        ("--loss.content_weight=inf", "content_weight must be a finite"),
        ("--train.ema=1", "train.ema must be below 1, not 1.0"),
        ("--train.beta_1=1.5", "train.beta_1 must be below 1"),
        ("--train.seed=-1", "train.seed must be at least 0"),
        ("--train.steps=3000000000", "train.steps must be at most"),
        ("--restorer.unet_widths=24,0", "unet_widths must be at least 1"),
        ("--restorer.unet_widths=24,4.5", "some whole numbers"),
        ("--restorer.clip=0.9,nan", "restorer.clip must be two numbers"),
        ("--task=blind --restorer.clip=0.9,0.8", "restorer.clip must rise"),
        ("--task=blind --restorer.lift=0.99", "restorer.lift=0.99 must be"),
        ("--camera.untouched=1.1", "camera.untouched must be at most 1"),
        ("--camera.stops=3,1", "camera.stops must not fall"),
        ("--camera.tau_min=0", "camera.tau_min must be above 0"),
        ("--train.devices=gpu", "train.devices must be all, cpu:2 or gpu:0,1"),
        ("--train.devices=gpu:1,1", "train.devices must be all"),
        ("--train.devices=cpu:0", "train.devices must be all"),
        ("--train.profile=20:10", "train.profile must be such as 10:20"),
        ("--blind_loss.shape=-1", "blind_loss.shape must be at least 0"),
        ("--loss.adversarial=wgan", "loss.adversarial.*'wgan'"),
    ],
)
def test_bad_values_name_the_flag(argument, message):
    with pytest.raises(UserError, match=message):
        parse(*argument.split())


def test_devices_are_picked_by_number():
    assert parse_devices("all") == ("all", ())
    assert parse_devices("cpu:2") == ("cpu", (2,))
    kind, numbers = parse_devices("gpu:2,0")
    assert (kind, choose_gpus(["a", "b", "c"], numbers)) == ("gpu", ["c", "a"])
    with pytest.raises(UserError, match="names GPU 2, and 1 are found"):
        choose_gpus(["a"], numbers)


def test_wrong_types_are_refused():
    config = Config(train=TrainConfig(steps="many"))
    with pytest.raises(UserError, match="train.steps must be int.*'many'"):
        config.validate()


def test_the_script_reads_flag_files_and_suggests_flags(repository, tmp_path):
    script = repository / "trainers" / "train_gan.py"
    flagfile = tmp_path / "flags.txt"
    flagfile.write_text("--generator.filters=12\n--run_dir=x\n--dry_run\n")
    done = subprocess.run(
        [sys.executable, script, f"--flagfile={flagfile}"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["generator"]["filters"] == 12
    done = subprocess.run(
        [sys.executable, script, "--run_dir=x", "--generator.filter=3"],
        capture_output=True,
        text=True,
    )
    assert done.returncode != 0
    assert "generator.filters" in done.stderr


def test_a_run_keeps_its_configuration(tmp_path):
    run_dir = RunDir(tmp_path / "run")
    config = Config()
    run_dir.write_config(config)
    assert run_dir.read_config() == config
    longer = dataclasses.replace(config, train=TrainConfig(steps=10**6))
    run_dir.write_config(longer)
    assert run_dir.read_config() == longer
    other = dataclasses.replace(config, data=DataConfig(tau_min=0.3))
    with pytest.raises(UserError, match="data.tau_min: 0.3, not 0.5"):
        run_dir.write_config(other)
    assert run_dir.read_config() == longer


def test_one_process_at_a_time_trains_in_a_folder(tmp_path):
    folder = tmp_path / "run"
    with RunDir(folder).locked():
        with pytest.raises(UserError, match=f"run: process {os.getpid()} on"):
            with RunDir(folder).locked():
                pass
    # A killed process leaves the file, but no lock.
    with RunDir(folder).locked():
        pass


def test_folder_that_cannot_be_one_is_named(tmp_path):
    (tmp_path / "file").write_text("text")
    with pytest.raises(UserError, match="file cannot be the folder of a run"):
        with RunDir(tmp_path / "file").locked():
            pass


@pytest.mark.parametrize("text", ['{"best": 1', '["best"]', "\xff"])
def test_damaged_json_names_the_file(tmp_path, text):
    path = tmp_path / "metrics.json"
    path.write_bytes(text.encode("latin-1"))
    with pytest.raises(UserError, match=r"metrics\.json .*; remove it$"):
        read_json(path, "remove it")


def test_no_run_and_a_broken_one_are_named(tmp_path):
    with pytest.raises(UserError, match="nowhere is not the folder of a run"):
        RunDir(tmp_path / "nowhere").read_config()
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(UserError, match="config.json: missing section"):
        RunDir(tmp_path).read_config()


def test_atomic_writing_leaves_the_old_file_on_failure(tmp_path, monkeypatch):
    path = tmp_path / "file"
    write_atomically(path, "old")

    def fail(*_):
        raise OSError("disk full")

    monkeypatch.setattr("os.replace", fail)
    with pytest.raises(OSError, match="disk full"):
        write_atomically(path, "new")
    assert path.read_text() == "old"
    assert [file.name for file in tmp_path.iterdir()] == ["file"]
