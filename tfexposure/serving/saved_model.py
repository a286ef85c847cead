"""SavedModels for TensorFlow Serving, `hub.load` and `tfexposure correct`."""

import os
import shutil
from pathlib import Path

import tensorflow as tf

from tfexposure.errors import UserError
from tfexposure.runtime.graph_tiles import restore_whole
from tfexposure.runtime.keras_model import KerasModel
from tfexposure.runtime.manifest import add_manifest, make_manifest
from tfexposure.serving import image_codec
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
    - `serving_tile`, only if the network looks at the whole photo first:
      `image`, a part of it, and `thumbnail` -> `restored`.
    - `describe`: nothing -> `manifest`, JSON.

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
    signatures = ["serving_default", "serving_uint8", "serving_bytes"]
    signatures += ["serving_tile"] if model.thumbnail else []
    manifest = make_manifest(
        model,
        run,
        format="SavedModel",
        signatures=[*signatures, "describe"],
        max_pixels=max_pixels,
        tile=tile,
    )
    text = to_json(manifest)
    module = _Module(model, text, max_pixels, tile)
    target = Path(base, str(version))
    temporary = target.with_name(f".{version}.{os.getpid()}.tmp")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        tf.saved_model.save(
            module,
            str(temporary),
            signatures={
                name: getattr(module, name) for name in manifest["signatures"]
            },
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

    def __init__(self, model: KerasModel, manifest, max_pixels, tile):
        super().__init__()
        self.parameters = model.graph.variables

        def whole(image):
            image = _checked(image, max_pixels)
            return {"restored": restore_whole(model, image, tile)}

        def of_bytes(image_bytes):
            def one(index):
                contents = image_bytes[index]
                image = image_codec.decode(contents, index, max_pixels)
                restored = restore_whole(model, image[None], tile)[0]
                return image_codec.encode(restored, contents)

            count = tf.size(image_bytes)
            with tf.control_dependencies(
                [tf.debugging.Assert(count > 0, ["image_bytes is empty"])]
            ):
                restored = tf.map_fn(
                    one,
                    tf.range(count),
                    fn_output_signature=tf.string,
                    # One photo at a time bounds the memory.
                    parallel_iterations=1,
                )
            return {"restored_bytes": restored}

        def of_tile(image, thumbnail):
            image = _checked(image, max_pixels)
            return {"restored": model.graph.restore_tile(image, thumbnail)}

        def spec(dtype, name, shape=(None, None, 3)):
            return tf.TensorSpec((None, *shape), dtype, name)

        floats = spec(tf.float32, "image")
        self.serving_default = tf.function(whole, [floats])
        self.serving_uint8 = tf.function(whole, [spec(tf.uint8, "image")])
        self.serving_bytes = tf.function(
            of_bytes, [tf.TensorSpec((None,), tf.string, "image_bytes")]
        )
        if model.thumbnail:
            small = spec(tf.float32, "thumbnail", model.thumbnail_shape)
            self.serving_tile = tf.function(of_tile, [floats, small])
        self.describe = tf.function(
            lambda: {"manifest": tf.constant(manifest)}, []
        )


def _checked(image, max_pixels):
    """Refuses, in the graph, what the network cannot work on.

    A server feeds whatever shape the request names. The declared shape is
    hidden first: the optimiser would take it for granted and drop the checks.
    """
    declared = image.shape
    image = tf.raw_ops.PlaceholderWithDefault(
        input=image, shape=tf.TensorShape(None)
    )
    shape = tf.shape(image)
    values = tf.reduce_prod(tf.cast(shape, tf.int64))
    fits = tf.equal(tf.rank(image), 4) & tf.reduce_all(shape[-1:] == 3)
    expected = "image: expected (N, H, W, 3), not empty; received"
    with tf.control_dependencies(
        [
            tf.debugging.Assert(fits & (values > 0), [expected, shape]),
            tf.debugging.Assert(
                values <= 3 * max_pixels,
                [f"image: more than {max_pixels} pixels:", values // 3],
            ),
        ]
    ):
        return tf.ensure_shape(image, declared)
