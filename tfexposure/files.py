"""Small habits with files that several parts of the package share."""

import os
import tempfile
from pathlib import Path

PHOTO_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
)


def write_atomically(path, content):
    """Writes a whole file beside its place, then renames it into it.

    A reader sees the old file or the new one, never half of one; a program
    stopped on the way leaves the old one.

    Args:
        path: where the file shall be; its folder is made if missing.
        content: `str` (written as UTF-8) or `bytes`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    if isinstance(content, str):
        content = content.encode("utf-8")
    descriptor, beside = tempfile.mkstemp(
        dir=path.parent, prefix=f".{path.name}."
    )
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
        # mkstemp makes private files; a result is for everybody.
        umask = os.umask(0)
        os.umask(umask)
        os.chmod(beside, 0o666 & ~umask)
        os.replace(beside, path)
    except BaseException:
        os.unlink(beside)
        raise


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
