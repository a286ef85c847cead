"""Speed of one training step, against two yardsticks in the same run.

    python benchmarks/train_step.py --output=docs/results/train_step.json
    python benchmarks/train_step.py --workers --source=photos

For each size, width and with and without VGG-19: images/s and GFLOP/s of

- `ours`: the step of `tfexposure.training` with all that a run has (averaged
  weights, gradient norms, undoing of bad steps),
- `plain`: the same networks in stock Keras layers, trained as TensorFlow's
  pix2pix tutorial does (`plain_networks.py`), with nothing more,

both also as a share of the machine's matrix-multiply peak. Steps of the two
alternate; medians count. `--workers` compares two processes, one core each,
with one process on one core instead.
"""

import json
import os
import platform
import re
import socket
import subprocess
import sys
import tempfile
import time
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")

import numpy as np
import plain_networks
import tensorflow as tf
from absl import app, flags

from tfexposure import config as config_module
from tfexposure.training.state import create_state
from tfexposure.training.step_tensorflow import make_train_step

_SIZES = flags.DEFINE_list("sizes", ["128", "256"], "Sides of the photos.")
_FILTERS = flags.DEFINE_list("filters", ["16", "32", "64"], "Widths.")
_VGG = flags.DEFINE_list("vgg", ["0", "1"], "Without and with VGG-19.")
_BATCH = flags.DEFINE_integer("batch", 4, "Photos per step.")
_STEPS = flags.DEFINE_integer("steps", 7, "Measured steps of each kind.")
_JIT = flags.DEFINE_boolean("jit_compile", False, "Compile ours with XLA.")
_PRECISION = flags.DEFINE_string("precision", "float32", "Of ours.")
_OUTPUT = flags.DEFINE_string("output", None, "JSON file to write.")
_SOURCE = flags.DEFINE_string("source", None, "Photos, for --workers.")
_WORKERS = flags.DEFINE_boolean("workers", False, "Measure two processes.")

ROOT = Path(__file__).resolve().parents[1]
# Forward and backward passes through each network in one step, both ways.
_PASSES = {"generator": 3, "discriminator": 8, "vgg": 3}


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    if _WORKERS.value:
        if not _SOURCE.value:
            raise app.UsageError("--workers needs --source")
        rows = [measure_workers()]
        machine = {"cores": os.cpu_count()}
    else:
        peak = matmul_peak()
        machine = {"cores": os.cpu_count(), "matmul_gflops": round(peak, 1)}
        print(f"matrix multiplication: {peak:.0f} GFLOP/s", flush=True)
        rows = [
            measure(int(size), int(filters), bool(int(vgg)), peak)
            for size in _SIZES.value
            for filters in _FILTERS.value
            for vgg in _VGG.value
        ]
    report = {
        "command": " ".join(
            ["python", "benchmarks/train_step.py", *sys.argv[1:]]
        ),
        "machine": {
            **machine,
            "processor": platform.processor() or platform.machine(),
            "devices": [d.name for d in tf.config.list_logical_devices()],
            "tensorflow": tf.__version__,
        },
        "rows": rows,
    }
    if _OUTPUT.value:
        Path(_OUTPUT.value).write_text(json.dumps(report, indent=2) + "\n")


def matmul_peak(side=2048, repeats=7):
    """Returns the best GFLOP/s of square float32 matrix products."""
    a = tf.random.normal((side, side))
    multiply = tf.function(lambda x: tf.matmul(x, x))
    multiply(a).numpy()
    seconds = [_seconds(lambda: multiply(a).numpy()) for _ in range(repeats)]
    return 2 * side**3 / min(seconds) / 1e9


def measure(size, filters, vgg, peak):
    """Measures both ways for one configuration; prints and returns a row."""
    batch = _batch(size)
    config = config_module.Config(
        generator=config_module.GeneratorConfig(filters=filters),
        discriminator=config_module.DiscriminatorConfig(filters=filters),
        loss=config_module.LossConfig(
            perceptual_weight=100.0 if vgg else 0.0, vgg19_weights="random"
        ),
        train=config_module.TrainConfig(
            global_batch_size=_BATCH.value,
            jit_compile=_JIT.value,
            precision=_PRECISION.value,
        ),
    )
    # Speed does not depend on the weights' values.
    state = create_state(config)
    features = state.task.frozen[0] if vgg else None
    step = make_train_step(config, state, tf.distribute.get_strategy())
    batches = iter(tf.data.Dataset.from_tensors(batch).repeat())
    networks = (
        plain_networks.generator(filters, size),
        plain_networks.discriminator(filters, size),
    )
    _check_equal_networks(networks, state.networks.values())
    plain_step = plain_networks.make_train_step(networks, features)
    ways = {
        "ours": lambda: float(step(batches)["generator"]),
        "plain": lambda: float(
            plain_step(batch["overexposed"], batch["target"])[0]
        ),
    }
    seconds = {name: [] for name in ways}
    for round_ in range(_STEPS.value + 2):
        for name, run in ways.items():
            elapsed = _seconds(run)
            if round_ >= 2:  # compiled and warm
                seconds[name].append(elapsed)
    flops = _flops(state, features, size)
    row = {
        "size": size,
        "filters": filters,
        "vgg": vgg,
        "batch": _BATCH.value,
        "steps": _STEPS.value,
        "gflop_per_step": round(flops, 1),
    }
    for name, values in seconds.items():
        median = float(np.median(values))
        row[name] = {
            "seconds": round(median, 4),
            "images_per_second": round(_BATCH.value / median, 2),
            "gflops": round(flops / median, 1),
            "share_of_matmul": round(flops / median / peak, 3),
        }
    # Of neighbours in time: a busy moment slows both.
    ratios = np.array(seconds["plain"]) / np.array(seconds["ours"])
    row["speedup"] = round(float(np.median(ratios)), 3)
    print(json.dumps(row), flush=True)
    return row


