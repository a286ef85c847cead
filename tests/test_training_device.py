"""Training on any backend: one file of photos, one step, one state."""

import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image
from skimage import data

from tfexposure import blind
from tfexposure.blind import BlindRestorer, camera
from tfexposure.blind import objective as objectives
from tfexposure.config import LossConfig
from tfexposure.data import packed as photos
from tfexposure.errors import UserError
from tfexposure.paper.discriminator import PatchDiscriminator
from tfexposure.paper.generator import UNetGenerator
from tfexposure.perceptual import vgg19_features
from tfexposure.training.device import (
    loop,
    paper,
    state,
    validation,
)

HERE = os.path.dirname(__file__)
ROOT = os.path.dirname(HERE)


def _pack(path):
    """Writes an array file of six training photos and two pairs."""
    picture = data.astronaut()
    found = []
    for index in range(6):
        part = picture[40 * index : 40 * index + 140, 60:260]
        found.append((f"{index}.jpg", "train", photos.to_bytes(part, 95)))
        found.append((f"v{index}.jpg", "valid", photos.to_bytes(part, 95)))
    for index in range(2):
        part = picture[100 * index : 100 * index + 100, :150]
        bright = np.clip(part * 1.5, 0, 255).astype("uint8")
        found.append((f"{index}", "over", photos.to_bytes(bright, 95)))
        found.append((f"{index}", "reference", photos.to_bytes(part, 95)))
    with open(path, "wb") as file:
        photos.write_photos(file, found)


@pytest.fixture(scope="module")
def array_file(tmp_path_factory):
    path = tmp_path_factory.mktemp("photos") / "photos.npz"
    _pack(path)
    return path


def make_trainer(dropout=0.0):
    state.seed_weights(2)
    model = BlindRestorer((4, 4, 4, 4, 6), 5, (4, 5), dropout)
    model.build()
    _draw_weights(model)
    weights = objectives.BlindLossConfig()
    optimizer = keras.optimizers.SGD(1e-2, momentum=0.9)
    return state.Trainer(
        {"loss": (model, optimizer)},
        objectives.expose_batch,
        lambda batch: objectives.blind_losses(model, batch, weights, 64, 2),
    )


def make_adversarial_trainer():
    """The blind model with a discriminator and VGG-19 features."""
    model = make_trainer().model
    discriminator = PatchDiscriminator(filters=2)
    picture = keras.KerasTensor((1, 64, 64, 3))
    discriminator((picture, picture))
    features = vgg19_features("random", ("block1_conv1", "block1_conv2"))
    for network in (discriminator, features):
        _draw_weights(network)
    weights = objectives.BlindLossConfig(adversarial=1.0, perceptual=1.0)
    return state.Trainer(
        {
            "loss": (model, keras.optimizers.SGD(1e-3)),
            "discriminator": (discriminator, keras.optimizers.SGD(1e-3)),
        },
        objectives.expose_batch,
        lambda batch: objectives.blind_losses(
            model, batch, weights, 64, 2, discriminator, features
        ),
        [features],
    )


def make_gan_trainer():
    """The paper's GAN, without its noise: backends draw theirs differently."""
    state.seed_weights(2)
    generator = UNetGenerator(filters=2, field_of_view=47, noise="none")
    discriminator = PatchDiscriminator(filters=2)
    features = vgg19_features("random", ("block1_conv1", "block2_conv2"))
    picture = keras.KerasTensor((1, 128, 128, 3))
    generator(picture)
    discriminator((picture, picture))
    for network in (generator, discriminator, features):
        _draw_weights(network)
    return state.Trainer(
        {
            "generator": (generator, keras.optimizers.SGD(1e-3)),
            "discriminator": (discriminator, keras.optimizers.SGD(1e-3)),
        },
        paper.expose_batch,
        lambda batch: paper.paper_terms(
            LossConfig(), generator, discriminator, features, batch
        ),
        [features],
    )


def _draw_weights(model):
    rng = np.random.default_rng(2)
    for variable in model.weights:
        # Counters and variances stay what they are.
        if variable.path.split("/")[-1] in ("kernel", "bias", "u", "v"):
            variable.assign(rng.normal(0, 0.1, variable.shape))


