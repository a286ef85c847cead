"""Gives an overexposed photo its natural exposure back.

Everything here is imported on first use: `import tfexposure` alone loads
neither Keras nor a backend.
"""

import importlib

__version__ = "0.1.0"

# Public name -> module that defines it.
_PUBLIC = {
    "Config": "tfexposure.config",
    "GammaResponse": "tfexposure.imaging.transfer_curves",
    "NoiseInjection": "tfexposure.layers",
    "PatchDiscriminator": "tfexposure.paper.discriminator",
    "RunDir": "tfexposure.config",
    "SpectralNormalization": "tfexposure.layers",
    "UNetGenerator": "tfexposure.paper.generator",
    "correct": "tfexposure.photo",
    "inspect": "tfexposure.photo",
    "invert": "tfexposure.imaging.exposure",
    "load_pretrained": "tfexposure.pretrained",
    "overexpose": "tfexposure.imaging.exposure",
}

__all__ = ["__version__", *sorted(_PUBLIC)]


def __getattr__(name):
    if name not in _PUBLIC:
        raise AttributeError(f"module 'tfexposure' has no attribute {name!r}")
    value = getattr(importlib.import_module(_PUBLIC[name]), name)
    globals()[name] = value
    return value


def __dir__():
    return __all__
