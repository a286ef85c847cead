"""Which photos are corrected, and which file each becomes."""

import dataclasses
import os
import pathlib

from tfexposure.errors import UserError
from tfexposure.photo.io import formats
from tfexposure.photo.results import FAILED, SKIPPED, Result

_ADDED = "_corrected"
_LONGEST = 255  # Bytes of a name.


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
        folder = _named(source)
        return folder.with_name(_added(folder.name, ""))
    name = _added(source.stem, source.suffix)
    return _renamed(source.with_name(name), output)


def find_jobs(sources, target, output, left_out=None):
    """Pairs photos with the files they become.

    Args:
        sources: photos and folders; folders are searched recursively.
        target: for one photo a file or a folder, else a folder. A folder that
            exists, or ends in a slash, takes a photo under its own name.
            `None`: beside each source, as `default_target` has it.
        output: `Output`.
        left_out: list that an `Result` is added to for each photo or folder
            that cannot be done.

    Returns:
        list of (source path, target path), in order; none twice.

    Raises:
        UserError: if there is nothing to do, or a photo would be overwritten
            by its own correction without `in_place`.
    """
    for source in sources:
        if not os.path.lexists(source):
            raise UserError(_missing(source, len(sources)))
    left_out = [] if left_out is None else left_out
    jobs = []
    for source in map(pathlib.Path, sources):
        becomes = _target_of(source, target, output, len(sources) == 1)
        jobs += _jobs_of(source, becomes, output, left_out)
    jobs = list(dict.fromkeys(jobs))
    if not jobs:
        names = ", ".join(map(str, sources))
        raise UserError(
            f"{names}: holds no photos ({formats.ACCEPTED} by suffix)"
            + "".join(
                f"; {result.error or f'{result.file} {result.notes[0]}'}"
                for result in left_out
            )
        )
    if not output.in_place:
        for path, becomes in jobs:
            if same_file(path, becomes):
                raise UserError(
                    f"{path}: would overwrite itself; name another OUT, or "
                    "say --in_place"
                )
    return jobs


def photos_below(folder, excluded=None, left_out=None):
    """Photos by suffix, sorted, hidden files and the output left out.

    Args:
        folder: `pathlib.Path` of the folder to search.
        excluded: folder below it to leave out, or `None`.
        left_out: list that an `Result` is added to for each sub-folder that
            is a link or cannot be read, and for photos of kinds not read.

    Yields:
        `pathlib.Path`.
    """
    left_out = [] if left_out is None else left_out
    excluded = excluded and excluded.resolve()
    inside_itself = excluded == folder.resolve()

    def refused(error):
        reason = f"{error.filename}: cannot be read: {error.strerror}"
        left_out.append(Result(str(error.filename), None, FAILED, error=reason))

    for parent, folders, names in os.walk(folder, onerror=refused):
        parent = pathlib.Path(parent)
        folders[:] = sorted(n for n in folders if not n.startswith("."))
        for name in folders:
            if (parent / name).is_symlink():
                left_out.append(
                    _skipped(parent / name, "a link to a folder, not followed")
                )
        folders[:] = [
            name
            for name in folders
            if inside_itself or (parent / name).resolve() != excluded
        ]
        for name in sorted(names):
            if not name.startswith("."):
                yield from _if_photo(parent / name, left_out)


def same_file(first, second):
    """Whether two paths lead to one file; false if either is not there."""
    try:
        return os.path.samefile(first, second)
    except OSError:
        return False


def place_of(path):
    """The path behind all links, by which files are told apart."""
    return os.path.realpath(path)


def check_source(path):
    """Refuses a file of a kind that is not read, before its output is named.

    Raises:
        UserError: as `formats.identify`.
    """
    if pathlib.Path(path).is_file():
        try:
            with open(path, "rb") as file:
                formats.identify(file.read(4096), os.fspath(path))
        except OSError:
            pass  # Reading it will say what is wrong.


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


def _added(stem, suffix):
    """The name with `_corrected`, cut to what file systems take."""
    while len(os.fsencode(f"{stem}{_ADDED}{suffix}")) > _LONGEST:
        stem = stem[:-1]
    return f"{stem}{_ADDED}{suffix}"


def _missing(source, count):
    if count == 1:
        return f"{source}: does not exist"
    return (
        f"{source}: does not exist; a folder to write several photos to is "
        "named by --output"
    )


def _target_of(source, target, output, alone):
    if target is None:
        return default_target(source, output)
    into_folder = str(target).endswith(("/", os.sep))
    target = pathlib.Path(target)
    if target.is_file() and (source.is_dir() or not alone):
        what = f"{source} is a folder" if alone else "several photos"
        raise UserError(f"{target}: is a file; {what} and needs one")
    if source.is_dir():
        return target if alone else target / _named(source).name
    if into_folder or target.is_dir() or not alone:
        return _renamed(target / source.name, output)
    return target


def _jobs_of(source, becomes, output, left_out):
    if not source.is_dir():
        return [(source, becomes)]
    return [
        (path, _renamed(becomes / path.relative_to(source), output))
        for path in photos_below(source, becomes, left_out)
    ]


def _named(folder):
    """The folder under a name: "." and ".." have one once resolved."""
    if folder.name in ("", ".."):
        folder = folder.resolve()
    if not folder.name:
        raise UserError(f"{folder}: has no place beside it; name an OUT")
    return folder


def _if_photo(path, left_out):
    suffix = path.suffix.lower()
    if suffix in formats.SUFFIXES:
        if path.is_file() or path.is_symlink():
            yield path
        else:
            left_out.append(_skipped(path, "not a regular file"))
    elif suffix in formats.UNREAD_SUFFIXES:
        left_out.append(_skipped(path, formats.UNREAD_SUFFIXES[suffix]))


def _skipped(path, reason):
    return Result(str(path), None, SKIPPED, notes=[f"left out: {reason}"])


def _renamed(path, output):
    if output.kind is None:
        return path
    suffixes = formats.FORMATS[output.kind][1]
    if path.suffix.lower() in suffixes:
        return path
    return path.with_suffix(suffixes[0])
