"""Where photos come from: folders, manifests, TFRecords, TensorFlow Datasets.

Every kind offers the same: `source`, `count`, `fingerprint()`, `encoded()` and
`names()`. `open_photos` picks the kind.
"""

import bisect
import hashlib
import io
import os
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import tensorflow as tf
from absl import logging
from PIL import Image

from tfexposure.data import decodable
from tfexposure.data.manifest import kept_photos
from tfexposure.data.records import PREFIX as RECORDS_PREFIX
from tfexposure.data.records import RecordPhotos
from tfexposure.data.tfds import PREFIX as TFDS_PREFIX
from tfexposure.data.tfds import TfdsPhotos
from tfexposure.errors import UserError
from tfexposure.storage import list_photos, shown

_NAMED = 20


def open_photos(
    source,
    split="train",
    max_unreadable=10,
    cache="none",
    gone_bad=None,
    trusted=True,
    checked=None,
):
    """Opens a source of photos.

    Args:
        source: path of a folder or of a manifest, `tfrecord:<folder or
            pattern>` or `tfds:<name>`.
        split: str, of a TFDS source.
        max_unreadable: int, more unreadable photos than this are an error.
        cache: "memory" to read every file only once, or "none".
        gone_bad: dict from paths of a manifest's photos that are known to be
            unreadable to the reason.
        trusted: bool, whether a manifest's JPEGs and PNGs are taken for good.
        checked: `FilePhotos.checked` of an earlier start, for a folder: what
            has not changed since is not decoded again.

    Returns:
        `FilePhotos`, `RecordPhotos` or `TfdsPhotos`.

    Raises:
        UserError: if there is no such source, it holds no photo, too many
            are unreadable (the message names them), or it cannot be cached.
    """
    in_sequence = source.startswith((TFDS_PREFIX, RECORDS_PREFIX))
    if in_sequence and cache != "none":
        raise UserError(
            f"data.cache={cache} is for folders and manifests: {source} is "
            "read in sequence, which is quick without"
        )
    if source.startswith(TFDS_PREFIX):
        return TfdsPhotos.open(source, split)
    if source.startswith(RECORDS_PREFIX):
        return RecordPhotos.open(source)
    return FilePhotos.open(
        source, max_unreadable, cache, gone_bad, trusted, checked
    )


class FilePhotos:
    """Photo files, in a fixed order; any place of the stream is read at once.

    Attributes:
        source: str, as given.
        files: tuple of paths.
        cache: "memory" keeps what was read, as many bytes as the files have;
            "none" reads a file again each time.
        checked: dict of a folder's photos, by relative path: size, time of
            change, and what is wrong, or None; empty for a manifest.
    """

    def __init__(self, source, files, cache="none", checked=None):
        self.source = source
        self.files = tuple(files)
        self.cache = cache
        self.checked = checked or {}
        self._kept = None

    @classmethod
    def open(
        cls,
        source,
        max_unreadable=10,
        cache="none",
        gone_bad=None,
        trusted=True,
        checked=None,
    ):
        """Lists the readable photos of a folder or manifest, sorted by path.

        Of a manifest only photos it says to keep are listed, and if it is
        trusted, only those decoded that are neither JPEG nor PNG. In place of
        one that has gone bad since stands the next one, so that all others
        keep theirs. In a folder every photo is decoded once, in parallel.

        Raises:
            UserError: as for `open_photos`.
        """
        path, checks = Path(source), None
        if path.is_file():
            kept = [str(file) for _, file in kept_photos(path)]
            files = _readable(kept, max_unreadable, trusted, gone_bad)
            files = _with_stand_ins(sorted(files), gone_bad)
        elif path.is_dir():
            checks = _check(path, list_photos(path), checked or {})
            found = {str(path / name): each for name, each in checks.items()}
            bad = {file: each[-1] for file, each in found.items() if each[-1]}
            files = sorted(_without(bad, found, max_unreadable))
        else:
            raise UserError(
                f"data source {source!r} is neither a folder, a manifest, "
                f"{RECORDS_PREFIX}<folder> nor {TFDS_PREFIX}<name>"
            )
        if not files:
            raise UserError(f"{source} holds no photo to train on")
        return cls(source, files, cache, checks)

    @property
    def count(self):
        """Number of photos."""
        return len(self.files)

    def fingerprint(self):
        """Returns a SHA-256 of what there is: file names and sizes."""
        root = os.path.commonpath([os.path.dirname(f) for f in self.files])
        lines = (
            f"{os.path.relpath(file, root)}\t{_size(file)}\n"
            for file in self.files
        )
        return hashlib.sha256(os.fsencode("".join(lines))).hexdigest()

    def encoded(self, seed, start=0):
        """Streams encoded photos, for ever, from position `start` on.

        Every epoch is another permutation of all photos.

        Args:
            seed: int, of the order.
            start: int, first position.

        Returns:
            tf.data.Dataset of (position, encoded photo) as (int64, string).
        """
        return self.at(tf.data.Dataset.range(start, tf.int64.max), seed)

    def at(self, positions, seed):
        """Maps a dataset of positions to what `encoded` has there."""
        read = self._reader()

        def read_at(position):
            index = _shuffled_index(position, len(self.files), seed)
            return position, read(index)

        return positions.map(read_at, tf.data.AUTOTUNE)

    def _reader(self):
        """Returns a function from a photo's index to its encoded contents."""
        # As bytes: not every name is UTF-8.
        paths = tf.constant([os.fsencode(file) for file in self.files])

        def read(index):
            return tf.io.read_file(paths[index])

        if self.cache == "none":
            return read
        # By index, under the shuffling: `Dataset.cache` would repeat one
        # epoch's order and crops, and start empty wherever a run resumes.
        # Undecoded: a JPEG is decoded at the scale and place of each crop.
        if self._kept is None:
            self._kept = tf.lookup.experimental.MutableHashTable(
                tf.int64, tf.string, default_value=""
            )
        kept = self._kept

        def read_and_keep(index):
            contents = read(index)
            with tf.control_dependencies([kept.insert(index, contents)]):
                return tf.identity(contents)

        def recall(index):
            contents = kept.lookup(index)
            return tf.cond(
                tf.equal(contents, ""),
                lambda: read_and_keep(index),
                lambda: contents,
            )

        return recall

    def names(self, positions, seed):
        """Returns the paths of the photos at some positions."""
        return [
            self.files[int(_shuffled_index(p, len(self.files), seed))]
            for p in positions
        ]


