"""Correcting real photos: files in, files out, nothing of them lost."""

from tfexposure.lazy import public_names

__all__, __getattr__, __dir__ = public_names(
    __name__,
    {
        "correct": "tfexposure.photo.api",
        "inspect": "tfexposure.photo.api",
    },
)
