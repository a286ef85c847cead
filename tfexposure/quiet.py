"""Keeps TensorFlow's start-up chatter off the terminal."""

import contextlib
import os
import sys
import tempfile

from absl import flags, logging

from tfexposure.errors import import_extra


@contextlib.contextmanager
def quiet_tensorflow():
    """Holds back what native code writes to stderr, unless it fails.

    TensorFlow's libraries report missing GPUs and instruction sets on every
    start, before any log level counts. If the body raises, what was held back
    is printed after all.
    """
    os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
    try:
        stderr = sys.stderr.fileno()
    except (AttributeError, OSError, ValueError):
        # Captured by a notebook or a test: nothing native to hold back.
        yield
        return
    sys.stderr.flush()
    saved = os.dup(stderr)
    with tempfile.TemporaryFile() as held:
        os.dup2(held.fileno(), stderr)
        try:
            yield
        except BaseException:
            os.dup2(saved, stderr)
            held.seek(0)
            os.write(stderr, held.read())
            raise
        finally:
            sys.stderr.flush()
            os.dup2(saved, stderr)
            os.close(saved)


def import_tensorflow(start=True):
    """Imports TensorFlow quietly and returns it.

    Args:
        start: bool, whether to start its runtime too; False where devices
            are still to be configured.

    Raises:
        UserError: if it is not installed.
    """
    with quiet_tensorflow():
        tensorflow = import_extra("tensorflow", "cpu")
        if start:
            tensorflow.constant(0)
    # What TensorFlow tells at the level of INFO is meant for its makers.
    if not flags.FLAGS["verbosity"].present:
        logging.set_verbosity(logging.WARNING)
    return tensorflow
