"""Exports a run's generator as a SavedModel for TensorFlow Serving.

Example:
    tfexposure-export-saved-model --run_dir=runs/first
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
    "Folder of the versions; by default exports/saved_model in the run.",
)
flags.DEFINE_integer(
    "version", None, "Number of the version; by default the training step."
)
flags.DEFINE_enum(
    "weights",
    "averaged",
    ["averaged", "live"],
    "Weights averaged over training, or those of the last step.",
)
flags.DEFINE_integer("step", None, "Checkpoint to export; the newest if none.")
flags.DEFINE_integer(
    "max_pixels",
    100_000_000,
    "Requests of more pixels are refused before they are decoded.",
    lower_bound=1,
)
flags.DEFINE_integer(
    "tile",
    1024,
    "Side in pixels of the tiles in which large photos are worked on.",
    lower_bound=1,
)
flags.mark_flag_as_required("run_dir")


def main(_):
    try:
        quiet.import_tensorflow()
        from tfexposure import serving

        loaded = serving.load_run(FLAGS.run_dir, FLAGS.weights, FLAGS.step)
        base = FLAGS.output or RunDir(FLAGS.run_dir).exports / "saved_model"
        version = loaded.step if FLAGS.version is None else FLAGS.version
        path = serving.export_saved_model(
            loaded.generator,
            base,
            version,
            run=loaded,
            max_pixels=FLAGS.max_pixels,
            tile=FLAGS.tile,
        )
    except UserError as error:
        sys.exit(f"error: {error}")
    print(f"SavedModel of step {loaded.step} ({loaded.weights}): {path}")


def run():
    app.run(main)


if __name__ == "__main__":
    run()
