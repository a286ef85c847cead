"""Curation and TFRecord writing on Apache Beam, for millions of photos.

The verdicts are those of `tfexposure.data.curation`, and so is the manifest.
Neither the program nor its workers need TensorFlow. Any runner and any file
system that Beam knows will do.
"""

import dataclasses
import os
import posixpath
from typing import Any

from tfexposure.data.curation import judge_photo
from tfexposure.data.manifest import (
    KEEP,
    MANIFEST_NAME,
    UNREADABLE,
    VERDICTS,
    Entry,
)
from tfexposure.data.well_exposed import CURATION
from tfexposure.errors import UserError, import_extra
from tfexposure.storage import PHOTO_SUFFIXES, write_atomically

beam = import_extra("apache_beam", "beam")
DoFn: Any = beam.DoFn
FileSystems = import_extra("apache_beam.io.filesystems", "beam").FileSystems
CompressionTypes = beam.io.filesystem.CompressionTypes
Metrics = beam.metrics.Metrics

# Beam's DirectRunner would fetch a program from the internet and run that.
_LOCAL_RUNNER = (
    "--runner=apache_beam.runners.portability.fn_api_runner.FnApiRunner"
)
# Photos per pipeline: what an interruption costs at most.
_CHUNK = 50_000
_NAMESPACE = "curation"
_NAMED = 10


def curate(
    folder,
    output,
    rules=None,
    shards=16,
    max_unreadable=100,
    options=None,
    counters=None,
    log=lambda line: None,
):
    """Judges all photos below a folder, writes the manifest and the records.

    The output folder gets `manifest.jsonl`, the same that the local command
    writes, `photos-*.tfrecord` with every kept photo as a tf.train.Example
    (`image`: the file's bytes, `id`), and `verdicts-*.jsonl`. The last are
    what a restart goes on from: photos with a verdict are not read again
    unless they changed (size or modification time) or were unreadable.

    Args:
        folder: the photos' folder, on any file system of Beam.
        output: folder to write to; made if it does not exist.
        rules: a `well_exposed.Rules`.
        shards: int > 0, number of record files.
        max_unreadable: int, more unreadable photos than this stop the run.
        options: list of str, options of the Beam pipeline, such as
            `["--runner=FlinkRunner"]`; by default this process does it all.
        counters: dict that receives the counters: `reused` and `judged`
            photos, their verdicts, `written` records, and `changed` photos,
            which were replaced between verdict and writing and are left out.
        log: called with lines that tell the progress.

    Returns:
        Dict from verdict to number of photos; every verdict is there.

    Raises:
        UserError: if the folder holds no photo, or too many are unreadable.
    """
    rules = rules or CURATION
    counters = {} if counters is None else counters
    folder, output = str(folder), str(output)
    found = _list(folder)
    if not found:
        raise UserError(f"{folder} holds no photos")
    if not FileSystems.exists(output):
        FileSystems.mkdirs(output)

    entries = {}
    known = _read_verdicts(output)
    for id, (size, mtime_ns) in found.items():
        entry = known.get(id)
        if entry and _is_current(entry, size, mtime_ns, rules):
            verdict = rules.verdict(entry.bright_fraction, entry.dark_fraction)
            entries[id] = dataclasses.replace(entry, verdict=verdict)
    counters["reused"] = len(entries)
    pending = sorted(set(found) - set(entries))
    counters["judged"] = len(pending)
    log(f"{len(found)} photos, {len(pending)} of them to be judged")

    number = len(_match(posixpath.join(output, "verdicts-*")))
    for first in range(0, len(pending), _CHUNK):
        chunk = [(id, found[id][1]) for id in pending[first : first + _CHUNK]]
        prefix = posixpath.join(output, f"verdicts-{number:05}")
        with _Pipeline(options, counters) as pipeline:
            (
                pipeline
                | beam.Create(chunk)
                | beam.Reshuffle()
                | beam.ParDo(_Judge(folder, rules))
                | beam.io.WriteToText(prefix, ".jsonl", num_shards=1)
            )
        for line in _lines(prefix + "*"):
            entry = Entry.from_json(line)
            entries[entry.id] = entry
        number += 1
        log(f"{len(entries)}/{len(found)} photos judged")
        _check_unreadable(entries, max_unreadable, folder)

    kept = [
        (id, entries[id].sha256)
        for id in sorted(entries)
        if entries[id].verdict == KEEP
    ]
    with _Pipeline(options, counters) as pipeline:
        (
            pipeline
            | beam.Create(kept)
            | beam.Reshuffle()
            | beam.ParDo(_Encode(folder))
            | beam.io.WriteToTFRecord(
                posixpath.join(output, "photos"),
                file_name_suffix=".tfrecord",
                num_shards=shards,
            )
        )
    # Last, so that a manifest means that all the rest is there.
    _write_manifest(entries, folder, output)
    counts = dict.fromkeys(VERDICTS, 0)
    for entry in entries.values():
        counts[entry.verdict] += 1
    return counts


def encode_example(features):
    """Encodes a tf.train.Example of byte strings, without TensorFlow.

    Args:
        features: dict from name to `bytes`.

    Returns:
        `bytes`, the serialised protocol buffer, names in order.
    """
    pairs = b""
    for name, value in sorted(features.items()):
        # Feature.bytes_list.value, each of them field 1 of its message.
        feature = _field(1, _field(1, value))
        pairs += _field(1, _field(1, name.encode()) + _field(2, feature))
    return _field(1, pairs)