def make_batches(path):
    # JPEG would make a whole step of a coefficient of a rounding difference.
    recipe = camera.Recipe(tau_fixed=0.4, jpeg_share=0.0)

    def draw(rng, views):
        drawn = camera.draw_cameras(rng, views, recipe)
        drawn["crop"] = (2 * rng.integers(0, 32, 2)).astype("int32")
        return drawn

    return photos.Batches(photos.read_photos(path, "train"), draw, 3, 128, 1)


def one_update(path, maker=make_trainer):
    """Returns one step's losses, and all variables after it."""
    trainer = maker()
    batches = make_batches(path)
    terms = trainer.advance(batches(0))
    batches.close()
    found = {name: np.asarray(value) for name, value in terms.items()}
    for name, variables in trainer.variables():
        for index, value in enumerate(variables):
            found[f"{name}/{index}"] = np.asarray(value)
    return found


@pytest.mark.parametrize(
    "maker", ["make_trainer", "make_adversarial_trainer", "make_gan_trainer"]
)
def test_both_backends_make_the_same_update(array_file, tmp_path, maker):
    pytest.importorskip("jax")
    script = (
        "import sys; sys.path.insert(0, sys.argv[1]); import numpy as np\n"
        "import test_training_device as test\n"
        "maker = getattr(test, sys.argv[4])\n"
        "np.savez(sys.argv[3], **test.one_update(sys.argv[2], maker))\n"
        "assert 'tensorflow' not in sys.modules\n"
    )
    file = tmp_path / "jax.npz"
    subprocess.run(
        [sys.executable, "-c", script, HERE, array_file, file, maker],
        env={**os.environ, "KERAS_BACKEND": "jax"},
        check=True,
    )
    begin = {
        f"{name}/{index}": np.asarray(value)
        for name, variables in globals()[maker]().variables()
        for index, value in enumerate(variables)
    }
    ours, theirs = one_update(array_file, globals()[maker]), np.load(file)
    assert set(ours) == set(theirs)
    moved = 0
    for name, value in ours.items():
        np.testing.assert_allclose(
            value, theirs[name], rtol=1e-4, atol=1e-4, err_msg=name
        )
        if name.startswith("model-"):
            moved += np.abs(value - begin[name]).max() > 1e-5
    assert moved > len(begin) / 4


def test_curve_losses_follow_their_definition(array_file):
    """Against NumPy; without crops there are no others."""
    model = make_trainer().model
    batches = make_batches(array_file)
    batch = objectives.expose_batch(batches(0))
    batches.close()
    weights = objectives.BlindLossConfig(curve_log=0.5, shape_log=0.25)
    terms = objectives.blind_losses(model, batch, weights, 64, 0)
    terms = {k: float(np.asarray(value)) for k, value in terms.items()}
    names = ["curve", "curve_log", "kind", "loss", "shape", "shape_log"]
    assert sorted(terms) == names
    exposed, target = (
        np.asarray(batch[name])[:, ::4, ::4]
        for name in ("overexposed", "target")
    )
    power_law, shouldered, logits = model.global_branch.components(
        batch["thumbnail"]
    )
    # Every photo teaches the curve of its own kind.
    label = np.asarray(batch["camera"])[:, None]
    assert 0 < label.mean() < 1
    slopes = np.where(label == 1, shouldered[0], power_law[0])
    sign = np.where(label == 1, -1, 1)
    entropy = np.log1p(np.exp(sign * np.asarray(logits)))
    np.testing.assert_allclose(terms["kind"], entropy.mean(), rtol=1e-4)
    heights = np.cumsum(slopes * np.diff(blind.KNOTS), axis=1)
    toned = np.stack(
        [
            np.interp(image, blind.KNOTS, [0, *height])
            for image, height in zip(exposed, heights, strict=True)
        ]
    )
    open_share = 1 - np.clip((exposed - 0.9) / 0.09, 0, 1)
    gain = (open_share * toned * target).sum((1, 2, 3)) + 1e-3
    gain /= (open_share * toned**2).sum((1, 2, 3)) + 1e-3
    gain = np.clip(gain, 0.5, 2).reshape(-1, 1, 1, 1)
    for name, image in (("curve", toned), ("shape", toned * gain)):
        error = open_share * np.abs(image - target)
        square = (error**2).mean((1, 2, 3)) / (
            open_share.mean((1, 2, 3)) + 0.02
        )
        np.testing.assert_allclose(terms[name], error.mean(), rtol=1e-3)
        expected = np.log(square + 3e-4).mean()
        np.testing.assert_allclose(terms[f"{name}_log"], expected, rtol=1e-3)
    total = 2 * terms["curve"] + 4 * terms["shape"] + 0.1 * terms["kind"]
    total += 0.5 * terms["curve_log"] + 0.25 * terms["shape_log"]
    np.testing.assert_allclose(terms["loss"], total, rtol=1e-5)


