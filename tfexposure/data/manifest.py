"""The manifest of curated photos: one JSON object per line, sorted by id."""

import dataclasses
import json
from pathlib import Path

from tfexposure.errors import UserError

MANIFEST_NAME = "manifest.jsonl"

KEEP = "keep"
OVEREXPOSED = "overexposed"
UNDEREXPOSED = "underexposed"
UNREADABLE = "unreadable"
VERDICTS = (KEEP, OVEREXPOSED, UNDEREXPOSED, UNREADABLE)


@dataclasses.dataclass(frozen=True)
class Entry:
    """One photo's line in the manifest.

    Attributes:
        id: path relative to the folder, with `/`.
        verdict: one of `VERDICTS`.
        bright_fraction: pixels at or above `bright_level`, in [0, 1]; None if
            unreadable, as are `dark_fraction`, `width` and `height`.
        dark_fraction: pixels at or below `dark_level`, in [0, 1].
        sha256: of the file's bytes, hexadecimal; empty if not even those
            could be read.
        width: in pixels, of the photo turned upright.
        height: in pixels, of the photo turned upright.
        bright_level: the level that `bright_fraction` was counted with.
        dark_level: the level that `dark_fraction` was counted with.
        size: bytes of the file, and
        mtime_ns: its modification time: both unchanged means that the file
            need not be read again.
        error: why the photo is unreadable; else empty.
        folder: from the manifest's folder to the photos' folder; empty where
            the manifest lies beside the photos.
    """

    id: str
    verdict: str
    bright_fraction: float | None
    dark_fraction: float | None
    sha256: str
    width: int | None
    height: int | None
    bright_level: int
    dark_level: int
    size: int = 0
    mtime_ns: int = 0
    error: str = ""
    folder: str = ""

    def to_json(self):
        """Returns the manifest's line, without line end."""
        return json.dumps(dataclasses.asdict(self))

    @classmethod
    def from_json(cls, line):
        """Reads a manifest's line; ValueError says what is wrong with it."""
        values = json.loads(line)
        if not isinstance(values, dict):
            raise ValueError("expected a JSON object")
        fields = dataclasses.fields(cls)
        unknown = set(values) - {field.name for field in fields}
        missing = {
            field.name
            for field in fields
            if field.default is dataclasses.MISSING
        } - set(values)
        if unknown or missing:
            raise ValueError(
                f"unknown keys {sorted(unknown)}, missing {sorted(missing)}"
            )
        if values["verdict"] not in VERDICTS:
            raise ValueError(f"unknown verdict {values['verdict']!r}")
        for name in ("id", "folder"):
            if not isinstance(values.get(name, ""), str):
                raise ValueError(f"{name} is no text: {values[name]!r}")
        return cls(**values)


def read_manifest(path):
    """Reads a manifest.

    Args:
        path: the file that `curate` wrote.

    Returns:
        A list of `Entry`, in the file's order; `verdict == "keep"` marks the
        photos to use.

    Raises:
        UserError: if the file is missing, or a line is not an entry.
    """
    try:
        lines = Path(path).read_text(encoding="utf-8").splitlines()
    except OSError as error:
        raise UserError(
            f"The manifest {path} cannot be read ({error.strerror}). "
            "trainers/curate.py writes one."
        ) from error
    entries = []
    for number, line in enumerate(lines, start=1):
        try:
            entries.append(Entry.from_json(line))
        except ValueError as error:
            raise UserError(
                f"{path}, line {number}, is not a manifest entry: {error}"
            ) from error
    return entries


def kept_photos(manifest):
    """Lists the photos of a manifest that are well exposed.

    Args:
        manifest: the file that `curate` wrote.

    Returns:
        A list of (id, `Path`), in the file's order.

    Raises:
        UserError: as for `read_manifest`, or if no photo was kept.
    """
    here = Path(manifest).parent
    kept = [
        (entry.id, here / entry.folder / entry.id)
        for entry in read_manifest(manifest)
        if entry.verdict == KEEP
    ]
    if not kept:
        raise UserError(
            f"{manifest} keeps no photo: all are over- or underexposed, or "
            "unreadable. trainers/curate.py has flags for the limits."
        )
    return kept
