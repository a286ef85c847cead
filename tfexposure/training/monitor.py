"""What a run tells: a progress line, TensorBoard scalars, sample grids."""

import resource
import sys
import time

import numpy as np
import tensorflow as tf
from absl import logging
from tensorboard.plugins.hparams import api as hparams

from tfexposure.imaging import exposure
from tfexposure.imaging.transfer_curves import get_response
from tfexposure.layers import spectral_norms
from tfexposure.storage import write_atomically

# The discriminator's accuracy beyond which it teaches nothing, and how many
# reports in a row make it worth a warning.
_TOO_GOOD, _TOO_BAD, _REPORTS = 0.995, 0.505, 20
_TERMS = ("generator", "discriminator", "adversarial", "content", "perceptual")


class Monitor:
    """Reports on one run.

    Args:
        run_dir: `RunDir`; scalars go to its `logs`, grids to its `samples`.
        config: `Config`.
        step: int, steps done before this process started.
        chief: bool; other workers stay silent.
    """

    def __init__(self, run_dir, config, step, chief=True):
        self._run_dir = run_dir
        self._config = config
        self._chief = chief
        self._writer = (
            tf.summary.create_file_writer(str(run_dir.logs))
            if chief
            else tf.summary.create_noop_writer()
        )
        self._extreme_reports = 0
        self.restart_clock(step)
        with self._writer.as_default(step):
            if chief:
                hparams.hparams(_flat(config))

    def restart_clock(self, step):
        """Measures the pace from here on, `step` steps done."""
        self._step = step
        self._time = time.perf_counter()

    def _scalars(self, values, step):
        with self._writer.as_default(step):
            for name, value in values.items():
                tf.summary.scalar(name, float(value))

    def progress(self, state, results, step):
        """Prints one line and writes the step's scalars.

        Args:
            state: `TrainState`.
            results: dict of scalars, of the train step.
            step: int, steps done.
        """
        now = time.perf_counter()
        seconds = max(now - self._time, 1e-9) / max(step - self._step, 1)
        self._time, self._step = now, step
        if not self._chief:
            return
        values = {name: float(value) for name, value in results.items()}
        train = self._config.train
        images = train.global_batch_size / seconds
        losses = "  ".join(
            f"{name} {values[name]:.4g}"
            for name in ("generator", "discriminator", "content", "perceptual")
            if name in values
        )
        undone = int(state.undone_steps.numpy())
        print(
            f"step {step}/{train.steps}  {losses}  {images:.1f} images/s  "
            f"ETA {_duration(seconds * (train.steps - step))}  "
            f"{_peak_memory() / 2**30:.1f} GiB"
            + (f"  {undone} steps undone" if undone else ""),
            flush=True,
        )
        scalars = {
            "perf/images_per_second": images,
            "perf/seconds_per_step": seconds,
            "perf/peak_memory_gib": _peak_memory() / 2**30,
            "perf/undone_steps": undone,
            # A variable may be mirrored, which float() does not take.
            "optimizer/learning_rate": float(
                tf.convert_to_tensor(state.generator_optimizer.learning_rate)
            ),
            "metrics/discriminator_accuracy": values["accuracy"],
        }
        for gpu in tf.config.list_logical_devices("GPU"):
            used = tf.config.experimental.get_memory_info(gpu.name)["peak"]
            name = gpu.name.split(":")[-1]
            scalars[f"perf/gpu_{name}_peak_memory_gib"] = used / 2**30
        if train.precision == "float16":
            scalars["optimizer/loss_scale"] = float(state.loss_scale.numpy())
        scalars |= {f"loss/{k}": values[k] for k in _TERMS if k in values}
        for name in ("generator", "discriminator"):
            scalars[f"grad_norm/{name}"] = values[f"grad_norm_{name}"]
            sigmas = [
                float(layer.sigma())
                for layer in spectral_norms(getattr(state, name))
            ]
            if sigmas:
                scalars[f"sigma/{name}_max"] = max(sigmas)
                scalars[f"sigma/{name}_min"] = min(sigmas)
        self._scalars(scalars, step)
        self._watch(values["accuracy"], step)

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

    def samples(self, generator, batch, step):
        """Writes a grid: overexposed, inverse, restored, target in a row.

        Args:
            generator: network to show.
            batch: dict with `overexposed` and `target`, (N, H, W, 3), fixed
                photos.
            step: int, steps done.
        """
        if not self._chief:
            return
        data = self._config.data
        overexposed, target = batch["overexposed"], batch["target"]
        columns = [overexposed]
        if data.tau_min == data.tau_max:
            response = get_response(data.response)
            columns.append(exposure.invert(overexposed, data.tau_min, response))
        columns += [generator(overexposed, training=False), target]
        rows = np.concatenate([np.asarray(c) for c in columns], axis=2)
        grid = np.concatenate(list(rows), axis=0)
        pixels = (np.clip(grid, 0, 1) * 255 + 0.5).astype(np.uint8)
        folder = self._run_dir.samples
        folder.mkdir(parents=True, exist_ok=True)
        write_atomically(
            folder / f"step-{step:08d}.png", tf.io.encode_png(pixels).numpy()
        )
        with self._writer.as_default(step):
            tf.summary.image("samples", pixels[None])

    def validated(self, metrics, step):
        """Prints and writes validation metrics, a dict of floats."""
        listed = "  ".join(f"{k} {v:.4g}" for k, v in metrics.items())
        print(f"step {step}  validation: {listed}", flush=True)
        self._scalars({f"metrics/{k}": v for k, v in metrics.items()}, step)
        # What validation took is not part of the training's pace.
        self.restart_clock(step)

    def flush(self):
        """Writes to disk what TensorBoard still buffers."""
        self._writer.flush()

    def close(self):
        """Flushes what was written."""
        self._writer.close()


def _flat(config):
    return {
        f"{section}.{name}": value
        for section, fields in config.to_dict().items()
        for name, value in fields.items()
    }


def _duration(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"


def _peak_memory():
    """Peak resident memory of this process, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
