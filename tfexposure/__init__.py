"""Gives an overexposed photo its natural exposure back.

Everything here is imported on first use: `import tfexposure` alone loads
neither Keras nor a backend.
"""

from tfexposure.lazy import public_names

__version__ = "0.1.0"

__all__, __getattr__, __dir__ = public_names(
    __name__,
    {
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
    },
)
__all__.append("__version__")
