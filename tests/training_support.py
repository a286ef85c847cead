"""Small photos, small runs and their traces, for the tests of training."""

import json
import os
import pathlib
import subprocess
import sys

import numpy as np
from conftest import HANG
from PIL import Image
from quick_training import trace_quickly  # noqa: F401
from skimage import data

from tfexposure import config, config_flags, pretrained, weights
from tfexposure.data import packed
from tfexposure.training.tasks import make_product, make_task

ROOT = pathlib.Path(__file__).resolve().parents[1]
CROP = 32


def write_photos(folder, count=9, suffix=".png"):
    """Writes smooth random photos, 40 x 52 and a little more each."""
    folder = pathlib.Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(3)
    for i in range(count):
        coarse = random.integers(5, 250, (5, 6, 3)).astype(np.uint8)
        size = (52 + i, 40 + 2 * i)
        photo = Image.fromarray(coarse).resize(size, Image.BICUBIC)
        photo.save(folder / f"{i:02}{suffix}", quality=95)
    return folder


def prepare_tfds(folder, data_dir, **splits):
    """Prepares a TensorFlow dataset of photos; returns the source's name.

    Each of `splits` is a slice of the folder's photos, sorted by name.
    """
    import tensorflow_datasets as tfds

    class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
        VERSION = tfds.core.Version("1.0.0")

        def _info(self):
            features = {"image": tfds.features.Image(shape=(None, None, 3))}
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, manager):
            return {n: self._generate_examples(s) for n, s in splits.items()}

        def _generate_examples(self, part):
            for file in sorted(folder.iterdir())[part]:
                yield file.name, {"image": str(file)}

    prepared = Tiny(data_dir=data_dir)
    prepared.download_and_prepare()
    return f"tfds:{prepared.data_dir}"


def tiny_config(source="", train=None, task="paper", **sections):
    """Returns the smallest config that has everything switched on."""
    values = {
        "data": {"source": str(source), "crop_size": CROP},
        "generator": {"filters": 4, "field_of_view": 47},
        "discriminator": {"filters": 4},
        "loss": {"perceptual_weight": 0.0},
        "train": {
            "steps": 12,
            "global_batch_size": 4,
            "log_every": 1,
            **(train or {}),
        },
    }
    for section, fields in sections.items():
        values.setdefault(section, {}).update(fields)
    return config.Config(
        task=task,
        **{k: config.SECTIONS[k](**fields) for k, fields in values.items()},
    )


def write_packed(path):
    """Writes a packed file: photos to train on and to score, and pairs."""
    picture = data.astronaut()
    found = []
    for index in range(6):
        part = picture[40 * index : 40 * index + 140, 60:260]
        part = packed.to_bytes(part, 95)
        found += [(f"{index}", "train", part), (f"v{index}", "valid", part)]
    for index in range(2):
        part = picture[100 * index : 100 * index + 100, :150]
        bright = np.clip(part * 1.5, 0, 255).astype("uint8")
        found.append((f"o{index}", "over", packed.to_bytes(bright, 95)))
        found.append((f"r{index}", "reference", packed.to_bytes(part, 95)))
    with open(path, "wb") as file:
        packed.write_photos(file, found)
    return path


def packed_config(source, task, **train):
    """Returns the smallest config of a task on a packed file.

    Nothing is drawn by the backend, whose draws differ, and steps are short:
    Adam makes whole ones of rounding errors.
    """
    return tiny_config(
        source,
        task=task,
        train={
            "steps": 3,
            "schedule": "warm_cosine",
            "warmup_steps": 2,
            "learning_rate": 1e-5,
            "discriminator_learning_rate": 2e-5,
            "clip_norm": 1.0,
            "weight_decay": 0.02,
            **train,
        },
        data={"crop_size": 64},
        generator={"noise": "none", "spectral_normalization": False},
        restorer={
            "encoder_widths": (4, 4, 4, 4, 6),
            "embedding_size": 5,
            "unet_widths": (4, 5),
            "dropout": 0.0,
        },
        blind_loss={"crops": 2, "crop_size": 32, "adversarial": 0.1},
        # JPEG makes a whole step of a coefficient of a rounding difference.
        camera={"jpeg_share": 0.0},
    )


