"""The program `tfexposure`: correct, inspect and further sub-commands."""

import argparse
import importlib
import os
import sys

import tfexposure
from tfexposure.errors import UsageError, UserError

# Sub-command -> (module, one line of help). A module is imported when its
# sub-command is asked for; it has `add_arguments(parser)` and `main(args)`,
# which returns the exit status.
COMMANDS = {
    "correct": (
        "tfexposure.photo.command_correct",
        "give overexposed photos their natural exposure back",
    ),
    "inspect": (
        "tfexposure.photo.command_inspect",
        "say how photos are exposed and whether anything can be done",
    ),
    "client": (
        "tfexposure.serving.command_client",
        "correct photos by a TensorFlow Serving server",
    ),
}


def main(arguments=None):
    """Runs one sub-command.

    Args:
        arguments: list of words; `sys.argv[1:]` if `None`.

    Returns:
        exit status: 0 all well, 1 a photo or the program failed, 2 wrong
        usage.
    """
    arguments = sys.argv[1:] if arguments is None else list(arguments)
    parser = argparse.ArgumentParser(
        prog="tfexposure", description=tfexposure.__doc__.split("\n")[0]
    )
    parser.add_argument(
        "--version",
        action="version",
        version=f"tfexposure {tfexposure.__version__}",
    )
    commands = parser.add_subparsers(dest="command", metavar="COMMAND")
    for name, (module, help_text) in COMMANDS.items():
        wanted = name in arguments[:1]
        command = commands.add_parser(
            name, help=help_text, add_help=wanted, description=help_text
        )
        if wanted:
            _add_common(command)
            importlib.import_module(module).add_arguments(command)
    args = parser.parse_args(arguments)
    if args.command is None:
        parser.print_help()
        return 2
    module = importlib.import_module(COMMANDS[args.command][0])
    try:
        return module.main(args) or 0
    except (UserError, UsageError) as error:
        if args.debug:
            raise
        _complain(args.command, error)
        return 2 if isinstance(error, UsageError) else 1
    except Exception as error:
        if args.debug:
            raise
        _complain(
            args.command,
            f"an error of the program: {type(error).__name__}: {error}; "
            "--debug shows where",
        )
        return 1
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
        return 130


def _complain(command, message):
    """Prints one line, whatever the message."""
    message = " ".join(str(message).split())
    print(f"tfexposure {command}: {message}", file=sys.stderr)


def _add_common(parser):
    parser.add_argument(
        "--debug", action="store_true", help="show tracebacks of errors"
    )


def _silence_libraries():
    """Keeps what C libraries print off the terminal; Python still has it.

    libtiff and TensorFlow write to the standard error's descriptor past
    Python; a broken photo is to be one line.
    """
    sys.stderr = os.fdopen(os.dup(2), "w", buffering=1)
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)


def run():
    """Entry point of the console script."""
    if "--debug" not in sys.argv:
        _silence_libraries()
    sys.exit(main())


if __name__ == "__main__":
    run()
