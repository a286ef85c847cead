"""Files written whole or not at all, in the place of what was there."""

import contextlib
import os
import pathlib
import stat
import tempfile

from tfexposure.errors import UserError


@contextlib.contextmanager
def atomic_file(path, permissions=None):
    """Opens a new file that takes the place of `path` on success.

    Links are followed. A file that is replaced keeps its owner, its mode and
    its extended attributes. Devices and pipes are written to as they are.

    Args:
        path: where the file is to appear; folders above it are made.
        permissions: mode bits that it has at most, such as those of the photo
            that it is made from; `None` for no limit.

    Yields:
        a binary file.

    Raises:
        UserError: if the file cannot be written; what was there stays.
    """
    try:
        with _opened(pathlib.Path(os.path.realpath(path)), permissions) as file:
            yield file
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written: {error.strerror or error}"
        ) from error


def check_writable(path):
    """Tries whether `atomic_file` could write here, and leaves no trace.

    Raises:
        UserError: if not.
    """
    try:
        if not _is_special(path):
            if pathlib.Path(path).is_dir():
                raise IsADirectoryError(0, "Is a directory")
            parent = pathlib.Path(os.path.realpath(path)).parent
            parent.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=parent).close()
    except OSError as error:
        raise UserError(
            f"{path}: cannot be written: {error.strerror or error}"
        ) from error


def permissions_of(path):
    """Mode bits of an existing file without those to run it, or `None`."""
    try:
        return os.stat(path).st_mode & 0o666
    except (OSError, TypeError, ValueError):
        return None


@contextlib.contextmanager
def _opened(path, permissions):
    if _is_special(path):
        with open(path, "wb") as file:
            yield file
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    # A short name of its own: that of the file may be as long as can be.
    handle, part = tempfile.mkstemp(
        dir=path.parent, prefix=".tfexposure-", suffix=".part"
    )
    try:
        with os.fdopen(handle, "w+b") as file:
            yield file
        _take_over(path, part, permissions)
        os.replace(part, path)
    finally:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(part)


def _is_special(path):
    try:
        mode = os.stat(path).st_mode
    except OSError:
        return False
    return not stat.S_ISREG(mode) and not stat.S_ISDIR(mode)


def _take_over(path, part, permissions):
    """Gives the new file what the old one, if any, has beside its bytes."""
    mode = 0o666 & ~_umask()
    if path.exists():
        old = path.stat()
        mode = old.st_mode & 0o777
        with contextlib.suppress(OSError, AttributeError):
            os.chown(part, old.st_uid, old.st_gid)
        _copy_attributes(path, part)
    if permissions is not None:
        mode &= permissions
    os.chmod(part, mode)


def _copy_attributes(path, part):
    with contextlib.suppress(OSError, AttributeError):
        for name in os.listxattr(path):
            with contextlib.suppress(OSError):
                os.setxattr(part, name, os.getxattr(path, name))


def _umask():
    mask = os.umask(0)
    os.umask(mask)
    return mask
