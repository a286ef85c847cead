"""Files: whole or not at all, strict JSON, photos in folders; the checkout."""

import json
import math
import numbers
import os
import subprocess
import uuid
from pathlib import Path

from tfexposure.errors import UserError

PHOTO_SUFFIXES = frozenset(
    (".jpg", ".jpeg", ".png", ".webp", ".bmp", ".tif", ".tiff")
)


_TEMPORARY = ".tfexposure-*.tmp"


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


def shown(name):
    """A file name as text that can be encoded; odd bytes as \\xNN."""
    return os.fsencode(name).decode("utf-8", "backslashreplace")


def write_atomically(path, content):
    """Writes text or bytes beside `path`, then renames: never half a file."""
    path = Path(path)
    if isinstance(content, str):
        content = content.encode("utf-8")
    temporary = path.with_name(_TEMPORARY.replace("*", uuid.uuid4().hex))
    try:
        with open(temporary, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def remove_half_written(folder):
    """Removes what `write_atomically` left where its process was killed.

    Nobody else may be writing to the folder.
    """
    for temporary in Path(folder).glob(_TEMPORARY):
        temporary.unlink()


def read_json(path, remedy):
    """Reads a file that holds one JSON object.

    Args:
        path: of the file.
        remedy: what to do about a damaged one, in words.

    Returns:
        dict.

    Raises:
        FileNotFoundError: if there is none.
        UserError: if it is torn, or holds something else.
    """
    try:
        values = json.loads(Path(path).read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"{path} is damaged ({error}); {remedy}") from error
    if not isinstance(values, dict):
        raise UserError(f"{path} holds no JSON object; {remedy}")
    return values


def to_json(values, indent=2):
    """Returns strict JSON text: NaN and infinity become null.

    Args:
        values: nested dicts, lists and plain values; numbers of NumPy too.
        indent: int, spaces a level.
    """
    return json.dumps(_finite(values), indent=indent, allow_nan=False) + "\n"


def _finite(value):
    if isinstance(value, dict):
        return {key: _finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_finite(item) for item in value]
    if isinstance(value, numbers.Real) and not isinstance(
        value, numbers.Integral
    ):
        return float(value) if math.isfinite(value) else None
    return value


def commit():
    """Returns the commit of the checkout this runs from, or None."""
    root = Path(__file__).resolve().parents[1]
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
