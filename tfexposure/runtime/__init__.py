"""One way to open and run a model, whatever file it comes in.

Names are imported on first use: most models need no TensorFlow.
"""

from tfexposure.lazy import public_names

__all__, __getattr__, __dir__ = public_names(
    __name__,
    {
        "KerasModel": "tfexposure.runtime.keras_model",
        "Model": "tfexposure.runtime.model",
        "fold": "tfexposure.runtime.folding",
        "load_generator": "tfexposure.runtime.runs",
        "load_natural": "tfexposure.runtime.runs",
        "load_shipped": "tfexposure.runtime.runs",
        "load_run": "tfexposure.runtime.runs",
        "make_manifest": "tfexposure.runtime.manifest",
        "open_model": "tfexposure.runtime.opening",
    },
)
