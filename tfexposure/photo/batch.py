"""Many photos: in what order, what became of each."""

import concurrent.futures
import contextlib
import dataclasses
import functools
import os
import threading
import time

from tfexposure.errors import UserError
from tfexposure.photo import jobs as photo_jobs
from tfexposure.photo.correcting import correct_photo
from tfexposure.photo.io import encode, files
from tfexposure.photo.io.decode import read_photo
from tfexposure.photo.io.photo import Limits, Photo
from tfexposure.photo.results import FAILED, SKIPPED, Result

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
        self._network = Gate(_NETWORK_PIXELS)
        self._memory = Gate(_OPEN_BYTES)
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
        sources = {photo_jobs.place_of(source): source for source, _ in jobs}
        taken, waiting = {}, []
        for index, (source, target) in enumerate(jobs):
            result, place = results[index], photo_jobs.place_of(target)
            itself = place == photo_jobs.place_of(source)
            if place in taken:
                self._sort_out(result, source, taken[place], itself)
            elif itself and self._output.in_place:
                waiting.append(index)
            elif self._output.overwrite or not os.path.lexists(target):
                if place in sources:
                    result.status = FAILED
                    result.error = (
                        f"{source}: would replace {target}, which is another "
                        "photo given"
                    )
                else:
                    waiting.append(index)
            taken.setdefault(place, source)
        if self._progress:
            self._progress.total = len(waiting)
        return waiting

    @staticmethod
    def _sort_out(result, source, first, in_place):
        """Says why a photo whose target is taken is not done."""
        if in_place:
            result.notes.append(f"the same file as {first}")
            return
        result.status = FAILED
        result.error = (
            f"{source}: {result.output} is already what {first} becomes"
        )

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
        write_correction(photo, correction, target, self._output)
        if self._mask is not None:
            write_mask(photo, correction, self._mask)
        result.tell(correction)
        result.seconds = time.monotonic() - start
        if self._on_photo:
            self._on_photo(result, photo, correction)
        for rows in (photo.pixels, correction.pixels, correction.invented):
            if rows is not None:
                rows.close()


class Gate:
    """Lets work of a limited total size through at the same time.

    Args:
        capacity: int, the total.
    """

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

    A photo that is left alone and would take its own place is not touched.

    Args:
        photo: the `Photo` corrected.
        correction: its `Correction`.
        target: path or binary file.
        output: `Output`.
    """
    if not correction.changed and not output.recodes(photo):
        if not isinstance(target, (str, os.PathLike)):
            target.write(photo.data)
        elif photo.path is None or not photo_jobs.same_file(photo.path, target):
            with files.atomic_file(target, photo.permissions) as file:
                file.write(photo.data)
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
    mask.path = photo.path
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
