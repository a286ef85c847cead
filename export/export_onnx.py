"""Exports a model as ONNX files for ONNX Runtime and what loads its files.

Example:
    tfexposure-export-onnx --model=natural
    tfexposure-export-onnx --run_dir=runs/first --photos=photos
"""

import sys

from absl import flags
from tfexposure.export import model_flags

from tfexposure import quiet, scripts
from tfexposure.errors import UserError

FLAGS = flags.FLAGS
model_flags.define()
flags.adopt_module_key_flags(model_flags)
flags.DEFINE_string(
    "output",
    None,
    "Folder to write to; by default exports/onnx in the run, onnx beside the "
    "weights, or exports/<name>/onnx.",
)
flags.DEFINE_string(
    "photos",
    None,
    "Folder of well-exposed photos. Overexposed as in training, every other "
    "one scores the files.",
)
flags.DEFINE_integer("max_photos", 64, "Most photos taken of --photos.")


def main(_):
    try:
        model_flags.check()
        quiet.import_tensorflow()
        _export()
    except (UserError, ValueError) as error:
        sys.exit(f"error: {error}")


def _export():
    """Writes the files and prints their score."""
    from tfexposure.serving import onnx, report

    loaded, folder = model_flags.load()
    folder = FLAGS.output or folder / "onnx"
    examples = report.Examples(
        FLAGS.photos, FLAGS.max_photos, 256, loaded.config
    )
    # The converter tells of every step.
    with quiet.quiet_tensorflow():
        row = onnx.export_onnx(loaded, folder, examples)
    print(f"ONNX files: {folder}")
    print(report.table([row]))


def run():
    scripts.run(main)


if __name__ == "__main__":
    run()
