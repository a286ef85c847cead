"""TFRecord files as a source of photos: `tfrecord:<folder or pattern>`.

Each record is a tf.train.Example with the encoded photo as `image` and its
name as `id`, as `trainers/curate_beam.py` writes them.
"""

import glob
import hashlib
import os
import struct
from concurrent.futures import ThreadPoolExecutor

import tensorflow as tf

from tfexposure.data.epochs import examples_at, shuffled_epochs
from tfexposure.errors import UserError

PREFIX = "tfrecord:"
_FEATURES = {
    "image": tf.io.FixedLenFeature((), tf.string),
    "id": tf.io.FixedLenFeature((), tf.string, ""),
}
# Shards that are read in turns, so that neighbours in a shard part.
_INTERLEAVED = 16


class RecordPhotos:
    """The photos of some TFRecord files.

    Attributes:
        source: str, as given.
        shards: tuple of paths.
        count: number of photos.
    """

    def __init__(self, source, shards, counts):
        self.source = source
        self.shards = tuple(shards)
        self._counts = tuple(counts)
        self.count = sum(counts)

    @classmethod
    def open(cls, source):
        """Finds the files and counts their records.

        Args:
            source: `tfrecord:` and a folder, whose files with `.tfrecord` in
                their name are taken, or a pattern.

        Raises:
            UserError: if there are none, or one is truncated or no TFRecord.
        """
        where = source.removeprefix(PREFIX)
        if os.path.isdir(where):
            where = os.path.join(glob.escape(where), "*.tfrecord*")
        shards = sorted(path for path in glob.glob(where))
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            counts = list(pool.map(_count_records, shards))
        if not sum(counts):
            raise UserError(f"{source} holds no photo: no records in {where}")
        return cls(source, shards, counts)

    def fingerprint(self):
        """Returns a SHA-256 of the shards' names, sizes and counts."""
        lines = (
            f"{os.path.basename(shard)}\t{os.stat(shard).st_size}\t{count}\n"
            for shard, count in zip(self.shards, self._counts, strict=True)
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def encoded(self, seed, start=0):
        """Streams (position, encoded photo), for ever; see `FilePhotos`."""
        return self._stream(seed, start).map(
            lambda position, record: (position, _parse(record)["image"]),
            tf.data.AUTOTUNE,
        )

    def names(self, positions, seed):
        """Returns the names of the photos at some positions.

        Reads the records on the way there: meant for the rare error.
        """
        records = examples_at(
            lambda start: self._stream(seed, start), positions
        )
        return [_parse(record)["id"].numpy().decode() for record in records]

    def _stream(self, seed, start):
        shards = tf.constant(self.shards)
        last = tf.constant(len(self.shards) - 1, tf.int64)

        def records(epoch):
            def shard(n):
                index = tf.random.experimental.index_shuffle(
                    n, tf.stack([tf.cast(seed, tf.int64), epoch]), last
                )
                return tf.data.TFRecordDataset(shards[index])

            return tf.data.Dataset.range(len(self.shards)).interleave(
                shard,
                cycle_length=min(_INTERLEAVED, len(self.shards)),
                num_parallel_calls=tf.data.AUTOTUNE,
                deterministic=True,
            )

        return shuffled_epochs(records, self.count, seed, start)


def _parse(record):
    return tf.io.parse_single_example(record, _FEATURES)


def _count_records(path):
    """Counts records by their headers: length (8 bytes), checksum (4)."""
    size = os.stat(path).st_size
    count = end = 0
    with open(path, "rb") as file:
        while end < size:
            file.seek(end)
            header = file.read(12)
            if len(header) == 12:
                end += 12 + struct.unpack("<Q", header[:8])[0] + 4
            if len(header) < 12 or end > size:
                raise UserError(
                    f"{path} is no TFRecord file, or cut off after "
                    f"{count} records"
                )
            count += 1
    return count
