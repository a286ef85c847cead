"""Starts the scripts of `trainers` and `export`."""

import sys

from absl import app, flags


def run(main):
    """Runs a script's `main` as absl does, however the script was started.

    Started as an installed program, the main module is a wrapper without
    docstring and flags; `--help` shows those of the script all the same.

    Args:
        main: function of the arguments that are no flags.
    """
    script = sys.modules[main.__module__]
    sys.modules["__main__"].__doc__ = script.__doc__
    for flag in flags.FLAGS.get_key_flags_for_module(script):
        flags.FLAGS.register_key_flag_for_module(sys.argv[0], flag)
    app.run(main)
