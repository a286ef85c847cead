"""Checkpoints that survive crashes, full disks and broken files.

A checkpoint is one `.npz` of named arrays, `ckpt-<step>.npz`, the same from
every backend; its CRCs tell a broken one.
"""

import io
import math
import os
import re
import zipfile
from pathlib import Path

import numpy as np
from absl import logging

from tfexposure.errors import UserError
from tfexposure.storage import remove_half_written, write_atomically
from tfexposure.weights import assign

# What NumPy raises for files that are torn, broken or of something else.
_BROKEN = (OSError, EOFError, ValueError, KeyError, zipfile.BadZipFile)


class Checkpoints:
    """The numbered checkpoints of a `TrainState` in one folder.

    Args:
        state: `TrainState`.
        folder: where checkpoints lie.
        keep: int, number of newest ones kept.
        chief: bool, whether this process writes, and it alone; all read.
        hours: float, older ones that far apart are kept, too; 0: none.
    """

    def __init__(self, state, folder, keep, chief=True, hours=0.0):
        self.folder = Path(folder)
        self._state = state
        self._keep = keep
        self._chief = chief
        self._hours = hours
        if chief:
            remove_half_written(self.folder)

    def restore(self):
        """Restores the newest checkpoint that can be read.

        Returns:
            Path (str) of the checkpoint, or None if there is none.

        Raises:
            UserError: if there are checkpoints but none can be read.
        """
        paths = existing_checkpoints(self.folder)
        if not paths and list(self.folder.glob("ckpt-*.index")):
            raise UserError(
                f"{self.folder}: checkpoints of an earlier version, which this "
                "one cannot read. Name another --run_dir"
            )
        for path in reversed(paths):
            try:
                assign(self._state.variables(), _read(path))
            except _BROKEN as error:
                cause = error
                reason = (str(error) or type(error).__name__).splitlines()[0]
                logging.warning(
                    "checkpoint %s cannot be read (%s); trying the one before",
                    path,
                    reason,
                )
            else:
                return path
        if paths:
            raise UserError(
                f"none of the {len(paths)} checkpoints in {self.folder} can "
                f"be read ({str(cause).splitlines()[0]})"
            ) from cause
        return None

    def save(self):
        """Writes the state as checkpoint number `step`.

        Raises:
            UserError: if it cannot be written; older ones are left alone.
        """
        if not self._chief:
            return None
        arrays = {
            name: np.asarray(variable.numpy())
            for name, variable in self._state.variables().items()
        }
        buffer = io.BytesIO()
        np.savez(buffer, allow_pickle=False, **arrays)
        path = self.folder / f"ckpt-{int(arrays['step'])}.npz"
        try:
            self.folder.mkdir(parents=True, exist_ok=True)
            write_atomically(path, buffer.getbuffer())
            self._remove_old()
        except OSError as error:
            raise UserError(
                f"could not save a checkpoint to {self.folder}: "
                f"{error.strerror or error}. Older checkpoints are intact."
            ) from error
        return str(path)

    def _remove_old(self):
        kept = -math.inf
        for path in existing_checkpoints(self.folder)[: -self._keep]:
            written = os.stat(path).st_mtime
            if self._hours and written - kept >= 3600 * self._hours:
                kept = written
            else:
                os.unlink(path)


def _read(path):
    with np.load(path) as file:
        return {name: file[name] for name in file}


def existing_checkpoints(folder):
    """Lists the complete checkpoints of a folder, oldest first, as paths."""
    found = [
        (int(match[1]), str(path))
        for path in Path(folder).glob("ckpt-*.npz")
        if (match := re.fullmatch(r"ckpt-(\d+)\.npz", path.name))
    ]
    return [path for _, path in sorted(found)]