def _field(number, contents):
    """One length-delimited field of a protocol buffer."""
    length, size = len(contents), b""
    while length > 127:
        size += bytes([length & 127 | 128])
        length >>= 7
    return bytes([number << 3 | 2]) + size + bytes([length]) + contents


class _Judge(DoFn):
    """(id, mtime_ns) -> line of the manifest."""

    def __init__(self, folder, rules):
        self._folder = folder
        self._rules = rules

    def process(self, element):
        id, mtime_ns = element
        try:
            contents = _read(posixpath.join(self._folder, id))
        except Exception as error:  # every file system has its own
            entry = Entry(
                id=id,
                verdict=UNREADABLE,
                bright_fraction=None,
                dark_fraction=None,
                sha256="",
                width=None,
                height=None,
                bright_level=self._rules.bright_level,
                dark_level=self._rules.dark_level,
                error=f"{type(error).__name__}: {error}",
            )
        else:
            entry = dataclasses.replace(
                judge_photo(contents, id, self._rules), mtime_ns=mtime_ns
            )
        Metrics.counter(_NAMESPACE, entry.verdict).inc()
        yield entry.to_json()


class _Encode(DoFn):
    """(id, sha256) -> serialised tf.train.Example."""

    def __init__(self, folder):
        self._folder = folder

    def process(self, element):
        import hashlib

        id, sha256 = element
        contents = _read(posixpath.join(self._folder, id))
        if hashlib.sha256(contents).hexdigest() != sha256:
            Metrics.counter(_NAMESPACE, "changed").inc()
            return
        Metrics.counter(_NAMESPACE, "written").inc()
        yield encode_example({"id": id.encode(), "image": contents})


class _Pipeline:
    """A pipeline whose counters are added up when it is done."""

    def __init__(self, options, counters):
        from apache_beam.options.pipeline_options import PipelineOptions

        # Without flags Beam would read this program's command line.
        options = PipelineOptions(options or [_LOCAL_RUNNER])
        self._pipeline = beam.Pipeline(options=options)
        self._counters = counters

    def __enter__(self):
        return self._pipeline

    def __exit__(self, kind, *_):
        if kind:
            return
        result = self._pipeline.run()
        result.wait_until_finish()
        query = beam.metrics.MetricsFilter().with_namespace(_NAMESPACE)
        for counter in result.metrics().query(query)["counters"]:
            name = counter.key.metric.name
            self._counters[name] = (
                self._counters.get(name, 0) + counter.committed
            )


def _list(folder):
    """Returns {id: (size, mtime_ns)} of the photos below a folder."""
    found = {}
    for metadata in _match(posixpath.join(folder, "**")):
        id = posixpath.relpath(metadata.path, folder)
        parts = id.split("/")
        suffix = posixpath.splitext(id)[1].lower()
        if suffix not in PHOTO_SUFFIXES or any(p[:1] == "." for p in parts):
            continue
        try:
            mtime_ns = os.stat(metadata.path).st_mtime_ns
        except OSError:  # not a local file
            mtime_ns = int((metadata.last_updated_in_seconds or 0) * 1e9)
        found[id] = (metadata.size_in_bytes, mtime_ns)
    return found


def _match(pattern):
    return FileSystems.match([pattern])[0].metadata_list


def _read(path):
    with FileSystems.open(
        path, compression_type=CompressionTypes.UNCOMPRESSED
    ) as file:
        return file.read()


def _lines(pattern):
    for metadata in sorted(_match(pattern), key=lambda found: found.path):
        yield from _read(metadata.path).decode("utf-8").splitlines()


def _read_verdicts(output):
    """Returns id -> entry; of several the last one written."""
    known = {}
    for line in _lines(posixpath.join(output, "verdicts-*")):
        entry = Entry.from_json(line)
        known[entry.id] = entry
    return known


def _is_current(entry, size, mtime_ns, rules):
    return (
        entry.verdict != UNREADABLE
        and (entry.size, entry.mtime_ns) == (size, mtime_ns)
        and entry.bright_level == rules.bright_level
        and entry.dark_level == rules.dark_level
    )


def _check_unreadable(entries, limit, folder):
    bad = [e for e in entries.values() if e.verdict == UNREADABLE]
    if len(bad) > limit:
        named = "\n".join(f"  {e.id}: {e.error}" for e in bad[:_NAMED])
        raise UserError(
            f"{len(bad)} photos of {folder} are unreadable, more than the "
            f"limit of {limit}. The first of them:\n{named}"
        )


def _write_manifest(entries, folder, output):
    local = "://" not in folder and "://" not in output
    way = os.path.relpath(folder, output) if local else folder
    way = "" if way == os.curdir else way
    text = "".join(
        dataclasses.replace(entries[id], folder=way).to_json() + "\n"
        for id in sorted(entries)
    )
    path = posixpath.join(output, MANIFEST_NAME)
    if local:
        write_atomically(path, text)
    else:
        # Object stores show a file only once it is closed.
        with FileSystems.create(path) as file:
            file.write(text.encode("utf-8"))
