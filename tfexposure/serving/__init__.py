"""From a trained run to files that production can trust.

Names are imported on first use: the client of a server needs no TensorFlow.
"""

import importlib

# Public name -> module that defines it.
_PUBLIC = {
    "export_saved_model": "tfexposure.serving.saved_model",
    "convert_to_tflite": "tfexposure.serving.tflite",
    "write_tflite": "tfexposure.serving.tflite",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(
            f"module 'tfexposure.serving' has no attribute {name!r}"
        )
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
