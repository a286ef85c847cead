"""Finding photos in folders."""

import os
from pathlib import Path

PHOTO_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
)


def list_photos(folder):
    """Returns the photos below a folder, sorted by their relative path.

    Photos are told by their suffix (`PHOTO_SUFFIXES`, any case). Hidden files
    and hidden folders are left out.

    Args:
        folder: the folder to search, with its sub-folders.

    Returns:
        A list of relative POSIX paths, as `str`.
    """
    found = []
    for here, folders, names in os.walk(folder):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            if (
                not name.startswith(".")
                and Path(name).suffix.lower() in PHOTO_SUFFIXES
            ):
                found.append(Path(here, name).relative_to(folder).as_posix())
    return sorted(found)
