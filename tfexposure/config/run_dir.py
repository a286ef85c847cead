"""The folder of a run."""

import contextlib
import fcntl
import os
import socket
from pathlib import Path

from tfexposure.config.config import MAY_CHANGE, Config
from tfexposure.errors import UserError
from tfexposure.storage import write_atomically


class RunDir:
    """The paths inside one run's folder.

    Args:
        path: the folder; it need not exist yet.
    """

    def __init__(self, path):
        self.path = Path(path)
        self.config_path = self.path / "config.json"
        self.checkpoints = self.path / "checkpoints"
        self.best = self.path / "best"
        self.logs = self.path / "logs"
        self.samples = self.path / "samples"
        self.exports = self.path / "exports"

    def read_config(self):
        """Returns the run's config.

        Raises:
            UserError: if the folder holds no run, or not a readable one.
        """
        try:
            text = self.config_path.read_text(encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"{self.path} is not the folder of a run: no config.json "
                f"({error.strerror})"
            ) from error
        try:
            return Config.from_json(text)
        except UserError as error:
            raise UserError(f"{self.config_path}: {error}") from error

    @contextlib.contextmanager
    def locked(self):
        """Keeps other processes from training here, for a `with` block.

        The folder is made if it does not exist. However the process ends, the
        lock is gone with it.

        Raises:
            UserError: if another process holds the lock, or the folder cannot
                be written to.
        """
        try:
            self.path.mkdir(parents=True, exist_ok=True)
            file = open(self.path / ".lock", "a+", encoding="utf-8")
        except OSError as error:
            raise UserError(
                f"{self.path} cannot be the folder of a run: {error.strerror}"
            ) from error
        with file:
            try:
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                file.seek(0)
                raise UserError(
                    f"{self.path}: {file.read().strip() or 'another process'} "
                    "trains in this folder. Name another --run_dir, or stop it."
                ) from error
            except OSError:
                pass  # A file system without locks.
            file.truncate(0)
            file.write(f"process {os.getpid()} on {socket.gethostname()}\n")
            file.flush()
            yield

    def write_config(self, config, moved=()):
        """Writes the config, or checks it against the one already there.

        Args:
            config: `Config`.
            moved: names of fields, such as `data.source`, that may have
                another value than before.

        Raises:
            UserError: if the run was begun with other values of anything that
                would change what it computes.
        """
        if self.config_path.exists():
            before = self.read_config()
            changed = [
                line
                for line in config.differences(before)
                if line.split(":")[0] not in (*MAY_CHANGE, *moved)
            ]
            if changed:
                raise UserError(
                    f"{self.path} holds a run with another configuration. "
                    "Asked for " + "; ".join(changed) + ". Name another "
                    "--run_dir, or repeat its flags to resume it."
                )
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.config_path, config.to_json())
