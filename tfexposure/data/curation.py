"""Curation: which photos may serve as examples of good exposure.

The paper drops over- and underexposed photos before it simulates anything
(section 3.5): they would teach the network that burnt-out areas are natural,
and would make the simulated amount of overexposure unknown.

The verdicts go into a manifest (`tfexposure.data.manifest`). Only NumPy and
Pillow are needed here, so that the same code also runs inside workers of a
data pipeline that have no TensorFlow.
"""

import dataclasses
import hashlib
import io
import os
import re
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
from PIL import Image

from tfexposure.data import decodable
from tfexposure.data.manifest import (
    MANIFEST_NAME,
    UNREADABLE,
    VERDICTS,
    Entry,
    kept_photos,
    read_manifest,
)
from tfexposure.data.well_exposed import CURATION, Rules, bright_and_dark
from tfexposure.errors import UserError
from tfexposure.imaging.files import upright_rgb
from tfexposure.storage import list_photos, write_atomically

__all__ = [
    "Entry",
    "Rules",
    "Summary",
    "VERDICTS",
    "curate",
    "judge_photo",
    "kept_photos",
    "read_manifest",
]

# Photos handed to the workers at once: bounds the memory of pending work.
_BATCH = 512


@dataclasses.dataclass(frozen=True)
class Summary:
    """What one curation did.

    Attributes:
        manifest: path of the manifest.
        counts: verdict -> number of photos; every verdict is there.
        unreadable: tuple of (id, reason).
        read: photos decoded by this run.
        reused: photos taken over from an earlier run.
        seconds: wall time.
    """

    manifest: Path
    counts: dict
    unreadable: tuple
    read: int
    reused: int
    seconds: float

    @property
    def total(self):
        """Number of photos in the manifest."""
        return sum(self.counts.values())


def judge_photo(data, id="", rules=None):
    """Judges the exposure of one photo.

    A pure function of its arguments; bad bytes give the verdict `unreadable`
    with the reason, not an exception.

    Args:
        data: `bytes` of a photo file; what training does not decode counts
            as unreadable (`tfexposure.data.decodable`).
        id: name to write into the entry.
        rules: a `Rules`; by default those of the paper's curation.

    Returns:
        An `Entry` with `size` set and `mtime_ns` 0.
    """
    rules = rules or CURATION
    common = {
        "id": id,
        "sha256": hashlib.sha256(data).hexdigest(),
        "bright_level": rules.bright_level,
        "dark_level": rules.dark_level,
        "size": len(data),
    }
    try:
        peak, width, height = _decode_peak(data)
    except Exception as error:  # Pillow's plugins raise nearly anything.
        # Pillow names the stream by its address, which no two runs share.
        text = re.sub(r" <_io\.BytesIO object at 0x[0-9a-f]+>", "", str(error))
        reason = f"{type(error).__name__}: {text}"
        return _unreadable(reason, **common)
    bright, dark = bright_and_dark(peak, rules)
    return Entry(
        verdict=rules.verdict(bright, dark),
        bright_fraction=bright,
        dark_fraction=dark,
        width=width,
        height=height,
        **common,
    )


