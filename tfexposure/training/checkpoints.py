"""Checkpoints that survive crashes, full disks and broken files."""

import re
import shutil
import tempfile
from pathlib import Path

import tensorflow as tf
from absl import logging

from tfexposure.errors import UserError


class Checkpoints:
    """The numbered checkpoints of a `TrainState` in one folder.

    Under several workers each has to call `save`, since all take part in
    reading the variables; only the chief's files are kept.

    Args:
        state: `TrainState`.
        folder: where checkpoints lie.
        keep: int, number of newest ones kept.
        chief: bool, whether this process's files are the ones that count.
    """

    def __init__(self, state, folder, keep, chief=True):
        self.folder = Path(folder)
        self._scratch = None
        target = self.folder
        if chief:
            # Left by a run that was killed while it wrote.
            for orphan in self.folder.glob("ckpt-*_temp"):
                shutil.rmtree(orphan, ignore_errors=True)
        else:
            self._scratch = tempfile.TemporaryDirectory()
            target = Path(self._scratch.name)
        self._state = state
        self._checkpoint = state.checkpoint()
        self._manager = tf.train.CheckpointManager(
            self._checkpoint, str(target), max_to_keep=keep
        )

    def restore(self):
        """Restores the newest checkpoint that can be read.

        Returns:
            Path (str) of the checkpoint, or None if there is none.

        Raises:
            UserError: if there are checkpoints but none can be read.
        """
        paths = existing_checkpoints(self.folder)
        for path in reversed(paths):
            try:
                status = self._checkpoint.restore(path)
                status.assert_existing_objects_matched()
                status.assert_consumed()
            except Exception as error:  # TensorFlow's readers raise all kinds
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
                "be read"
            ) from cause
        return None

    def save(self):
        """Writes the state as checkpoint number `step`.

        Raises:
            UserError: if it cannot be written; older ones are left alone.
        """
        try:
            return self._manager.save(
                checkpoint_number=int(self._state.step.numpy())
            )
        except (tf.errors.OpError, OSError) as error:
            reason = _without_node(str(error).splitlines()[0])
            raise UserError(
                f"could not save a checkpoint to {self.folder}: {reason}. "
                "Older checkpoints are intact."
            ) from error


def _without_node(message):
    """Strips the names of TensorFlow's operations around a message."""
    return re.sub(r"^{{.*?}} *| *\[Op:\w+\]$", "", message)


def existing_checkpoints(folder):
    """Lists the complete checkpoints of a folder, oldest first, as prefixes.

    Found by their files rather than by the folder's `checkpoint` index, which
    may itself be missing or torn.
    """
    prefixes = [
        path.with_suffix("") for path in Path(folder).glob("ckpt-*.index")
    ]
    prefixes.sort(key=lambda path: int(path.name.split("-")[1]))
    return [str(prefix) for prefix in prefixes]