def unreadable(files, trusted=False):
    """Decodes files as training does, in parallel.

    Args:
        files: paths.
        trusted: whether a JPEG or PNG by its first bytes is taken for good.

    Returns:
        Dict from those that cannot be decoded to the reason.
    """
    check = _why_unsure if trusted else _why_unreadable
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        reasons = list(pool.map(check, files))
    return {file: why for file, why in zip(files, reasons, strict=True) if why}


def _readable(files, limit, trusted=False, gone_bad=None):
    """Those that can be read, and those known to have gone bad."""
    gone_bad = gone_bad or {}
    bad = {file: gone_bad[file] for file in files if file in gone_bad}
    bad |= unreadable([file for file in files if file not in bad], trusted)
    return [*_without(bad, files, limit), *(f for f in gone_bad if f in bad)]


def _check(folder, names, known):
    """Decodes photos that are new or changed since; see `FilePhotos`."""
    states = {name: _state(folder / name) for name in names}
    same = {
        name: list(known[name])
        for name, state in states.items()
        if state and name in known and list(known[name])[:2] == state
    }
    others = [str(folder / name) for name in names if name not in same]
    bad = unreadable(others)
    return {
        name: same.get(name)
        or [*(states[name] or (0, 0)), bad.get(str(folder / name))]
        for name in names
    }


def _state(file):
    try:
        state = os.stat(file)
    except OSError:
        return None
    return [state.st_size, state.st_mtime_ns]


def _without(bad, files, limit):
    """Returns the other files; names the bad ones, as an error if too many."""
    for file, why in bad.items():
        logging.warning("skipped, unreadable: %s: %s", shown(file), why)
    if len(bad) > limit:
        named = [f"{shown(file)}: {why}" for file, why in bad.items()][:_NAMED]
        raise UserError(
            f"{len(bad)} of {len(files)} photos are unreadable, more than "
            f"data.max_unreadable={limit}:\n" + "\n".join(named)
        )
    if bad:
        logging.warning(
            "%d of %d photos are unreadable and skipped", len(bad), len(files)
        )
    return [file for file in files if file not in bad]


def _with_stand_ins(files, gone_bad):
    """The files with the next good one in place of each bad one."""
    if not gone_bad:
        return files
    good = [file for file in files if file not in gone_bad]
    if not good:
        return []
    places = (bisect.bisect_left(good, file) for file in files)
    return [good[place % len(good)] for place in places]


def _why_unsure(file):
    try:
        with open(file, "rb") as opened:
            sure = decodable.is_sure(opened.read(16))
    except OSError as error:
        return error.strerror
    return None if sure else _why_unreadable(file)


def _why_unreadable(file):
    try:
        contents = Path(file).read_bytes()
        with Image.open(io.BytesIO(contents)) as image:
            reason = decodable.why_not(image, contents[:54])
        if not reason:
            _decode(contents)
        return reason
    except Exception as error:  # Pillow's plugins raise of every kind
        text = getattr(error, "message", None) or str(error)
        text = text.split("\n")[0].split("} ")[-1].split(" [Op:")[0]
        return text or type(error).__name__


def _decode(contents):
    """Decodes as `pipeline` does; raises where that would fail.

    A JPEG is decoded at an eighth of its size: truncation shows all the same.
    """
    with tf.device("CPU"):
        if not tf.io.is_jpeg(contents):
            tf.io.decode_image(contents, channels=3, expand_animations=False)
            return
        tf.io.extract_jpeg_shape(contents)
        tf.io.decode_jpeg(contents, channels=3, ratio=8)


def _size(file):
    try:
        return os.stat(file).st_size
    except OSError as error:
        raise UserError(f"{file} cannot be read: {error.strerror}") from error


def _shuffled_index(position, size, seed):
    """Index of the photo at `position`; every epoch is a new permutation."""
    position = tf.cast(position, tf.int64)
    return tf.random.experimental.index_shuffle(
        position % size,
        seed=tf.stack([tf.cast(seed, tf.int64), position // size]),
        max_index=tf.cast(size - 1, tf.int64),
    )
