"""Validation while training, and the best weights so far."""

import dataclasses
import json
import math
import os
from typing import Any

from tfexposure.config import Config
from tfexposure.data.pipeline import training_stream
from tfexposure.data.sources import open_photos
from tfexposure.metrics.fidelity import (
    PSNR,
    SSIM,
    MeanL1,
    clipped_region,
)
from tfexposure.metrics.histogram import HistogramSimilarity
from tfexposure.storage import write_atomically

_MOST_PHOTOS = 64
_BATCH = 8
_LOWER_IS_BETTER = ("l1",)


@dataclasses.dataclass
class Validation:
    """Scores a generator on fixed crops of the validation photos.

    Attributes:
        config: `Config`.
        photos: a source of `open_photos`.
    """

    config: Config
    photos: Any

    @classmethod
    def open(cls, config):
        """Returns the validation of `config`, or None if it has no photos."""
        data = config.data
        if not data.validation_source:
            return None
        photos = open_photos(
            data.validation_source, data.split, data.max_unreadable
        )
        return cls(config, photos)

    def run(self, generator, run_dir, step):
        """Scores `generator` and keeps its weights if they are the best.

        Args:
            generator: network to score.
            run_dir: `RunDir`; `best/` holds `generator.weights.h5` and
                `metrics.json`.
            step: int, steps done.

        Returns:
            Dict of floats: `psnr` (dB), `ssim`, `l1`, `l1_inside` and
            `l1_outside` of the clipped region (left out where no photo has
            one), and the histogram similarities `luminance`, `contrast`,
            `saturation` (%).
        """
        metrics: dict[str, Any] = {
            "psnr": PSNR(),
            "ssim": SSIM(),
            "l1": MeanL1(),
        }
        regional = {"l1_inside": MeanL1(), "l1_outside": MeanL1()}
        similarity = HistogramSimilarity()
        for batch in self._batches():
            target = batch["target"]
            restored = generator(batch["overexposed"], training=False)
            for metric in (*metrics.values(), similarity):
                metric.update_state(target, restored)
            inside = clipped_region(batch["overexposed"])
            for metric, region in zip(
                regional.values(), (inside, 1 - inside), strict=True
            ):
                metric.update_state(target, restored, region)
        values = {
            name: float(metric.result())
            for name, metric in (metrics | regional).items()
        }
        values = {k: v for k, v in values.items() if not math.isnan(v)}
        values |= {k: float(v) for k, v in similarity.result().items()}
        self._keep_best(generator, values, run_dir.best, step)
        return values

    def grid(self, count):
        """Returns one batch of at most `count` of the photos."""
        size = min(count, self.photos.count)
        return next(iter(self._stream(size)))

    def _batches(self):
        count = min(_MOST_PHOTOS, self.photos.count)
        size = min(_BATCH, count)
        return self._stream(size).take(count // size)

    def _stream(self, size):
        # Seed 0 whatever the run's: runs are compared on the same crops.
        data = dataclasses.replace(self.config.data, flip=False, service="")
        return training_stream(self.photos, data, 0, size)

    def _keep_best(self, generator, values, folder, step):
        name = self.config.train.best_metric
        record = folder / "metrics.json"
        if record.exists():
            best = json.loads(record.read_text(encoding="utf-8"))[name]
            better = values[name] > best
            if name in _LOWER_IS_BETTER:
                better = values[name] < best
            if not better:
                return
        folder.mkdir(parents=True, exist_ok=True)
        temporary = folder / "new.weights.h5"
        generator.save_weights(temporary)
        os.replace(temporary, folder / "generator.weights.h5")
        write_atomically(
            record, json.dumps({"step": step, **values}, indent=2) + "\n"
        )
