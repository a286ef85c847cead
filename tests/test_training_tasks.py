"""Both tasks on both backends: one step, one state, one kind of run folder."""

import json
import os
import subprocess
import sys

import numpy as np
import pytest
import tensorflow as tf
import training_support as support
from PIL import Image
from skimage import data

from tfexposure import config as config_module
from tfexposure import evaluation
from tfexposure.config import RunDir
from tfexposure.data import crops, packed
from tfexposure.data.mixture import PhotoMixture
from tfexposure.data.packed import ArrayPhotos, Batches
from tfexposure.errors import UserError
from tfexposure.training import loop, validation
from tfexposure.training.state import create_state
from tfexposure.training.step_tensorflow import TensorFlowBackend
from tfexposure.training.tasks import make_task

pytestmark = pytest.mark.tf_only

TASKS = ("paper", "blind")
TESTS = support.ROOT / "tests"


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    folder = tmp_path_factory.mktemp("packed")
    return str(support.write_packed(folder / "photos.npz"))


@pytest.fixture(scope="module")
def on_jax(source, tmp_path_factory):
    """Returns what `jax_program.py` found, and the folder of its states."""
    pytest.importorskip("jax")
    folder = tmp_path_factory.mktemp("jax")
    done = subprocess.run(
        [sys.executable, str(TESTS / "jax_program.py"), source, str(folder)],
        env={
            **os.environ,
            "KERAS_BACKEND": "jax",
            "PYTHONPATH": os.pathsep.join([str(TESTS), str(support.ROOT)]),
            # Compiling well takes longer than running it here.
            "XLA_FLAGS": "--xla_backend_optimization_level=0 "
            "--xla_llvm_disable_expensive_passes=true",
        },
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout.split("JSON")[1]), folder


@pytest.mark.parametrize("task", TASKS)
def test_two_devices_equal_one(on_jax, task):
    found = on_jax[0][task]
    for step in range(3):
        one, two = found[f"step_{step}"]
        norms = {name for name in one if name.startswith("grad_norm")}
        for name in one:
            # Gradients jump where L1 and leaky ReLU have their kinks.
            near = 1e-2 if name in norms else 1e-4
            assert one[name] == pytest.approx(two[name], rel=near, abs=1e-6)
        assert one["finite"] == 1
    assert found["moved"] > 1e-4
    product, discriminator = found["rates"].values()
    assert discriminator == pytest.approx(2 * product)
    assert found["apart"] < 1e-6


@pytest.mark.parametrize("task", TASKS)
def test_bad_steps_are_undone_on_jax(on_jax, task):
    found = on_jax[0][task]
    assert found["bad"]["finite"] == 0
    assert found["undone"] == ["bad_steps", "step", "undone_steps"]


@pytest.mark.parametrize("task", TASKS)
def test_resumed_on_jax_as_if_never_stopped(on_jax, task):
    assert on_jax[0][task]["resumed"] == 0


def test_parts_of_a_batch_equal_the_whole_on_jax(on_jax):
    (whole, moved), (parts, moved_too) = on_jax[0]["paper"]["parts"]
    for one, other in zip(whole, parts, strict=True):
        assert other == pytest.approx(one, rel=1e-3)
        assert one["grad_norm_generator"] > 0
    # The generator waits for the discriminator's second step.
    early = ["discriminator", "discriminator_optimizer", "step"]
    late = ["averaged", *early[:2], "generator", "generator_optimizer", "step"]
    assert moved == moved_too == [early, late]


def test_profile_on_jax(on_jax):
    assert on_jax[0]["paper"]["profiled"] == 1


def test_convolutions_on_jax_are_bfloat16(on_jax):
    types = {tuple(pair) for pair in on_jax[0]["paper"]["types"]}
    assert {t for kind, t in types if kind == "convolution"} == {"bf16"}


@pytest.mark.parametrize("task", TASKS)
def test_weights_to_begin_with_on_jax(on_jax, task):
    """Of a file of half precision, a whole one, and what ships."""
    half, *others = on_jax[0][task]["begun"]
    assert 0 < max(half) < 2e-3
    assert others == [[0, 0]] * (2 if task == "blind" else 1)


