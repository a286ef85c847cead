"""Trains the paper's GAN or the blind model, on TensorFlow or JAX.

    python trainers/train_gan.py --run_dir=runs/first --data.source=photos/
    KERAS_BACKEND=jax python trainers/train_gan.py --task=blind \\
        --flagfile=configs/natural_curves.flags --run_dir=runs/curves

Every field of `tfexposure.config.Config` is a flag; `--flagfile=` reads them
from a file. The same command resumes a run that was stopped. Exit codes: 0 the
run is complete or its `--train.minutes` are over, 1 an error, 75 interrupted
by a signal with all state saved.
"""

import sys

from absl import app, flags

from tfexposure import config_flags, scripts
from tfexposure.errors import Interrupted, UserError

EXIT_INTERRUPTED = 75  # EX_TEMPFAIL of sysexits.h: try again

FLAGS = flags.FLAGS
flags.DEFINE_string("run_dir", None, "Folder of the run.", required=True)
flags.DEFINE_boolean("dry_run", False, "Print the configuration and stop.")
config_flags.define()
flags.adopt_module_key_flags(config_flags)


def main(argv):
    """Trains as the flags say."""
    if len(argv) > 1:
        raise app.UsageError(f"unexpected argument: {argv[1]}")
    try:
        config = config_flags.config_from_flags()
        if FLAGS.dry_run:
            print(config.to_json(), end="")
            return
        from tfexposure.training.backends import open_backend

        # TensorFlow is started quietly before anything else imports it.
        backend = open_backend(config.train)
        from tfexposure.training import loop

        loop.train(config, FLAGS.run_dir, backend)
    except UserError as error:
        sys.exit(f"error: {error}")
    except Interrupted as interruption:
        print(f"interrupted: {interruption}", file=sys.stderr)
        sys.exit(EXIT_INTERRUPTED)


def run():
    """Entry point of `tfexposure-train`."""
    scripts.run(main)


if __name__ == "__main__":
    run()
