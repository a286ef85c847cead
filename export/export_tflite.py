"""Exports a run's generator as a TFLite file for phones and browsers.

Example:
    tfexposure-export-tflite --run_dir=runs/first
"""

import sys

from absl import app, flags

from tfexposure import quiet
from tfexposure.config import RunDir
from tfexposure.errors import UserError

FLAGS = flags.FLAGS

flags.DEFINE_string("run_dir", None, "Folder of the training run.")
flags.DEFINE_string(
    "output",
    None,
    "The .tflite file; by default exports/generator-<step>.tflite in the run.",
)
flags.DEFINE_enum(
    "weights",
    "averaged",
    ["averaged", "live"],
    "Weights averaged over training, or those of the last step.",
)
flags.DEFINE_integer("step", None, "Checkpoint to export; the newest if none.")
flags.DEFINE_integer(
    "size",
    None,
    "Side in pixels of the only picture size, as GPU delegates and browsers "
    "need; any size if none.",
)
flags.mark_flag_as_required("run_dir")


def main(_):
    try:
        quiet.import_tensorflow()
        from tfexposure import serving

        loaded = serving.load_run(FLAGS.run_dir, FLAGS.weights, FLAGS.step)
        network = serving.network_of(loaded.generator)
        path = FLAGS.output or (
            RunDir(FLAGS.run_dir).exports / f"generator-{loaded.step}.tflite"
        )
        with quiet.quiet_tensorflow():
            contents = serving.convert_to_tflite(network, FLAGS.size)
        manifest = serving.make_manifest(
            network, loaded, format="TFLite", size=FLAGS.size
        )
        path = serving.write_tflite(path, contents, manifest)
    except UserError as error:
        sys.exit(f"error: {error}")
    print(
        f"TFLite file of step {loaded.step} ({loaded.weights}), "
        f"{path.stat().st_size / 1e6:.2f} MB: {path}"
    )


def run():
    app.run(main)


if __name__ == "__main__":
    run()