def curate(
    folder,
    manifest=None,
    rules=None,
    workers=None,
    max_unreadable=100,
    progress=None,
):
    """Judges all photos below a folder and writes the manifest.

    Photos that an earlier run has judged and that are unchanged (size and
    modification time) are not read again, whether that run ended or was
    interrupted: finished entries wait in `<manifest>.partial`. Unreadable
    ones are always tried again.

    Args:
        folder: the photos' folder; sub-folders are searched too.
        manifest: path to write; by default `manifest.jsonl` in `folder`.
        rules: a `Rules`.
        workers: threads; by default one per processor.
        max_unreadable: more unreadable photos than this stop the run.
        progress: called as `progress(done, total)` after each batch.

    Returns:
        A `Summary`.

    Raises:
        UserError: if the folder is missing or holds no photo, the manifest
            cannot be written, or too many photos are unreadable.
    """
    start = time.monotonic()
    folder = Path(folder)
    if not folder.is_dir():
        raise UserError(f"{folder} should be a folder of photos; it is not.")
    ids = list_photos(folder)
    if not ids:
        raise UserError(
            f"{folder} holds no photos (.jpg, .png, .webp, .bmp, .tif)."
        )
    rules = rules or CURATION
    manifest = Path(manifest or folder / MANIFEST_NAME)
    partial = manifest.with_name(manifest.name + ".partial")
    known = _known_entries(manifest, partial)

    entries = {}
    pending = []
    for id in ids:
        entry = _reusable(known.get(id), folder / id, rules)
        if entry:
            entries[id] = entry
        else:
            pending.append(id)
    reused = len(entries)

    unreadable = []
    try:
        manifest.parent.mkdir(parents=True, exist_ok=True)
        with (
            open(partial, "a", encoding="utf-8") as journal,
            ThreadPoolExecutor(workers or os.cpu_count()) as pool,
        ):
            for first in range(0, len(pending), _BATCH):
                batch = pending[first : first + _BATCH]
                judged = pool.map(
                    lambda id: _judge_file(folder / id, id, rules), batch
                )
                for entry in judged:
                    entries[entry.id] = entry
                    journal.write(entry.to_json() + "\n")
                    if entry.verdict == UNREADABLE:
                        unreadable.append((entry.id, entry.error))
                journal.flush()
                _check_unreadable(unreadable, max_unreadable, folder)
                if progress:
                    progress(len(entries), len(ids))
        where = _way_to(folder, manifest.parent)
        lines = [
            dataclasses.replace(entries[id], folder=where).to_json() + "\n"
            for id in ids
        ]
        write_atomically(manifest, "".join(lines))
        partial.unlink()
    except OSError as error:
        raise UserError(
            f"The manifest {manifest} cannot be written "
            f"({error.strerror}). Name another place for it."
        ) from error

    counts = dict.fromkeys(VERDICTS, 0)
    for entry in entries.values():
        counts[entry.verdict] += 1
    return Summary(
        manifest=manifest,
        counts=counts,
        unreadable=tuple(unreadable),
        read=len(pending),
        reused=reused,
        seconds=time.monotonic() - start,
    )


def _decode_peak(data):
    """Returns (largest channel, uint8 (H, W); upright width; height)."""
    with Image.open(io.BytesIO(data)) as image:
        reason = decodable.why_not(image, data[:54])
        if reason:
            raise ValueError(reason)
        peak = np.asarray(upright_rgb(image)).max(axis=-1)
    return peak, peak.shape[1], peak.shape[0]


def _way_to(folder, start):
    """Relative path from one folder to another, empty for the same."""
    way = os.path.relpath(folder.resolve(), start.resolve())
    return "" if way == os.curdir else Path(way).as_posix()


def _unreadable(reason, **common):
    return Entry(
        verdict=UNREADABLE,
        bright_fraction=None,
        dark_fraction=None,
        width=None,
        height=None,
        error=reason,
        **common,
    )


def _judge_file(path, id, rules):
    try:
        # Before reading: a file that changes meanwhile is read again later.
        mtime_ns = path.stat().st_mtime_ns
        data = path.read_bytes()
    except OSError as error:
        return _unreadable(
            f"{type(error).__name__}: {error.strerror}",
            id=id,
            sha256="",
            bright_level=rules.bright_level,
            dark_level=rules.dark_level,
        )
    return dataclasses.replace(judge_photo(data, id, rules), mtime_ns=mtime_ns)


def _known_entries(manifest, partial):
    """Returns id -> entry of earlier runs; the interrupted one is newer."""
    known: dict[str, Entry] = {}
    if manifest.exists():
        known.update((entry.id, entry) for entry in read_manifest(manifest))
    if partial.exists():
        for line in partial.read_text(encoding="utf-8").splitlines():
            try:
                entry = Entry.from_json(line)
            except ValueError:
                break  # The line that was being written.
            known[entry.id] = entry
    return known


def _reusable(entry, path, rules):
    """Returns the entry under today's limits, or None if the file is due."""
    if entry is None or entry.verdict == UNREADABLE:
        return None
    levels = (entry.bright_level, entry.dark_level)
    if levels != (rules.bright_level, rules.dark_level):
        return None
    try:
        status = path.stat()
    except OSError:
        return None
    if (entry.size, entry.mtime_ns) != (status.st_size, status.st_mtime_ns):
        return None
    verdict = rules.verdict(entry.bright_fraction, entry.dark_fraction)
    return dataclasses.replace(entry, verdict=verdict)


def _check_unreadable(unreadable, limit, folder):
    if len(unreadable) <= limit:
        return
    named = "\n".join(f"  {id}: {reason}" for id, reason in unreadable[:10])
    raise UserError(
        f"{len(unreadable)} photos of {folder} are unreadable, more than the "
        f"limit of {limit}. The first of them:\n{named}"
    )
