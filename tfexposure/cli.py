"""The program `tfexposure`: correct, inspect and further sub-commands."""

import argparse
import importlib
import logging
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
    "serve": (
        "tfexposure.http.command_serve",
        "correct photos over HTTP: a server for programs and browsers",
    ),
    "client": (
        "tfexposure.serving.command_client",
        "correct photos by a server of `tfexposure serve` or of TensorFlow",
    ),
}

_SIGPIPE = 141


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
        status = module.main(args) or 0
        if sys.stdout:
            sys.stdout.flush()
        return status
    except BrokenPipeError:
        return _SIGPIPE  # As of a program that the signal ends: `| head`.
    except (UserError, UsageError, OSError) as error:
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
    Python; a broken photo is to be one line. Pillow logs what it raises, too.
    """
    logging.getLogger("PIL").setLevel(logging.CRITICAL)
    sys.stderr = os.fdopen(
        os.dup(2), "w", buffering=1, errors="backslashreplace"
    )
    with open(os.devnull, "w") as nowhere:
        os.dup2(nowhere.fileno(), 2)


def _prepare_streams():
    """Makes standard streams that take any name and are there at all.

    Where one is closed the next file opened would get its number, and a
    stray message would go into a photo.
    """
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.open(os.devnull, os.O_RDWR)
    if sys.stderr is None:
        sys.stderr = open(os.devnull, "w")  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="backslashreplace")


def run():
    """Entry point of the console script."""
    _prepare_streams()
    if "--debug" not in sys.argv:
        _silence_libraries()
    status = 1
    try:
        status = main()
    except OSError:
        pass  # Not even standard error takes a line.
    except SystemExit as stopped:
        status = stopped.code
    try:
        for stream in (sys.stdout, sys.stderr):
            if stream:
                stream.flush()
    except (OSError, ValueError):
        status = status or 1
        # The interpreter would try again, and complain.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        for stream in (1, sys.stderr.fileno()):
            os.dup2(nowhere, stream)
    sys.exit(status)


if __name__ == "__main__":
    run()
