"""Opens the backend that Keras runs on.

A backend is `step_tensorflow.TensorFlowBackend` or `step_jax.JaxBackend`; the
loop knows no more of it than what both have: `name`, `replicas`, `chief`,
`errors`, and the methods with docstrings there.
"""

import os

from tfexposure import quiet
from tfexposure.errors import UserError, import_extra


def open_backend(train):
    """Starts the backend on the devices at hand.

    Args:
        train: `TrainConfig`.

    Raises:
        UserError: if Keras runs on another backend, it is not installed, or
            the machine lacks a GPU that `train.devices` names.
    """
    name = os.environ.get("KERAS_BACKEND") or "tensorflow"
    if name == "jax":
        import_extra("jax", "jax")
        from tfexposure.training.step_jax import JaxBackend, find_devices

        return JaxBackend(find_devices(train.devices))
    if name != "tensorflow":
        raise UserError(
            f"KERAS_BACKEND={name}: training runs on tensorflow and jax"
        )
    quiet.import_tensorflow(start=False)
    from tfexposure.training import strategies
    from tfexposure.training.step_tensorflow import TensorFlowBackend

    with quiet.quiet_tensorflow():
        strategies.prepare(train)
        strategy = strategies.strategy()
        quiet.import_tensorflow()
    return TensorFlowBackend(strategy)