@pytest.mark.parametrize("name", ["paper", "natural"])
def test_shipped_weights_to_begin_with(name):
    settings = config_module.Config(
        task="blind" if name == "natural" else "paper",
        generator=config_module.GeneratorConfig(filters=32),
        discriminator=config_module.DiscriminatorConfig(filters=4),
        loss=config_module.LossConfig(perceptual_weight=0.0),
    )
    expected = support.shipped(name)
    for network in support.begin_from(settings, name):
        assert support.farthest(network, expected) == 0


@pytest.mark.parametrize("task", TASKS)
def test_files_to_begin_with(source, tmp_path, task):
    config = support.packed_config(source, task)
    (half, whole), expected = support.save_network(config, tmp_path)
    for path, least, most in ((half, 1e-9, 2e-3), (whole, 0, 0)):
        for network in support.begin_from(config, path):
            assert least <= support.farthest(network, expected) <= most
    other = support.packed_config(
        source, "blind" if task == "paper" else "paper"
    )
    for path in (half, whole, "nowhere", "no.weights.h5", "no.npz"):
        with pytest.raises(UserError, match=str(path)) as told:
            support.begin_from(other, path)
        assert "\n" not in str(told.value)


@pytest.mark.parametrize("task", TASKS)
def test_tensorflow_goes_on_as_jax_does(on_jax, source, task):
    """From JAX's checkpoint of one step; the same batches, losses, names."""
    from tfexposure.training.checkpoints import Checkpoints

    support.trace_quickly()
    found, folder = on_jax
    config = support.packed_config(source, task)
    backend = TensorFlowBackend(tf.distribute.get_strategy())
    state = create_state(config)
    assert Checkpoints(state, folder / task, 1).restore()
    step = backend.make_step(config, state)
    # The very batches: of the crops that each makes, some pixels differ by one
    # of 255, which gradients of so small networks tell.
    with np.load(folder / f"{task}.npz") as saved:
        batches = iter(tf.data.Dataset.from_tensor_slices(dict(saved)))
    for number in (1, 2):
        results = {name: float(v) for name, v in step(batches).items()}
        expected = found[task][f"step_{number}"][0]
        assert results.keys() == expected.keys()
        assert results == pytest.approx(expected, rel=2e-2, abs=1e-4)
    backend.close()


def test_blind_run_through_the_script(source, tmp_path, capsys):
    """Trains, validates, keeps the best, goes on here, is exported."""
    config = support.packed_config(
        source,
        "blind",
        checkpoint_every=1,
        validate_every=2,
        best_metric="score",
        steps=2,
        steps_per_call=2,
    )
    config = config_module.Config.from_dict(
        config.to_dict()
        | {"data": config.to_dict()["data"] | {"validation_source": source}}
    )
    support.finish(support.start(tmp_path / "run", config))
    values = config.to_dict()
    values["train"] |= {"steps": 3, "minutes": 60.0, "profile": "2:9"}
    longer = config_module.Config.from_dict(values)
    support.trace_quickly()
    backend = TensorFlowBackend(tf.distribute.get_strategy())
    loop.train(longer, tmp_path / "run", backend)
    assert "resumed at step 2" in capsys.readouterr().out
    run = RunDir(tmp_path / "run")
    best = support.read_json(run.best / "metrics.json")
    assert {"tau0.5/psnr", "brackets/psnr_best_gain", "score"} <= set(best)
    assert len([*run.logs.glob("plugins/profile/*/*.xplane.pb")]) == 1
    lines = (run.path / "log.jsonl").read_text().splitlines()
    steps = {json.loads(line)["step"] for line in lines}
    # A call of two steps, and one of what was left.
    assert steps == {2, 3}
    subprocess.run(
        [
            sys.executable,
            str(support.ROOT / "export" / "export_pretrained.py"),
            f"--run_dir={run.path}",
            "--name=mine",
            f"--output={tmp_path}",
        ],
        check=True,
    )
    about = support.read_json(tmp_path / "mine.json")
    assert about["step"] == best["step"]
    assert about["photos"]["train"]["count"] == 6
    settings = config_module.Config.from_dict(about["settings"])
    assert settings.task == "blind"
    # The exported file begins another run.
    values["train"] |= {"init": str(tmp_path / "mine.npz")}
    task = make_task(config_module.Config.from_dict(values))
    network = task.networks["restorer"]
    network.load_weights(run.best / "restorer.weights.h5")
    for mine, theirs in zip(
        task.averaged.weights, network.weights, strict=True
    ):
        np.testing.assert_allclose(mine, theirs, atol=1e-3)


