"""The folder of a run."""

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

    def write_config(self, config):
        """Writes the config, or checks it against the one already there.

        Raises:
            UserError: if the run was begun with other values of anything that
                would change what it computes.
        """
        if self.config_path.exists():
            before = self.read_config()
            changed = [
                line
                for line in config.differences(before)
                if line.split(":")[0] not in MAY_CHANGE
            ]
            if changed:
                raise UserError(
                    f"{self.path} holds a run with another configuration. "
                    "Asked for " + "; ".join(changed) + ". Name another "
                    "--run_dir, or repeat its flags to resume it."
                )
        self.path.mkdir(parents=True, exist_ok=True)
        write_atomically(self.config_path, config.to_json())
