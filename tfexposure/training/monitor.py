"""What a run tells: a progress line, TensorBoard scalars, sample grids."""

import resource
import sys
import time

import numpy as np
import tensorflow as tf

from tfexposure import exposure
from tfexposure.config import write_atomically
from tfexposure.layers import spectral_norms


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
        terms = ("generator", "discriminator", "content", "perceptual")
        losses = "  ".join(
            f"{name} {values[name]:.4g}" for name in terms if name in values
        )
        print(
            f"step {step}/{train.steps}  {losses}  {images:.1f} images/s  "
            f"ETA {_duration(seconds * (train.steps - step))}  "
            f"{_peak_memory() / 2**30:.1f} GiB",
            flush=True,
        )
        scalars = {
            "perf/images_per_second": images,
            "perf/seconds_per_step": seconds,
            "perf/peak_memory_gib": _peak_memory() / 2**30,
            "optimizer/learning_rate": float(
                state.generator_optimizer.learning_rate
            ),
        }
        for name, value in values.items():
            if name.startswith("grad_norm_"):
                scalars[f"grad_norm/{name.removeprefix('grad_norm_')}"] = value
            elif name != "finite":
                scalars[f"loss/{name}"] = value
        for name in ("generator", "discriminator"):
            sigmas = [
                float(layer.sigma())
                for layer in spectral_norms(getattr(state, name))
            ]
            if sigmas:
                scalars[f"sigma/{name}_max"] = max(sigmas)
        self._scalars(scalars, step)

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
            response = exposure.get_response(data.response)
            columns.append(exposure.invert(overexposed, data.tau_min, response))
        columns += [generator(overexposed, training=False), target]
        rows = np.concatenate([np.asarray(c) for c in columns], axis=2)
        grid = np.concatenate(list(rows), axis=0)
        pixels = np.uint8(np.clip(grid, 0, 1) * 255 + 0.5)
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
        self._time = time.perf_counter()

    def close(self):
        """Flushes what was written."""
        self._writer.close()


def _duration(seconds):
    minutes, seconds = divmod(int(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02d}:{seconds:02d}"


def _peak_memory():
    """Peak resident memory of this process, in bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