def test_crops_that_replicas_cannot_share(source):
    config = support.packed_config(source, "blind")
    with pytest.raises(UserError, match="multiple of the 4 replicas"):
        make_task(config, 4)


def test_packed_file_keeps_photos_and_groups(source, tmp_path):
    train = packed.read_photos(source, "train")
    assert [photo.shape for photo in train] == [(140, 200, 3)] * 6
    expected = data.astronaut()[40:180, 60:260].astype(int)
    assert np.abs(train[1] - expected).mean() < 4
    with pytest.raises(UserError, match="group 'nothing'"):
        packed.read_photos(source, "nothing")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(UserError, match="text.npz"):
        packed.read_photos(tmp_path / "text.npz", "train")


def test_folders_are_read_into_memory(tmp_path):
    folder = support.write_photos(tmp_path / "photos", 3)
    (folder / "broken.png").write_bytes(b"no photo")
    photos = ArrayPhotos.open(folder, short_side=20)
    assert [min(image.shape[:2]) for image in photos.images] == [20] * 3
    # Every epoch has every photo once.
    names = photos.names(range(6), 1)
    assert sorted(names[:3]) == sorted(names[3:]) == list(photos.files)
    with pytest.raises(UserError, match=r"broken.png.*|more than"):
        ArrayPhotos.open(folder, max_unreadable=0)
    with pytest.raises(UserError, match="tfds: are for task=paper"):
        ArrayPhotos.open("tfds:celeb_a")


def test_batches_depend_on_the_step_alone(source):
    photos = ArrayPhotos.open(source)

    def example(photo, rng, step_rng):
        return {
            "view": packed.draw_view(photo, rng, 32),
            "box": crops.draw_box(photo.shape, rng, 1.3, True),
            "shared": step_rng.uniform(size=2),
        }

    def cut(photo, box):
        return crops.cut(photo, box, 32)

    one, other = (Batches(photos, example, 4, 1, cut=cut) for _ in range(2))
    ahead = [one(step) for step in range(3)]
    late, part = other.make(2), other.make(2, slice(2, 4))
    for name, array in ahead[2].items():
        np.testing.assert_array_equal(array, late[name])
        np.testing.assert_array_equal(array[2:], part[name])
    assert (ahead[0]["view"] != ahead[1]["view"]).any()
    assert (ahead[0]["shared"] == ahead[0]["shared"][0]).all()
    one.close()
    other.close()


def test_crops_on_the_device_are_those_of_pillow(tmp_path):
    folder = support.write_photos(tmp_path / "photos", 4)
    photos = ArrayPhotos.open(folder)
    made = Batches(
        photos,
        lambda photo, rng, _: {
            "box": crops.draw_box(photo.shape, rng, 2.0, True)
        },
        16,
        3,
    ).make(0)
    size, reach = 32, 46
    found = crops.cut_on_device(made | photos.pool(), size, reach)
    expected = [
        crops.cut(photos.images[index], box, size)
        for index, box in zip(made["photo"], made["box"], strict=True)
    ]
    difference = np.abs(np.asarray(found) - np.stack(expected))
    # Pillow rounds twice, once per axis.
    assert difference.max() <= 1
    assert difference.mean() < 0.2
    assert len({tuple(box) for box in made["box"]}) > 8
    assert set(made["box"][:, 3]) == {0, 1}


@pytest.mark.parametrize(("name", "tau"), [("brackets", None), ("tau0.5", 0.5)])
def test_figures_are_those_of_an_evaluation(source, name, tau):
    batch = next(validation.load_sets(source, 1)[name]())
    batch = {key: values[:1] for key, values in batch.items()}
    target, overexposed = batch["target"][0], batch["overexposed"][0]
    example = evaluation.Example("", target, overexposed, tau)
    saved = evaluation.to_uint8(overexposed * 0.9) / np.float32(255)
    expected = evaluation.measure(example, saved)
    found = validation.measure(lambda images: images * 0.9, [batch])
    same = {key: found[key] for key in found.keys() & expected.keys()}
    assert same == pytest.approx({key: expected[key] for key in same}, rel=1e-5)
    assert {"psnr_best_gain", "psnr_clipped", "l1_unclipped", "ssim"} <= set(
        same
    )


