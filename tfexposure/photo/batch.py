"""Many photos: which files, in what order, what became of each."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import os
import pathlib
import threading
import time

from tfexposure.errors import UserError
from tfexposure.photo.correcting import correct_photo
from tfexposure.photo.io import (
    encode,
    formats,
)
from tfexposure.photo.io.decode import read_photo
from tfexposure.photo.io.photo import (
    Limits,
    Photo,
)
from tfexposure.photo.results import (
    CORRECTED,
    FAILED,
    SKIPPED,
    UNCHANGED,
    Result,
)

# What may be worked on at the same time: photos of this many pixels together
# inside the network, files of this many bytes together in memory. Whatever is
# larger is alone, so that two large photos never are.
_NETWORK_PIXELS = 2_000_000
_OPEN_BYTES = 16_000_000


@dataclasses.dataclass(frozen=True)
class Output:
    """How corrected photos are written.

    Attributes:
        kind: key of `formats.FORMATS`; `None` keeps each photo's format.
        quality: as `encode.write_photo`.
        subsampling: as `encode.write_photo`.
        metadata: `"keep"` or `"strip"`.
        overwrite: whether existing files are done again.
        in_place: whether a photo may take its own source's place.
    """

    kind: str | None = None
    quality: int | None = None
    subsampling: str | None = None
    metadata: str = "keep"
    overwrite: bool = False
    in_place: bool = False

    def recodes(self, photo):
        """Whether the file asked for differs from the photo's own bytes."""
        return (
            (self.kind or photo.format) != photo.format
            or self.quality is not None
            or self.subsampling is not None
            or self.metadata != "keep"
        )


def default_target(source, output):
    """Names what a photo or folder becomes: `<name>_corrected` beside it.

    Args:
        source: a photo or a folder.
        output: `Output`; `in_place` makes it the source itself.

    Returns:
        `pathlib.Path`.

    Raises:
        UserError: if there is nothing beside it: a file system's root.
    """
    source = pathlib.Path(source)
    if output.in_place:
        return source
    if source.is_dir():
        # "." and ".." have names only once they are resolved.
        folder = source.resolve() if source.name in ("", "..") else source
        if not folder.name:
            raise UserError(f"{source}: has no place beside it; name an OUT")
        return folder.with_name(f"{folder.name}_corrected")
    return _renamed(source.with_stem(f"{source.stem}_corrected"), output)


def find_jobs(source, target, output):
    """Pairs photos with the files they become.

    Args:
        source: a photo or a folder, searched recursively.
        target: a file for a photo, a folder for a folder; a folder that
            exists, or ends in a slash, takes a photo under its own name.
        output: `Output`.

    Returns:
        list of (source path, target path), in order of names.

    Raises:
        UserError: if there is nothing to do, or a photo would be overwritten
            by its own correction without `in_place`.
    """
    into_folder = str(target).endswith(("/", os.sep))
    source, target = pathlib.Path(source), pathlib.Path(target)
    if source.is_dir():
        if target.is_file():
            raise UserError(
                f"{target}: is a file; {source} is a folder and needs one"
            )
        jobs = [
            (path, _renamed(target / path.relative_to(source), output))
            for path in photos_below(source, target)
        ]
        if not jobs:
            raise UserError(
                f"{source}: holds no photos ({formats.ACCEPTED} by suffix)"
            )
    elif source.exists():
        if into_folder or target.is_dir():
            target = _renamed(target / source.name, output)
        jobs = [(source, target)]
    else:
        raise UserError(f"{source}: does not exist")
    if not output.in_place:
        for path, becomes in jobs:
            if becomes.exists() and path.samefile(becomes):
                raise UserError(
                    f"{path}: would overwrite itself; name another OUT, or "
                    "say --in_place"
                )
    return jobs


def photos_below(folder, excluded=None):
    """Photos by suffix, sorted, hidden files and the output left out."""
    excluded = excluded and excluded.resolve()
    inside_itself = excluded == folder.resolve()
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(
            name
            for name in folders
            if not name.startswith(".")
            and (
                inside_itself
                or pathlib.Path(parent, name).resolve() != excluded
            )
        )
        for name in sorted(names):
            path = pathlib.Path(parent, name)
            known = path.suffix.lower() in formats.SUFFIXES
            if known and not name.startswith(".") and path.is_file():
                yield path


def _renamed(path, output):
    if output.kind is None:
        return path
    suffixes = formats.FORMATS[output.kind][1]
    if path.suffix.lower() in suffixes:
        return path
    return path.with_suffix(suffixes[0])


def kind_of_target(target, output):
    """The `Output` for one named file, whose suffix chooses the format.

    Raises:
        UserError: if the suffix names no format, or another than asked for.
    """
    suffix = pathlib.Path(target).suffix.lower()
    named = formats.SUFFIXES.get(suffix)
    if named is None:
        raise UserError(
            f"{target}: its suffix should name a format: {formats.ACCEPTED}"
        )
    if output.kind not in (None, named):
        raise UserError(
            f"{target}: its suffix disagrees with --format={output.kind}"
        )
    return dataclasses.replace(output, kind=named)


