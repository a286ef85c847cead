"""Errors whose message is meant for the person at the keyboard."""

import importlib


class UserError(Exception):
    """Something the user can put right; programs print it without traceback.

    The message names the file or argument, what was expected and what came.
    """


class UnreadablePhotos(UserError):
    """Photos of a run have become unreadable since it began.

    Attributes:
        reasons: dict from their paths to what is wrong with them.
    """

    def __init__(self, message, reasons):
        super().__init__(message)
        self.reasons = reasons


class UsageError(ValueError):
    """An argument out of range; programs call it wrong usage."""


class Interrupted(Exception):
    """A signal asked a run to stop; its state was saved."""


def import_extra(module, extra):
    """Imports an optional dependency, or says which extra brings it.

    Args:
        module: dotted name of the module, such as `"ai_edge_litert"`.
        extra: the extra of tfexposure that installs it, such as `"lite"`.

    Returns:
        The imported module.

    Raises:
        UserError: if the module is not installed.
    """
    try:
        return importlib.import_module(module)
    except ModuleNotFoundError as error:
        if not error.name or error.name.split(".")[0] != module.split(".")[0]:
            raise
        raise UserError(
            f"{module} is needed for this and is not installed. "
            f'Run: pip install "tfexposure[{extra}]"'
        ) from error
