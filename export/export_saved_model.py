"""Exports a run's generator as a SavedModel for TensorFlow Serving.

Example:
    tfexposure-export-saved-model --run_dir=runs/first
"""

import sys
from pathlib import Path

from absl import app, flags

from tfexposure import quiet
from tfexposure.config import RunDir
from tfexposure.errors import UserError

FLAGS = flags.FLAGS

flags.DEFINE_string("run_dir", None, "Folder of the training run.")
flags.DEFINE_string(
    "natural_weights",
    None,
    "A .weights.h5 file of the natural model, or shipped for the weights of "
    "the package, in place of a run.",
)
flags.DEFINE_string(
    "output",
    None,
    "Folder of the versions; by default exports/saved_model in the run, or "
    "saved_model beside the weights.",
)
flags.DEFINE_integer(
    "version",
    None,
    "Number of the version; by default the training step, or 1.",
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
flags.DEFINE_string(
    "warmup_photos",
    None,
    "Folder of photos; two of them become requests that a server answers to "
    "itself before it takes others.",
)


def main(_):
    if (FLAGS.run_dir is None) == (FLAGS.natural_weights is None):
        sys.exit("error: give either --run_dir or --natural_weights")
    try:
        quiet.import_tensorflow()
        from tfexposure import serving

        if FLAGS.run_dir:
            loaded = serving.load_run(FLAGS.run_dir, FLAGS.weights, FLAGS.step)
            base = RunDir(FLAGS.run_dir).exports / "saved_model"
        else:
            loaded = serving.load_natural(FLAGS.natural_weights)
            base = Path(FLAGS.natural_weights).parent / "saved_model"
        version = FLAGS.version
        if version is None:
            version = 1 if loaded.step is None else loaded.step
        # Saving tells of every tensor it renames.
        with quiet.quiet_tensorflow():
            path = serving.export_saved_model(
                loaded.generator,
                FLAGS.output or base,
                version,
                run=loaded,
                max_pixels=FLAGS.max_pixels,
                tile=FLAGS.tile,
                warmup_photos=FLAGS.warmup_photos,
            )
    except (UserError, ValueError) as error:
        sys.exit(f"error: {error}")
    print(f"SavedModel ({loaded.weights} weights): {path}")


def run():
    app.run(main)


if __name__ == "__main__":
    run()
