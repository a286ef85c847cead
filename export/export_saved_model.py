"""Exports a model as a SavedModel for TensorFlow Serving.

Example:
    tfexposure-export-saved-model --model=natural
    tfexposure-export-saved-model --run_dir=runs/first
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
    "Folder of the versions; by default exports/saved_model in the run, "
    "saved_model beside the weights, or exports/<name>/saved_model.",
)
flags.DEFINE_integer(
    "version",
    None,
    "Number of the version; by default the run's training step, or 1.",
)
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
    try:
        model_flags.check()
        quiet.import_tensorflow()
        from tfexposure import serving

        loaded, folder = model_flags.load()
        version = FLAGS.version
        if version is None:
            version = 1 if loaded.name else loaded.step or 1
        # Saving tells of every tensor it renames.
        with quiet.quiet_tensorflow():
            path = serving.export_saved_model(
                loaded.generator,
                FLAGS.output or folder / "saved_model",
                version,
                run=loaded,
                max_pixels=FLAGS.max_pixels,
                tile=FLAGS.tile,
                warmup_photos=FLAGS.warmup_photos,
            )
    except (UserError, ValueError) as error:
        sys.exit(f"error: {error}")
    print(f"SavedModel ({loaded.name or loaded.weights} weights): {path}")


def run():
    scripts.run(main)


if __name__ == "__main__":
    run()
