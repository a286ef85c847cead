"""Package metadata; `pyproject.toml` only configures tools."""

import re
from pathlib import Path

from setuptools import find_packages, setup

ROOT = Path(__file__).parent
VERSION = re.search(
    r'^__version__ = "(.+)"$',
    (ROOT / "tfexposure" / "__init__.py").read_text(encoding="utf-8"),
    re.MULTILINE,
).group(1)

HEIC = ["pillow-heif>=1"]
SERVING = ["grpcio>=1.60", "requests>=2.31"]
LITE = ["ai-edge-litert>=2.1"]
# Running needs the first alone, exporting all three and TensorFlow.
ONNX = ["onnxruntime>=1.20", "onnx>=1.16", "tf2onnx>=1.17"]
# Starlette reads forms by python-multipart.
SERVER = [
    "prometheus-client>=0.20",
    "python-multipart>=0.0.18",
    "starlette>=1",
    "uvicorn>=0.34",
]
DATA = ["tensorflow-datasets>=4.9.7"]
JAX = ["jax>=0.6"]
# 12-bit AVIF, the photos with light above white that training takes.
LIGHT = ["imagecodecs>=2024.9"]
DEV = [
    "hypothesis>=6",
    "mypy>=1.18",
    # The reference for 16-bit PNG; tifffile comes with scikit-image.
    "pypng>=0.20220715",
    "pytest>=8",
    "pytest-timeout>=2.3",
    "pytest-xdist>=3.6",
    "ruff>=0.9,<1",
    "scikit-image>=0.24",
]
# `tf.summary` is a thin layer over this package.
TENSORBOARD = ["tensorboard>=2.19"]

setup(
    name="tfexposure",
    version=VERSION,
    description="Gives an overexposed photo its natural exposure back.",
    long_description=(ROOT / "README.md").read_text(encoding="utf-8"),
    long_description_content_type="text/markdown",
    license="Apache-2.0",
    python_requires=">=3.11",
    # `trainers/` and `export/` live at the top of the repository but install
    # inside the package: site-packages gains `tfexposure` alone.
    packages=find_packages(include=["tfexposure", "tfexposure.*"])
    + ["tfexposure.trainers", "tfexposure.export"],
    package_dir={
        "tfexposure.trainers": "trainers",
        "tfexposure.export": "export",
    },
    package_data={
        "tfexposure.pretrained": ["*.json", "*.npz", "*.tflite"],
        # Built by `make web`; a wheel of a checkout without it has no page.
        "tfexposure.web": ["page/*", "page/*/*"],
    },
    install_requires=[
        "absl-py>=2",
        "keras>=3.12",
        "numpy>=2",
        "pillow>=11.3",
    ],
    extras_require={
        # TensorFlow comes in two builds that overwrite each other's files, so
        # the choice is the user's: BUILD_NOTES.md, "Which TensorFlow".
        "cpu": ["tensorflow-cpu>=2.21", *TENSORBOARD],
        "tensorflow": ["tensorflow>=2.21", *TENSORBOARD],
        "gpu": ["tensorflow[and-cuda]>=2.21", *TENSORBOARD],
        "jax": JAX,
        "heic": HEIC,
        "lite": LITE,
        "onnx": ONNX,
        "data": DATA,
        "light": LIGHT,
        # Needs no TensorFlow, and pins Pillow below 13: an environment apart.
        "beam": ["apache-beam>=2.60", "google-crc32c>=1.5"],
        # For gRPC also tensorflow-serving-api, by hand and with --no-deps: it
        # asks for the package `tensorflow`; see docs/serving.md.
        "serving": SERVING,
        "server": SERVER,
        # tensorflow-hub imports pkg_resources, which setuptools 82 dropped;
        # through tf-keras it also brings the package `tensorflow`.
        "hub": ["tensorflow-hub>=0.16.1", "setuptools<82"],
        "dev": DEV + HEIC + LIGHT + LITE + ONNX + SERVING + SERVER,
    },
    entry_points={
        "console_scripts": [
            "tfexposure=tfexposure.cli:run",
            "tfexposure-train=tfexposure.trainers.train_gan:run",
            "tfexposure-evaluate=tfexposure.trainers.evaluate:run",
            "tfexposure-curate=tfexposure.trainers.curate:run",
            "tfexposure-reproduce=tfexposure.trainers.reproduce:run",
            "tfexposure-export-saved-model="
            "tfexposure.export.export_saved_model:run",
            "tfexposure-export-tflite=tfexposure.export.export_tflite:run",
            "tfexposure-export-onnx=tfexposure.export.export_onnx:run",
        ]
    },
    classifiers=[
        "Programming Language :: Python :: 3",
        "Topic :: Multimedia :: Graphics",
        "Topic :: Scientific/Engineering :: Image Processing",
    ],
)
