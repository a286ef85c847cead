"""Fixtures shared by all tests."""

import atexit
import os
import shutil
import tempfile
from pathlib import Path

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "2")
# XLA, of JAX and of TensorFlow, takes far longer to optimise a program than the
# tests take to run it. Set here, before the first of both is imported.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 "
    "--xla_llvm_disable_expensive_passes=true",
)
# JAX compiles every operation for every shape: once in this run of the suite,
# for its other processes, too.
if "JAX_COMPILATION_CACHE_DIR" not in os.environ:
    _compiled = tempfile.mkdtemp(prefix="tfexposure-jax-")
    atexit.register(shutil.rmtree, _compiled, ignore_errors=True)
    os.environ |= {
        "JAX_COMPILATION_CACHE_DIR": _compiled,
        "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
        "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
    }

import pytest

ROOT = Path(__file__).resolve().parents[1]

# Seconds after which one wait of a test counts as a hang, whatever else the
# machine does; a whole test may take three such waits.
HANG = 900 * float(os.environ.get("TFEXPOSURE_TEST_TIMEOUT_SCALE", 1))


@pytest.fixture(scope="session")
def repository():
    """The top folder of the checkout."""
    return ROOT


@pytest.fixture(scope="session")
def shared():
    """The folder of photos and weights beside the checkout.

    `TFEXPOSURE_SHARED` names it where it lies elsewhere.
    """
    folder = Path(os.environ.get("TFEXPOSURE_SHARED", ROOT.parent / "shared"))
    if not (folder / "photos").is_dir():
        pytest.skip(f"the shared photos and weights are not at {folder}")
    return folder


def pytest_collection_modifyitems(items):
    for item in items:
        item.add_marker(pytest.mark.timeout(3 * HANG))
    if os.environ.get("KERAS_BACKEND", "tensorflow") == "tensorflow":
        return
    skip = pytest.mark.skip(reason="for the TensorFlow backend of Keras")
    for item in items:
        if "tf_only" in item.keywords:
            item.add_marker(skip)
