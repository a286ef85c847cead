"""Exports a generator as TFLite files for phones and browsers.

Example:
    tfexposure-export-tflite --run_dir=runs/first
    tfexposure-export-tflite --run_dir=runs/first --photos=photos \
        --precision=float32,float16,dynamic_int8,int8 --size=any,256
"""

import sys
from pathlib import Path

from absl import app, flags

from tfexposure import quiet
from tfexposure.config import RunDir
from tfexposure.errors import UserError

FLAGS = flags.FLAGS
PRECISIONS = ("float32", "float16", "dynamic_int8", "int8", "int16x8")

flags.DEFINE_string("run_dir", None, "Folder of the training run.")
flags.DEFINE_string(
    "natural_weights",
    None,
    "A .weights.h5 file of the natural model, or shipped for the weights of "
    "the package, in place of a run.",
)
flags.DEFINE_string(
    "output", None, "Folder to write to; by default exports in the run."
)
flags.DEFINE_enum(
    "weights",
    "averaged",
    ["averaged", "live"],
    "Weights averaged over training, or those of the last step.",
)
flags.DEFINE_integer("step", None, "Checkpoint to export; the newest if none.")
flags.DEFINE_list(
    "precision",
    ["float32"],
    f"Which files to write, of {', '.join(PRECISIONS)}.",
)
flags.DEFINE_list(
    "size",
    ["any"],
    "Picture sizes, a file for each: any, or the side in pixels of the only "
    "one, as browsers and GPU delegates need.",
)
flags.DEFINE_string(
    "photos",
    None,
    "Folder of well-exposed photos. Overexposed as in training, every other "
    "one calibrates int8 and int16x8, and the rest score all files.",
)
flags.DEFINE_integer("max_photos", 64, "Most photos taken of --photos.")
flags.DEFINE_boolean(
    "force", False, "Write files below the floor of quality all the same."
)
flags.register_validator(
    "precision",
    lambda values: set(values) <= set(PRECISIONS),
    message=f"must be of {', '.join(PRECISIONS)}",
)
flags.register_validator(
    "size",
    lambda values: all(v == "any" or v.isdigit() for v in values),
    message="must be any or a number of pixels",
)


def main(_):
    if (FLAGS.run_dir is None) == (FLAGS.natural_weights is None):
        sys.exit("error: give either --run_dir or --natural_weights")
    try:
        quiet.import_tensorflow()
        refused = _export()
    except (UserError, ValueError) as error:
        sys.exit(f"error: {error}")
    if refused:
        sys.exit("refused: " + "; ".join(refused) + ". --force writes it.")


def _export():
    """Writes the files, prints their table; returns why some were not."""
    from tfexposure import serving
    from tfexposure.serving import report, tflite

    if FLAGS.run_dir:
        loaded = serving.load_run(FLAGS.run_dir, FLAGS.weights, FLAGS.step)
        folder = FLAGS.output or RunDir(FLAGS.run_dir).exports
    else:
        loaded = serving.load_natural(FLAGS.natural_weights)
        folder = FLAGS.output or Path(FLAGS.natural_weights).parent
    sizes = [None if size == "any" else int(size) for size in FLAGS.size]
    needed = sorted(set(FLAGS.precision) & set(tflite.CALIBRATED))
    if needed and not FLAGS.photos:
        raise UserError(f"{', '.join(needed)} needs --photos to calibrate on")
    if None in sizes and "int16x8" in FLAGS.precision:
        raise UserError("int16x8 needs a --size of its own, not any")
    rows, refused = [], []
    for size in sizes:
        examples = report.Examples(
            FLAGS.photos, FLAGS.max_photos, size or 256, loaded.config
        )
        for precision in FLAGS.precision:
            row, reason = report.export_one(
                loaded, precision, size, examples, folder, FLAGS.force
            )
            rows.append(row)
            refused += [reason] if reason else []
    print(report.table(rows))
    return refused


def run():
    app.run(main)


if __name__ == "__main__":
    run()
