"""What an exported file says about itself."""

import json
import subprocess
from pathlib import Path

import keras
import tensorflow as tf

import tfexposure

FILE_NAME = "manifest.json"


def make_manifest(network, run=None, **more) -> dict:
    """Describes an export: how it was made and how it is to be used.

    Args:
        network: `Network` that is exported.
        run: `LoadedRun` it comes from, if any.
        **more: further entries, such as the signatures.

    Returns:
        dict of plain values: `config`, `step` and `weights` of the run (None
        without one), `versions`, `commit` (None if unknown), `halo` and
        `stride` in pixels, `exact_tiles` (False if tiles only nearly join;
        `halo` is then 0), `thumbnail` (side in pixels, or None).
    """
    return {
        "made_by": "tfexposure",
        "config": run.config if run else None,
        "step": run.step if run else None,
        "weights": run.weights if run else None,
        "versions": {
            "tfexposure": tfexposure.__version__,
            "tensorflow": tf.__version__,
            "keras": keras.__version__,
        },
        "commit": _commit(),
        "halo": network.halo or 0,
        "stride": network.stride,
        "exact_tiles": network.halo is not None,
        "thumbnail": network.thumbnail and network.thumbnail[0],
        "values": "float32, RGB, sRGB-encoded, in [0, 1]",
        **network.notes,
        **more,
    }


def to_json(manifest) -> str:
    """Returns the manifest's text."""
    return json.dumps(manifest, indent=2) + "\n"


def _commit():
    """Returns the commit of the checkout this runs from, or None."""
    root = Path(tfexposure.__file__).resolve().parents[1]
    if not (root / ".git").exists():
        return None
    try:
        return subprocess.run(
            ["git", "describe", "--always", "--dirty", "--abbrev=40"],
            cwd=root,
            capture_output=True,
            text=True,
            timeout=10,
            check=True,
        ).stdout.strip()
    except (OSError, subprocess.SubprocessError):
        return None
