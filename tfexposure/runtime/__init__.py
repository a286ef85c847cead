"""One way to open and run a model, whatever file it comes in.

Names are imported on first use: most models need no TensorFlow.
"""

import importlib

# Public name -> module that defines it.
_PUBLIC = {
    "KerasModel": "tfexposure.runtime.keras_model",
    "Model": "tfexposure.runtime.model",
    "fold": "tfexposure.runtime.folding",
    "load_generator": "tfexposure.runtime.runs",
    "load_natural": "tfexposure.runtime.runs",
    "load_run": "tfexposure.runtime.runs",
    "make_manifest": "tfexposure.runtime.manifest",
    "open_model": "tfexposure.runtime.opening",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(
            f"module 'tfexposure.runtime' has no attribute {name!r}"
        )
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
