"""Correcting real photos: files in, files out, nothing of them lost."""

import importlib

_PUBLIC = {
    "correct": "tfexposure.photo.api",
    "inspect": "tfexposure.photo.api",
}

__all__ = sorted(_PUBLIC)


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(
            f"module 'tfexposure.photo' has no attribute {name!r}"
        )
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value
