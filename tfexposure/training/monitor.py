"""What a run tells: a progress line, scalars, sample grids.

Scalars go to `log.jsonl`, and to TensorBoard where the backend writes it.
"""

import io
import json
import math
import resource
import sys
import time

import numpy as np
from absl import logging
from keras import ops
from PIL import Image

from tfexposure.imaging import exposure
from tfexposure.imaging.transfer_curves import get_response
from tfexposure.layers import spectral_norms
from tfexposure.storage import write_atomically

# The discriminator's accuracy beyond which it teaches nothing, and how many
# reports in a row make it worth a warning.
_TOO_GOOD, _TOO_BAD, _REPORTS = 0.995, 0.505, 20


class Monitor:
    """Reports on one run.

    Args:
        run_dir: `RunDir`.
        config: `Config`.
        step: int, steps done before this process started.
        backend: the backend; only on its chief anything is told.
    """

    def __init__(self, run_dir, config, step, backend):
        self._run_dir = run_dir
        self._config = config
        self._backend = backend
        self._writer = None
        self._log = run_dir.path / "log.jsonl"
        if backend.chief:
            self._writer = backend.writer(run_dir, config, step)
            self._forget_after(step)
        self._extreme_reports = 0
        self.restart_clock(step)

    def _forget_after(self, step):
        """Drops lines of steps that a killed process did and did not save."""
        if self._log.exists():
            lines = self._log.read_text(encoding="utf-8").splitlines()
            kept = [line for line in lines if _step_of(line) <= step]
            write_atomically(self._log, "".join(f"{k}\n" for k in kept))

    def restart_clock(self, step):
        """Measures the pace from here on, `step` steps done."""
        self._step = step
        self._time = time.perf_counter()

    def _scalars(self, values, step):
        if self._writer:
            self._writer.scalars(values, step)
        values = {
            name: float(f"{value:.6g}") if math.isfinite(value) else None
            for name, value in values.items()
        }
        with open(self._log, "a", encoding="utf-8") as file:
            file.write(json.dumps({"step": step, **values}) + "\n")

    def progress(self, state, results, step, flops=None, left=math.inf):
        """Prints one line and writes the step's scalars.

        Args:
            state: `TrainState`.
            results: dict of scalars, of the train step.
            step: int, steps done.
            flops: operations of a step, if they are known.
            left: seconds until the time for steps is over.
        """
        if not self._backend.chief:
            return
        # Waits for the step.
        values = {name: float(value) for name, value in results.items()}
        now = time.perf_counter()
        seconds = max(now - self._time, 1e-9) / max(step - self._step, 1)
        self._time, self._step = now, step
        train, task = self._config.train, state.task
        images = train.global_batch_size / seconds
        losses = "  ".join(
            f"{name} {values[name]:.4g}" for name in task.told if name in values
        )
        undone = int(state.undone_steps.numpy())
        print(
            f"step {step}/{train.steps}  {losses}  {images:.1f} images/s  "
            + _rate(flops, seconds, train.peak_tflops)
            + f"ETA {_duration(min(seconds * (train.steps - step), left))}  "
            f"{_peak_memory() / 2**30:.1f} GiB"
            + (f"  {undone} steps undone" if undone else ""),
            flush=True,
        )
        scalars = {
            "perf/images_per_second": images,
            "perf/seconds_per_step": seconds,
            "perf/peak_memory_gib": _peak_memory() / 2**30,
            "perf/undone_steps": undone,
            "optimizer/learning_rate": _number(
                task.optimizers[task.product].learning_rate
            ),
        }
        for device, used in self._backend.memory().items():
            scalars[f"perf/gpu_{device}_peak_memory_gib"] = used / 2**30
        if train.precision == "float16":
            scalars["optimizer/loss_scale"] = _number(state.loss_scale.value)
        for name, value in values.items():
            if name.startswith("grad_norm_"):
                scalars[name.replace("norm_", "norm/", 1)] = value
            elif name not in ("accuracy", "finite"):
                scalars[f"loss/{name}"] = value
        for name, network in state.networks.items():
            sigmas = [_sigma(layer) for layer in spectral_norms(network)]
            if sigmas:
                scalars[f"sigma/{name}_max"] = max(sigmas)
                scalars[f"sigma/{name}_min"] = min(sigmas)
        if "accuracy" in values:
            scalars["metrics/discriminator_accuracy"] = values["accuracy"]
            self._watch(values["accuracy"], step)
        self._scalars(scalars, step)

    def _watch(self, accuracy, step):
        """Warns once if the discriminator has nothing to teach for long."""
        extreme = not _TOO_BAD < accuracy < _TOO_GOOD
        self._extreme_reports = self._extreme_reports + 1 if extreme else 0
        if self._extreme_reports == _REPORTS:
            logging.warning(
                "step %d: the discriminator tells %.1f %% of the patches right "
                "since %d reports: it %s. The generator learns from the other "
                "losses alone.",
                step,
                100 * accuracy,
                _REPORTS,
                "wins always" if accuracy > 0.5 else "has collapsed",
            )

    def samples(self, predict, batch, step):
        """Writes a grid: overexposed, inverse, restored, target in a row.

        Args:
            predict: function from images to the network's answer.
            batch: dict with `overexposed` and `target`, (N, H, W, 3), fixed
                photos.
            step: int, steps done.
        """
        if not self._backend.chief:
            return
        data = self._config.data
        overexposed, target = batch["overexposed"], batch["target"]
        columns = [overexposed]
        if self._config.task == "paper" and data.tau_min == data.tau_max:
            response = get_response(data.response)
            columns.append(exposure.invert(overexposed, data.tau_min, response))
        columns += [predict(overexposed), target]
        rows = np.concatenate([np.asarray(c) for c in columns], axis=2)
        grid = np.concatenate(list(rows), axis=0)
        pixels = (np.clip(grid, 0, 1) * 255 + 0.5).astype(np.uint8)
        folder = self._run_dir.samples
        folder.mkdir(parents=True, exist_ok=True)
        buffer = io.BytesIO()
        Image.fromarray(pixels).save(buffer, "PNG")
        write_atomically(folder / f"step-{step:08d}.png", buffer.getvalue())
        if self._writer:
            self._writer.image("samples", pixels, step)

    def validated(self, metrics, step):
        """Writes validation metrics, a dict of floats; prints their means."""
        listed = "  ".join(
            f"{k} {v:.4g}" for k, v in metrics.items() if "/" not in k
        )
        print(f"step {step}  validation: {listed}", flush=True)
        self._scalars({f"metrics/{k}": v for k, v in metrics.items()}, step)
        # What validation took is not part of the training's pace.
        self.restart_clock(step)

    def flush(self):
        """Writes to disk what TensorBoard still buffers."""
        if self._writer:
            self._writer.flush()

    def close(self):
        """Flushes what was written."""
        if self._writer:
            self._writer.close()


def _step_of(line):
    try:
        return json.loads(line)["step"]
    except (ValueError, KeyError, TypeError):
        # Torn by a kill.
        return math.inf


def _number(value):
    # A variable may be mirrored, which float() does not take.
    return float(ops.convert_to_numpy(ops.convert_to_tensor(value)))


def _sigma(layer):
    # Not by `layer.sigma()`, of which a GPU compiles every shape.
    u, v, kernel = (
        ops.convert_to_numpy(variable.value)
        for variable in (layer.u, layer.v, layer.kernel)
    )
    return float(np.sum(v * (kernel.reshape(len(v), -1) @ u)))


def _rate(flops, seconds, peak):
    """Tells the operations per second, and their share of the peak."""
    if not flops:
        return ""
    rate = flops / seconds / 1e12
    share = f" ({rate / peak:.1%} of the peak)" if peak else ""
    return f"{rate:.3g} TFLOP/s{share}  "


def _duration(seconds):
    minutes, seconds = divmod(max(int(seconds), 0), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"


def _peak_memory():
    """Peak resident memory of this process, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
