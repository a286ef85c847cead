"""Exports a generator as TFLite files for phones and browsers.

Example:
    tfexposure-export-tflite --model=paper --precision=dynamic_int8
    tfexposure-export-tflite --run_dir=runs/first
    tfexposure-export-tflite --run_dir=runs/first --photos=photos \
        --precision=float32,float16,dynamic_int8,int8 --size=any,256
"""

import sys

from absl import flags
from tfexposure.export import model_flags

from tfexposure import quiet, scripts
from tfexposure.errors import UserError

FLAGS = flags.FLAGS
PRECISIONS = ("float32", "float16", "dynamic_int8", "int8", "int16x8")

model_flags.define()
flags.adopt_module_key_flags(model_flags)
flags.DEFINE_string(
    "output",
    None,
    "Folder to write to; by default exports in the run, or exports/<name>.",
)
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
    try:
        model_flags.check()
        quiet.import_tensorflow()
        refused = _export()
    except (UserError, ValueError) as error:
        sys.exit(f"error: {error}")
    if refused:
        sys.exit("refused: " + "; ".join(refused) + ". --force writes it.")


def _export():
    """Writes the files, prints their table; returns why some were not."""
    from tfexposure.serving import report, tflite

    loaded, folder = model_flags.load()
    folder = FLAGS.output or folder
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
    scripts.run(main)


if __name__ == "__main__":
    run()
