"""SavedModels for TensorFlow Serving, `hub.load` and `tfexposure correct`."""

import os
import shutil
from pathlib import Path

import tensorflow as tf

from tfexposure.errors import UserError
from tfexposure.runtime.keras_model import KerasModel
from tfexposure.runtime.manifest import add_manifest, make_manifest
from tfexposure.serving.graph_signatures import (
    MAX_SIDE,
    correcting_signatures,
    tiled_signatures,
)
from tfexposure.serving.warmup import write_warmup
from tfexposure.storage import to_json

MAX_PIXELS = 100_000_000
TILE = 1024


def export_saved_model(
    generator,
    base,
    version: int,
    run=None,
    max_pixels: int = MAX_PIXELS,
    tile: int = TILE,
    warmup_photos=None,
) -> Path:
    """Writes `<base>/<version>/`, whole or not at all.

    The graph is folded and stateless. Signatures, all for pictures of any
    size from 1 x 1 to `max_pixels`:

    - `serving_default`: `image` float32 (N, H, W, 3) in [0, 1] -> `restored`.
    - `serving_uint8`: the same in 8 bits.
    - `serving_bytes`: `image_bytes` string (N,), JPEG or PNG, of different
      sizes -> `restored_bytes`, each encoded as it came.
    - `describe`: nothing -> `manifest`, JSON.

    A `BlindRestorer` answers all that `tfexposure correct` does, judgement
    included: see `graph_correct.correct_whole` for what it tells beside the
    answer, and `correcting_signatures` for its further signatures. Other
    networks restore every photo.

    Args:
        generator: the network; see `KerasModel`.
        base: folder of the versions.
        version: int >= 0; a server takes the highest. One that is there
            already is replaced.
        run: `LoadedRun` for the manifest.
        max_pixels: int, height times width (times N, where all are of one
            size) above which a request is refused.
        tile: int, side in pixels of the tiles in which large photos are
            worked on.
        warmup_photos: folder of photos for `write_warmup`, or None.

    Returns:
        Path of `<base>/<version>`.

    Raises:
        UserError: if it cannot be written.
        ValueError: for a version, `max_pixels` or `tile` out of range.
    """
    for name, value, low in (
        ("version", version, 0),
        ("max_pixels", max_pixels, 1),
        ("tile", tile, 1),
    ):
        if value < low:
            raise ValueError(
                f"`{name}` should be at least {low}. Received: {value}"
            )
    model = KerasModel(generator)
    if model.grid_spec:
        signatures = correcting_signatures(model, max_pixels)
    else:
        signatures = tiled_signatures(model, max_pixels, tile)
    manifest = make_manifest(
        model,
        run,
        format="SavedModel",
        signatures=[*signatures, "describe"],
        max_pixels=max_pixels,
        max_side=MAX_SIDE,
        tile=None if model.grid_spec else tile,
    )
    text = to_json(manifest)
    signatures["describe"] = tf.function(
        lambda: {"manifest": tf.constant(text)}, []
    )
    module = _Module(model, signatures)
    target = Path(base, str(version))
    temporary = target.with_name(f".{version}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        tf.saved_model.save(
            module,
            str(temporary),
            signatures=signatures,
        )
        add_manifest(temporary, text)
        if warmup_photos is not None:
            write_warmup(temporary, warmup_photos)
        _replace(temporary, target)
    except (OSError, tf.errors.OpError) as error:
        raise UserError(f"could not write {target}: {error}") from error
    finally:
        shutil.rmtree(temporary, ignore_errors=True)
    return target


def _replace(source, target):
    """Renames a folder; one that is in its place goes."""
    if target.exists():
        # A folder cannot be renamed onto a full one.
        old = source.with_suffix(".old")
        target.rename(old)
        source.rename(target)
        shutil.rmtree(old)
    else:
        source.rename(target)


class _Module(tf.Module):
    """The signatures; tracks plain variables and no Keras object."""

    def __init__(self, model: KerasModel, signatures):
        super().__init__()
        self.parameters = model.graph.variables
        for name, function in signatures.items():
            setattr(self, name, function)