def measure_workers(steps=24, batch=4):
    """Measures one process on one core, then two on one core each."""
    cores = sorted(os.sched_getaffinity(0))
    if len(cores) < 2:
        raise SystemExit("needs two cores")
    with tempfile.TemporaryDirectory() as folder:
        one = _train(folder, "one", cores[:1], steps, batch)
        two = _train(folder, "two", cores[:2], steps, 2 * batch)
    row = {
        "one_worker_images_per_second": one,
        "two_workers_images_per_second": two,
        "efficiency": round(two / one / 2, 3),
    }
    print(json.dumps(row), flush=True)
    return row


def _train(folder, name, cores, steps, batch):
    """Returns images/s of training with one process per core."""
    command = [
        sys.executable,
        str(ROOT / "trainers" / "train_gan.py"),
        f"--run_dir={folder}/{name}",
        f"--data.source={_SOURCE.value}",
        f"--data.crop_size={_SIZES.value[0]}",
        f"--generator.filters={_FILTERS.value[0]}",
        f"--discriminator.filters={_FILTERS.value[0]}",
        "--loss.perceptual_weight=0",
        f"--train.steps={steps}",
        f"--train.log_every={steps // 3}",
        f"--train.global_batch_size={batch}",
    ]
    workers = [f"localhost:{port}" for port in _free_ports(len(cores))]
    processes = []
    for index, core in enumerate(cores):
        variables = dict(os.environ)
        if len(cores) > 1:
            variables["TF_CONFIG"] = json.dumps(
                {
                    "cluster": {"worker": workers},
                    "task": {"type": "worker", "index": index},
                }
            )
        processes.append(
            subprocess.Popen(
                command,
                env=variables,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                text=True,
                preexec_fn=lambda core=core: os.sched_setaffinity(0, {core}),
            )
        )
    outputs = [process.communicate() for process in processes]
    for process, (_, error) in zip(processes, outputs, strict=True):
        if process.returncode:
            raise SystemExit(error)
    speeds = re.findall(r"([\d.]+) images/s", outputs[0][0])
    return float(np.median([float(speed) for speed in speeds[1:]]))


def _free_ports(count):
    sockets = [socket.socket() for _ in range(count)]
    for each in sockets:
        each.bind(("localhost", 0))
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def _batch(size):
    shape = (_BATCH.value, size, size, 3)
    target = tf.random.stateless_uniform(shape, (1, 2))
    return {
        "overexposed": tf.minimum(target, 0.73) / 0.73,
        "target": target,
    }


def _check_equal_networks(plain, ours):
    for a, b in zip(plain, ours, strict=True):
        counts = [
            sum(int(np.prod(v.shape)) for v in network.trainable_variables)
            for network in (a, b)
        ]
        if counts[0] != counts[1]:
            raise AssertionError(f"networks differ: {counts} weights")


def _flops(state, features, size):
    """GFLOP of one step, from the operations of the forward passes."""
    photo = tf.TensorSpec((_BATCH.value, size, size, 3))
    forward = {
        "generator": _count(state.networks["generator"], photo),
        "discriminator": _count(
            state.networks["discriminator"], (photo, photo)
        ),
        "vgg": _count(features, photo) if features else 0,
    }
    return sum(_PASSES[name] * forward[name] for name in forward) / 1e9


def _count(network, spec):
    from tensorflow.python.profiler import model_analyzer, option_builder

    graph = tf.function(lambda x: network(x)).get_concrete_function(spec).graph
    options = option_builder.ProfileOptionBuilder.float_operation()
    options["output"] = "none"
    return model_analyzer.profile(graph, options=options).total_float_ops


def _seconds(run):
    start = time.perf_counter()
    run()
    return time.perf_counter() - start


if __name__ == "__main__":
    app.run(main)