def test_a_known_exposure_has_no_gate(array_file):
    model = BlindRestorer((4, 4, 4, 4, 6), 5, (4, 5), known_stops=1.0)
    model.build()
    batches = make_batches(array_file)
    batch = objectives.expose_batch(batches(0))
    batches.close()
    terms = objectives.blind_losses(
        model, batch, objectives.BlindLossConfig(), 64, 0
    )
    assert sorted(terms) == ["curve", "curve_log", "loss", "shape", "shape_log"]
    line = np.asarray(batch["overexposed"])[:, ::4, ::4] * 0.5 ** (1 / 2.2)
    open_share = 1 - np.asarray(
        model.clip_mask(batch["overexposed"][:, ::4, ::4])
    )
    wrong = np.abs(line - np.asarray(batch["target"])[:, ::4, ::4])
    expected = (open_share * wrong).mean()
    np.testing.assert_allclose(float(terms["curve"]), expected, rtol=1e-3)


def test_resumes_as_if_never_stopped(array_file, tmp_path):
    whole = make_trainer(dropout=0.3)
    batches = make_batches(array_file)
    for step in range(4):
        terms = whole.advance(batches.make(step))
        whole.average()
    first = make_trainer(dropout=0.3)
    for step in range(2):
        first.advance(batches.make(step))
        first.average()
    first.save(tmp_path / "state.npz", {"best": 1.5})
    second = make_trainer(dropout=0.3)
    notes = second.load(tmp_path / "state.npz")
    assert notes["best"] == 1.5 and second.step == 2
    for step in range(2, 4):
        again = second.advance(batches.make(step))
        second.average()
    batches.close()
    np.testing.assert_allclose(again["loss"], terms["loss"], rtol=1e-5)
    for one, other in zip(
        whole.model.variables, second.model.variables, strict=True
    ):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)
    for one, other in zip(whole.averages, second.averages, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


def test_another_networks_state_is_refused(tmp_path):
    trainer = make_trainer()
    trainer.save(tmp_path / "state.npz", {})
    network = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    other = state.Trainer(
        {"loss": (network, keras.optimizers.SGD())}, None, None
    )
    with pytest.raises(UserError, match="another network"):
        other.load(tmp_path / "state.npz")


def test_average_follows_the_weights_and_swaps():
    trainer = make_trainer()
    variable = trainer.model.trainable_variables[0]
    trainer.step = 10**9
    before = np.array(variable)
    variable.assign(before + 1)
    trainer.average()
    np.testing.assert_allclose(
        trainer.averages[0], before + 1 - 0.999**10, atol=1e-5
    )
    trainer.swap()
    np.testing.assert_allclose(variable, before + 0.00996, atol=1e-4)
    trainer.swap()
    np.testing.assert_allclose(variable, before + 1, atol=1e-6)


def test_array_file_keeps_photos_and_groups(array_file, tmp_path):
    train = photos.read_photos(array_file, "train")
    assert [photo.shape for photo in train] == [(140, 200, 3)] * 6
    expected = data.astronaut()[40:180, 60:260].astype(int)
    assert np.abs(train[1] - expected).mean() < 4
    with pytest.raises(UserError, match="group 'nothing'"):
        photos.read_photos(array_file, "nothing")
    (tmp_path / "text.npz").write_text("no")
    with pytest.raises(UserError, match="text.npz"):
        photos.read_photos(tmp_path / "text.npz", "train")


def test_batches_depend_on_the_step_alone(array_file):
    one, other = make_batches(array_file), make_batches(array_file)
    ahead = [one(step) for step in range(3)]
    late = other.make(2)
    for name, array in ahead[2].items():
        np.testing.assert_array_equal(array, late[name])
    assert (ahead[0]["photos"] != ahead[1]["photos"]).any()
    one.close()
    other.close()


def test_validation_figures_of_the_truth_and_of_nothing(array_file):
    sets = validation.load_sets(array_file, 2)
    nothing = validation.evaluate(lambda images: images, sets)
    assert nothing["clean/psnr"] == 60 and nothing["clean/l1"] == 0
    assert 10 < nothing["tau0.5/psnr"] < 25
    # A power law of light is undone by one gain where nothing was clipped.
    assert nothing["random+jpeg/gtmean"] > nothing["random+jpeg/psnr"] + 3
    targets = {
        exposed.tobytes(): target for exposed, target, _ in sets.values()
    }

    def know(images):
        key = np.rint(images * 255).astype("uint8").tobytes()
        return targets[key].astype("float32") / 255

    perfect = validation.evaluate(know, sets)
    assert validation.score(perfect) == 60


def test_loop_trains_within_its_budget_and_resumes(array_file, tmp_path):
    sets = validation.load_sets(array_file, 2)
    lines = []
    for steps in (2, 3):
        trainer, batches = make_trainer(), make_batches(array_file)
        figures = loop.train(
            trainer, batches, tmp_path, steps, 600.0, sets, log=lines.append
        )
        batches.close()
        assert trainer.step == steps
    assert any("resumes at step 2" in line for line in lines)
    records = [
        json.loads(line)
        for line in (tmp_path / "log.jsonl").read_text().splitlines()
    ]
    assert records[-1]["tau0.5/psnr"] == figures["tau0.5/psnr"]
    model = make_trainer().model
    for name in ("live", "average", "best"):
        model.load_weights(tmp_path / f"{name}.weights.h5")


def test_script_packs_and_trains(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    picture = data.astronaut()
    for index in range(3):
        part = picture[:150, 60 * index : 60 * index + 160] // 2 + 60
        Image.fromarray(part).save(folder / f"{index}.png")
    pairs = "over,reference\n0.png,1.png\n"
    (folder / "pairs.csv").write_text(pairs)
    run = [sys.executable, "-m"]
    subprocess.run(
        [
            *run,
            "tfexposure.trainers.pack_photos",
            f"--train={folder}",
            f"--valid={folder}",
            f"--pairs={folder}",
            f"--output={tmp_path / 'p.npz'}",
            "--quality=90",
        ],
        check=True,
    )
    train = [
        *run,
        "tfexposure.trainers.train_device",
        f"--photos={tmp_path / 'p.npz'}",
        "--steps=1",
        "--warmup=0",
        "--batch_size=2",
    ]
    first, second = tmp_path / "first", tmp_path / "second"
    subprocess.run([*train, f"--run_dir={first}", "--crops=1"], check=True)
    # What the gate learns leaves the rest alone.
    begin = f"--init={first / 'live.weights.h5'}"
    subprocess.run(
        [*train, f"--run_dir={second}", begin, "--judge_only"], check=True
    )
    model = BlindRestorer()
    model.build()
    weights = []
    for folder in (first, second):
        model.load_weights(folder / "live.weights.h5")
        weights.append([np.array(value) for value in model.weights])
    branch = model.global_branch
    layers = branch.gate_encoder, branch.gate
    gate = {id(v) for layer in layers for v in layer.weights}
    changed = {
        id(variable)
        for variable, one, other in zip(model.weights, *weights, strict=True)
        if (one != other).any()
    }
    assert changed and changed <= gate
    assert (first / "best.weights.h5").exists()