def begin_from(config, init):
    """Returns the network that `--train.init` begins with, and its average."""
    values = config.to_dict()
    values["train"]["init"] = str(init)
    task = make_task(type(config).from_dict(values))
    return task.networks[task.product], task.averaged


def save_network(config, folder):
    """Saves a network of a config, random; returns the paths and arrays."""
    network = make_product(config)
    arrays = weights.named_weights(network)
    arrays = {name: np.asarray(v.numpy()) for name, v in arrays.items()}
    paths = [folder / "init.npz", folder / "init.weights.h5"]
    paths[0].write_bytes(weights.pack_weights(network))
    network.save_weights(paths[1])
    return paths, arrays


def shipped(name):
    """Returns the arrays of a model that comes with the package."""
    with np.load(pretrained.FOLDER / f"{name}.npz") as arrays:
        return dict(arrays)


def farthest(network, arrays):
    """Returns the greatest distance of a network's weights from arrays."""
    named = weights.named_weights(network)
    assert named.keys() == arrays.keys()
    return max(
        float(np.abs(np.asarray(v.numpy()) - arrays[name]).max())
        for name, v in named.items()
    )


def random_batch(count, seed=0):
    """Returns one batch as the data pipeline makes it."""
    random = np.random.default_rng(seed)
    target = random.random((count, CROP, CROP, 3), np.float32)
    return {
        "overexposed": np.minimum(target, 0.73) / np.float32(0.73),
        "target": target,
    }


def command(run_dir, config):
    """Returns the command line that trains `config`."""
    flags = config_flags.to_arguments(config)
    quickly = str(ROOT / "tests" / "quick_training.py")
    script = str(ROOT / "trainers" / "train_gan.py")
    return [sys.executable, quickly, script, f"--run_dir={run_dir}", *flags]


def start(run_dir, config, preexec_fn=None, **variables):
    """Starts a training process with its output in pipes."""
    return subprocess.Popen(
        command(run_dir, config),
        preexec_fn=preexec_fn,
        # oneDNN compiles kernels that a few small steps do not pay back.
        env={**os.environ, "TF_ENABLE_ONEDNN_OPTS": "0", **variables},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(process, code=0):
    """Waits for a process; returns (stdout, stderr) after an exit code."""
    out, err = process.communicate(timeout=HANG)
    assert process.returncode == code, f"{process.returncode}\n{out}\n{err}"
    return out, err


def wait_for_step(process, step):
    """Reads a process's output until it reports a step; returns the lines."""
    lines = []
    for line in process.stdout:
        lines.append(line)
        if line.startswith(f"step {step}/"):
            return lines
    raise AssertionError("".join(lines) + process.stderr.read())


def read_events(run_dir):
    """Yields (step, value) of all that was written for TensorBoard."""
    import tensorflow as tf
    from tensorflow.core.util import event_pb2

    logs = config.RunDir(run_dir).logs
    for file in sorted(logs.iterdir(), key=lambda path: path.stat().st_mtime):
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            event = event_pb2.Event.FromString(record)
            for value in event.summary.value:
                yield event.step, value


def read_scalars(run_dir):
    """Returns {(tag, step): value}, the last one written, of all starts."""
    import tensorflow as tf

    return {
        (value.tag, step): float(tf.make_ndarray(value.tensor))
        for step, value in read_events(run_dir)
        if value.metadata.plugin_data.plugin_name == "scalars"
    }


def read_hparams(run_dir):
    """Returns {name: value} of a run's first start."""
    from tensorboard.plugins.hparams import plugin_data_pb2

    for _, value in read_events(run_dir):
        plugin = value.metadata.plugin_data
        if plugin.plugin_name == "hparams":
            data = plugin_data_pb2.HParamsPluginData.FromString(plugin.content)
            return {
                name: getattr(found, found.WhichOneof("kind"))
                for name, found in data.session_start_info.hparams.items()
            }
    raise AssertionError("no hyperparameters were written")


def read_checkpoint(run_dir, step):
    """Returns {name: array} of all that a checkpoint holds."""
    path = config.RunDir(run_dir).checkpoints / f"ckpt-{step}.npz"
    with np.load(path) as arrays:
        return {name: arrays[name] for name in arrays}


def read_json(path):
    return json.loads(pathlib.Path(path).read_text(encoding="utf-8"))
