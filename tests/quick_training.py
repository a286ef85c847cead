"""Runs a training script, its graphs as they were traced.

    quick_training.py SCRIPT [FLAG ...]

Optimising a graph takes longer than the few steps of a test. The script as
users start it: tests/test_end_to_end.py.
"""

import runpy
import sys


def trace_quickly():
    """Leaves graphs unoptimised: that takes longer here than running them."""
    import tensorflow as tf

    tf.config.optimizer.set_experimental_options(
        {"disable_meta_optimizer": True}
    )


def main(script):
    """Runs `script` as the main program, with the arguments after it."""
    from tfexposure.training import backends

    open_backend = backends.open_backend

    def open_quickly(train):
        # Starts TensorFlow, quietly.
        backend = open_backend(train)
        trace_quickly()
        return backend

    backends.open_backend = open_quickly
    sys.argv = sys.argv[1:]
    runpy.run_path(script, run_name="__main__")


if __name__ == "__main__":
    main(sys.argv[1])