class Batch:
    """Corrects photos; decoding, network and encoding run side by side.

    Args:
        model: a `Model`, or a function that opens one.
        settings: `correcting.Settings`.
        output: `Output`.
        limits: `Limits`; `None` for the defaults.
        progress: a `Progress`, or `None`.
        mask: path of a PNG that says what was invented; one photo only.
        on_photo: called with (Result, Photo, Correction) of each photo that
            went through the corrector, for the report; from several threads.
        workers: photos in hand at the same time; `None`: one per core.
        debug: let exceptions of single photos through.
    """

    def __init__(
        self,
        model,
        settings,
        output,
        limits=None,
        progress=None,
        mask=None,
        on_photo=None,
        workers=None,
        debug=False,
    ):
        self._model = model
        self._settings = settings
        self._output = output
        self._limits = limits or Limits()
        self._progress = progress
        self._mask = mask
        self._on_photo = on_photo
        self._workers = workers or os.cpu_count() or 1
        self._debug = debug
        self._network = _Gate(_NETWORK_PIXELS)
        self._memory = _Gate(_OPEN_BYTES)
        self._over = threading.Event()

    def run(self, jobs):
        """Corrects all jobs; a bad file never stops the others.

        Args:
            jobs: (source, target) pairs, as from `find_jobs`.

        Returns:
            list of `Result`, in the order of `jobs`.
        """
        results = [
            Result(str(source), str(target), SKIPPED) for source, target in jobs
        ]
        self._over.clear()
        if hasattr(self._model, "share"):
            self._model.share(min(self._workers, max(len(jobs), 1)))
        pool = concurrent.futures.ThreadPoolExecutor(self._workers)
        try:
            futures = [
                pool.submit(self._run_one, results[index], *jobs[index])
                for index in self._waiting(jobs, results)
            ]
            for future in futures:
                future.result()
        finally:  # After an interrupt: stop at the next tile, begin nothing.
            self._over.set()
            pool.shutdown(cancel_futures=True)
        return results

    def _waiting(self, jobs, results):
        """Indices of the jobs to do; sorts out clashes and done files."""
        taken, waiting = {}, []
        replaces = self._output.overwrite or self._output.in_place
        for index, (source, target) in enumerate(jobs):
            if target in taken:
                results[index].status = FAILED
                results[index].error = (
                    f"{source}: {target} is already what {taken[target]} "
                    "becomes"
                )
            elif replaces or not target.exists():
                waiting.append(index)
            taken.setdefault(target, source)
        if self._progress:
            self._progress.total = len(waiting)
        return waiting

    def _run_one(self, result, source, target):
        with self._memory.hold(_bytes_of(source)):
            start = time.monotonic()
            inside = functools.partial(self._inside, source.name)
            inside(0.0)
            try:
                self._process(result, source, target, inside, start)
            except Exception as error:  # One bad file must not stop the rest.
                if self._debug and not isinstance(error, UserError):
                    raise
                result.status = FAILED
                result.error = _one_line(result.file, error)
            result.seconds = time.monotonic() - start
            if self._progress:
                self._progress.end(source.name)

    def _inside(self, name, share):
        if self._over.is_set():
            raise KeyboardInterrupt
        if self._progress:
            self._progress.inside(name, share)

    def _process(self, result, source, target, inside, start):
        photo = read_photo(source, self._limits)
        result.notes = photo.notes
        height, width, _ = photo.pixels.shape
        with self._network.hold(height * width):
            correction = correct_photo(
                photo,
                self._model,
                self._settings,
                want_mask=self._mask is not None,
                progress=inside,
            )
        result.verdict = correction.before.verdict
        result.clipped_before = correction.before.clipped
        result.clipped_after = correction.after.clipped
        result.tau = correction.before.tau
        result.stops = correction.before.stops
        write_correction(photo, correction, target, self._output)
        if self._mask is not None:
            write_mask(photo, correction, self._mask)
        result.status = CORRECTED if correction.changed else UNCHANGED
        result.seconds = time.monotonic() - start
        if self._on_photo:
            self._on_photo(result, photo, correction)
        for rows in (photo.pixels, correction.pixels, correction.invented):
            if rows is not None:
                rows.close()


class _Gate:
    """Lets work of a limited total size through at the same time."""

    def __init__(self, capacity):
        self._capacity = self._free = capacity
        self._changed = threading.Condition()

    @contextlib.contextmanager
    def hold(self, size):
        """Waits for room; what is larger than all of it takes all of it."""
        size = min(size, self._capacity)
        with self._changed:
            self._changed.wait_for(lambda: self._free >= size)
            self._free -= size
        try:
            yield
        finally:
            with self._changed:
                self._free += size
                self._changed.notify_all()


def write_correction(photo, correction, target, output):
    """Writes the answer; the source's own bytes where nothing changed.

    Args:
        photo: the `Photo` corrected.
        correction: its `Correction`.
        target: path or binary file.
        output: `Output`.
    """
    if not correction.changed and not output.recodes(photo):
        if isinstance(target, (str, os.PathLike)):
            with encode.atomic_file(target) as file:
                file.write(photo.data)
        else:
            target.write(photo.data)
        return
    answer = dataclasses.replace(photo, pixels=correction.pixels)
    encode.write_photo(
        answer,
        target,
        kind=output.kind,
        quality=output.quality,
        subsampling=output.subsampling,
        metadata=output.metadata,
    )


def write_mask(photo, correction, target):
    """Writes what was invented as a grey PNG, turned as the photo is seen."""
    mask = Photo(photo.name, correction.invented, "png", raw_metadata=[])
    encode.write_photo(mask, target)


def _bytes_of(path):
    try:
        return path.stat().st_size
    except OSError:
        return 0  # Reading it will say what is wrong.


def _one_line(name, error):
    if isinstance(error, MemoryError):
        return f"{name}: not enough memory"
    text = " ".join(str(error).split()) or type(error).__name__
    return text if text.startswith(str(name)) else f"{name}: {text}"
