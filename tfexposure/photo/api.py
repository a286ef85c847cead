"""`tfexposure.correct(x)` and `tfexposure.inspect(x)` for Python programs."""

import functools
import os
import pathlib

import numpy as np

from tfexposure.photo import batch, jobs
from tfexposure.photo.correcting import (
    Settings,
    correct_photo,
    judge_photo,
)
from tfexposure.photo.io import orientation
from tfexposure.photo.io.decode import read_photo
from tfexposure.photo.io.photo import Photo
from tfexposure.photo.io.pixel_buffer import PixelBuffer
from tfexposure.runtime.opening import open_model

_IMAGE_MODES = ("L", "LA", "RGB", "RGBA", "I;16")


def correct(
    photo,
    output=None,
    *,
    model=None,
    strength=1.0,
    ev=0.0,
    highlights_only=False,
    force=False,
    tile=None,
    stops=None,
):
    """Gives an overexposed photo its natural exposure back.

    Args:
        photo: a path (str or `os.PathLike`), a PIL image, or an array of
            uint8, uint16 or float in [0, 1], shaped (H, W), (H, W, 1) or
            (H, W, C) with C 2 to 4: grey or RGB, then alpha.
        output: for a path, the file to write; `None` writes
            `<name>_corrected` beside it. An existing file is replaced, the
            photo itself never.
        model: SavedModel folder, `.tflite` file, folder of ONNX files, run
            folder or an opened `Model`, which saves loading it for each
            photo; `None` for the natural model that ships with tfexposure.
        strength: 0 (the input's own pixels) to 1.
        ev: stops of light added to the answer.
        highlights_only: change clipped regions and a soft border alone.
        force: correct what would be left alone, too.
        tile: side of tiles in pixels, 0 for none, `None` for automatic.
        stops: how far the photo is overexposed, 0 to 5; `None` lets the model
            judge.

    Returns:
        the type given: the path written to, a PIL image of the same mode, or
        an array of the same shape and dtype. The input is left as it is.

    Raises:
        UserError: for a file or model that cannot be used.
        ValueError: for an argument out of range or of the wrong kind.
    """
    settings = Settings(strength, ev, highlights_only, force, tile, stops)
    model = functools.partial(open_model, model)
    if isinstance(photo, (str, os.PathLike)):
        return _correct_file(photo, output, model, settings)
    if output is not None:
        raise ValueError("output is for paths; this photo is in memory")
    source = _photo_in_memory(photo)
    correction = correct_photo(source, model, settings)
    if isinstance(photo, np.ndarray):
        answer = correction.pixels.array().reshape(photo.shape)
        if not correction.changed:
            return photo.copy()
        return answer.astype(photo.dtype)
    return _as_image(correction.pixels.array(), photo, source.orientation)


def inspect(photo, *, model=None):
    """Says how a photo is exposed.

    Args:
        photo: as for `correct`.
        model: as for `correct`; it judges the shift.

    Returns:
        an `inspection.Inspection`: clipped shares, estimated shift, verdict.

    Raises:
        UserError: for a file or model that cannot be used.
    """
    if isinstance(photo, (str, os.PathLike)):
        source = read_photo(photo)
    else:
        source = _photo_in_memory(photo)
    return judge_photo(source, open_model(model))


def _correct_file(path, output, model, settings):
    source = pathlib.Path(path)
    if output is None:
        target = jobs.default_target(source, batch.Output())
    else:
        target = pathlib.Path(output)
        if target.exists() and source.exists() and target.samefile(source):
            raise ValueError(f"output should not be the photo itself: {path}")
    jobs.check_source(source)
    how = jobs.kind_of_target(target, batch.Output())
    photo = read_photo(source)
    correction = correct_photo(photo, model, settings)
    batch.write_correction(photo, correction, target, how)
    return str(target) if isinstance(path, str) else type(path)(target)


def _photo_in_memory(photo):
    if isinstance(photo, np.ndarray):
        return Photo(
            "array", PixelBuffer.of_array(_checked_array(photo)), "png"
        )
    if not hasattr(photo, "getexif"):
        raise ValueError(
            "photo should be a path, a PIL image or a NumPy array. Received: "
            f"{type(photo).__name__}"
        )
    if photo.mode not in _IMAGE_MODES:
        raise ValueError(
            f"an image of mode {photo.mode} should be converted first, to one "
            f"of {', '.join(_IMAGE_MODES)}"
        )
    turned = photo.getexif().get(0x0112, 1)
    turned = turned if turned in range(1, 9) else 1
    pixels = np.asarray(photo)
    pixels = pixels.reshape(*pixels.shape[:2], -1)
    upright = np.ascontiguousarray(orientation.orient(pixels, turned))
    return Photo(
        "image",
        PixelBuffer.of_array(upright),
        "png",
        orientation=turned,
        icc=photo.info.get("icc_profile"),
    )


def _checked_array(array):
    shape = array.shape
    fits = len(shape) == 2 or (len(shape) == 3 and 1 <= shape[2] <= 4)
    if not fits or 0 in shape:
        raise ValueError(
            "photo should have the shape (H, W) or (H, W, C) with C 1 to 4. "
            f"Received: {shape}"
        )
    array = array.reshape(*shape[:2], -1)
    if array.dtype.newbyteorder("=") in (np.uint8, np.uint16):
        return array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.dtype.kind != "f":
        raise ValueError(
            "photo should be uint8, uint16 or floating point. Received: "
            f"{array.dtype}"
        )
    low, high = array.min(), array.max()
    if not (low >= 0 and high <= 1):
        raise ValueError(
            "photo in floating point should lie in [0, 1]. Received values "
            f"from {low} to {high}"
        )
    return array.astype(np.float32)


def _as_image(pixels, like, turned):
    from PIL import Image

    stored = orientation.orient(pixels, orientation.inverse(turned))
    if stored.shape[2] == 1:
        stored = stored[..., 0]
    image = Image.fromarray(np.ascontiguousarray(stored))
    image.info = dict(like.info)
    exif = like.getexif()
    if len(exif) and "exif" not in image.info:
        image.info["exif"] = exif.tobytes()
    return image