@pytest.mark.parametrize(
    ("groups", "sets"),
    [
        (("over", "reference"), ["brackets"]),
        (("valid", "over"), ["tau0.5", "random+jpeg", "tau0.2", "clean"]),
        (("train",), None),
    ],
)
def test_sets_of_the_groups_there_are(tmp_path, groups, sets):
    photo = packed.to_bytes(data.astronaut()[:300, :400], 95)
    path = tmp_path / "photos.npz"
    with open(path, "wb") as file:
        packed.write_photos(file, [("a", group, photo) for group in groups])
    if sets:
        assert list(validation.load_sets(path)) == sets
        return
    with pytest.raises(UserError, match="no group to validate on, such as"):
        validation.load_sets(path)


def test_figures_of_the_truth_and_of_nothing(source):
    sets = validation.load_sets(source, 2)
    nothing = {
        name: validation.measure(lambda images: images, batches())
        for name, batches in sets.items()
    }
    assert nothing["clean"]["psnr"] == 60 and nothing["clean"]["l1"] < 1e-3
    assert 10 < nothing["tau0.5"]["psnr"] < 25
    # A power law of light is undone by one gain where nothing was clipped.
    jpeg = nothing["random+jpeg"]
    assert jpeg["psnr_best_gain"] > jpeg["psnr"] + 3
    truth = {
        batch["overexposed"].tobytes(): batch["target"]
        for batches in sets.values()
        for batch in batches()
    }
    perfect = validation.measure(
        lambda images: truth[images.tobytes()], sets["tau0.5"]()
    )
    # Identical images count as 60 dB.
    assert perfect["psnr"] == 60
    assert perfect["l1"] == 0


@pytest.fixture
def pairs(tmp_path):
    """A folder of two real pairs: what is 60 is 120 in the other frame."""
    folder = support.write_photos(tmp_path / "pairs", 2)
    lines = ["over,reference"]
    for path in sorted(folder.iterdir()):
        with Image.open(path) as image:
            bright = np.uint8(np.asarray(image) // 2 + 120)
        Image.fromarray(bright).save(folder / f"over_{path.name}")
        lines.append(f"over_{path.name},{path.name}")
    (folder / "pairs.csv").write_text("\n".join(lines))
    return folder


@pytest.mark.parametrize("task", TASKS)
def test_real_pairs_pass_through_all_augmentations(source, pairs, task):
    config = support.tiny_config(
        source, task=task, data={"pairs": str(pairs), "pair_share": 0.5}
    )
    task = make_task(config)
    photos = PhotoMixture(source, task.shares, task.short_side, str(pairs))
    batches = Batches(photos, task.example, 16, seed=2, threads=1, cut=task.cut)
    batch = batches.make(0)
    batches.close()
    real = batch["pair"] == 1
    assert 0.2 < real.mean() < 0.8
    found = task.prepare(batch)
    overexposed, target = (
        np.asarray(found[name]) for name in ("overexposed", "target")
    )
    # One place, one mirroring, nothing else: the relation of the files.
    different = (overexposed[real] != target[real]).any(axis=(1, 2, 3))
    assert different.any()
    expected = target[real] / 2 + 120 / 255
    near = np.abs(overexposed[real] - expected)[different]
    assert near.mean() < 0.01
    # The others are simulated.
    simulated = overexposed[~real], target[~real]
    assert all(np.ptp(images) > 0.2 for images in simulated)


def test_shares_beyond_all_photos_are_refused(source, pairs):
    config = support.tiny_config(
        source,
        task="blind",
        data={"pairs": str(pairs), "pair_share": 0.6},
        camera={"light_share": 0.5},
    )
    with pytest.raises(UserError, match="more than 1"):
        make_task(config)


def test_frames_of_two_sizes_are_refused(tmp_path, pairs):
    with Image.open(pairs / "00.png") as image:
        image.crop((0, 0, 20, 20)).save(pairs / "00.png")
    with pytest.raises(UserError, match="over_00.png.*one size"):
        PhotoMixture("", {"pair": 1.0}, pairs=str(pairs))
