"""Where photos come from: folders, manifests of `curate`, TFDS names."""

import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from absl import logging
from PIL import Image

from tfexposure.data.manifest import kept_photos
from tfexposure.errors import UserError
from tfexposure.files import list_photos

# Photos that `tf.io.decode_image` cannot read.
_NOT_FOR_TENSORFLOW = (".tif", ".tiff")


def photo_files(source, max_unreadable=10):
    """Lists the readable photos of a folder or manifest, sorted by path.

    A manifest's verdicts are trusted: only photos it says to keep are listed.
    In a folder every photo is decoded once, in parallel.

    Args:
        source: path of a folder, searched recursively, or of a manifest.
        max_unreadable: int, more unreadable photos than this are an error.

    Returns:
        Sorted list of paths (str).

    Raises:
        UserError: if there is no such source, it holds no photo, or too many
            are unreadable; the message names them.
    """
    path = Path(source)
    if path.is_file():
        files = [str(file) for _, file in kept_photos(path)]
    elif path.is_dir():
        found = [str(path / name) for name in list_photos(path)]
        files = _readable(found, max_unreadable)
    else:
        raise UserError(
            f"data source {source!r} is neither a folder, a manifest, nor "
            "tfds:<name>"
        )
    files = [
        file for file in files if not file.lower().endswith(_NOT_FOR_TENSORFLOW)
    ]
    if not files:
        raise UserError(f"{source} holds no photo to train on")
    return sorted(files)


def _readable(files, limit):
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        reasons = list(pool.map(_why_unreadable, files))
    bad = [
        f"{file}: {why}"
        for file, why in zip(files, reasons, strict=True)
        if why
    ]
    for line in bad:
        logging.warning("skipped, unreadable: %s", line)
    if len(bad) > limit:
        raise UserError(
            f"{len(bad)} of {len(files)} photos are unreadable, more than "
            f"data.max_unreadable={limit}:\n" + "\n".join(bad[:20])
        )
    if bad:
        logging.warning(
            "%d of %d photos are unreadable and skipped", len(bad), len(files)
        )
    return [file for file, why in zip(files, reasons, strict=True) if not why]


def _why_unreadable(file):
    try:
        with Image.open(file) as image:
            # A JPEG is decoded at an eighth of its size: truncation shows
            # all the same.
            image.draft("RGB", (image.width // 8, image.height // 8))
            image.load()
    except Exception as error:  # Pillow's plugins raise of every kind
        return str(error) or type(error).__name__
    return None
