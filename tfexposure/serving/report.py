"""TFLite files exported, scored and compared in one table."""

import functools
from pathlib import Path

import numpy as np

from tfexposure.quiet import quiet_tensorflow
from tfexposure.runtime.keras_model import KerasModel
from tfexposure.runtime.manifest import make_manifest
from tfexposure.serving import lite_checks, scoring, tflite


class Examples:
    """Overexposed photos: half to calibrate on, half to score with.

    Args:
        folder: folder of well-exposed photos; None: noise of coarse grain
            stands in for them, enough to see that a file works.
        limit: int, most photos read.
        side: int, pixels.
        config: the run's settings, as nested dicts, for how to overexpose.
    """

    def __init__(self, folder, limit, side, config):
        self.real = folder is not None
        self._side = side
        self._read = functools.cache(
            lambda: (
                scoring.read_examples(folder, side, limit)
                if self.real
                else _coarse_noise(side)
            )
        )
        data = config.get("data", {})
        # The same shares of light as in training; those of the paper else.
        self._taus = np.linspace(
            data.get("tau_min", 0.5), data.get("tau_max", 0.5), 4
        )
        self._response = data.get("response", "gamma")

    def calibration(self, model):
        """Lists the inputs to calibrate on."""
        return self._inputs(model, self._read()[::2])

    def scored(self, model):
        """Lists the inputs to score with."""
        return self._inputs(model, self._read()[1::2])

    def _inputs(self, model, photos):
        return scoring.as_inputs(model, photos, self._taus, self._response)


def export_one(loaded, precision, size, examples, folder, force=False):
    """Converts, scores and writes one file.

    Args:
        loaded: `LoadedRun`.
        precision: see `convert_to_tflite`.
        size: side of the only picture size, or None.
        examples: `Examples`.
        folder: where `<stem>[-<precision>][-<size>].tflite` goes.
        force: bool, whether to write a file below its floor of quality.

    Returns:
        (row of `table`, None or why the file was not written).
    """
    # 16-bit activations know no depth to space.
    model = KerasModel(loaded.generator, shuffle=precision != "int16x8")
    calibrated = precision in tflite.CALIBRATED
    # The converter tells of every operation it looked at.
    with quiet_tensorflow():
        contents = tflite.convert_to_tflite(
            model,
            precision,
            size,
            examples.calibration(model) if calibrated else None,
        )
    found = scoring.score(contents, model, examples.scored(model))
    obstacles = lite_checks.gpu_obstacles(contents)
    words = [loaded.stem]
    words += [] if precision == "float32" else [precision]
    words += [] if size is None else [str(size)]
    path = Path(folder, "-".join(words) + ".tflite")
    row = {
        "file": path.name,
        "precision": precision,
        "size": size or "any",
        "gpu": "yes" if not obstacles else "no",
        **found,
    }
    floor = tflite.QUALITY_FLOORS[precision]
    if found["psnr_db"] < floor and not force:
        return row, (
            f"{path.name} reaches {found['psnr_db']} dB against Keras, below "
            f"the {floor} dB of {precision}"
        )
    manifest = make_manifest(
        model,
        loaded,
        format="TFLite",
        precision=precision,
        size=size,
        score=found | {"real_photos": examples.real},
        gpu_delegate=obstacles or "compatible by rule",
    )
    tflite.write_tflite(path, contents, manifest)
    print(f"TFLite file: {path}")
    return row, None


def table(rows) -> str:
    """Returns rows of `export_one` as a Markdown table."""
    columns = {
        "file": "file",
        "precision": "precision",
        "size": "size",
        "megabytes": "MB",
        "psnr_db": "PSNR dB",
        "worst_psnr_db": "worst",
        "delta_e": "delta-E",
        "milliseconds_1": "ms, 1 thread",
        "milliseconds_2": "ms, 2 threads",
        "gpu": "GPU",
        "photos": "photos",
    }
    lines = [
        "| " + " | ".join(columns.values()) + " |",
        "|" + "---|" * len(columns),
    ]
    for row in rows:
        lines.append("| " + " | ".join(str(row[key]) for key in columns) + " |")
    return "\n".join(lines)


def _coarse_noise(side):
    random = np.random.default_rng(0)
    cells = -(-side // 8)
    images = random.uniform(0, 1, (2, 1, cells, cells, 3)).astype("float32")
    return list(images.repeat(8, 2).repeat(8, 3)[:, :, :side, :side])
