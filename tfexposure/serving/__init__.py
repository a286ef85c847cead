"""From a trained run to files that production can trust.

Names are imported on first use: the client of a server needs no TensorFlow.
"""

from tfexposure.lazy import public_names

__all__, __getattr__, __dir__ = public_names(
    __name__,
    {
        "export_saved_model": "tfexposure.serving.saved_model",
        "convert_to_tflite": "tfexposure.serving.tflite",
        "write_tflite": "tfexposure.serving.tflite",
    },
)
