"""`tfexposure client IN [OUT]`: `correct`, with a server that does the work."""

import argparse

from tfexposure.errors import UsageError
from tfexposure.photo import command_correct
from tfexposure.runtime.server import ServerModel
from tfexposure.runtime.server_clients import CLIENTS

_EPILOG = """\
Orientation, colour profile and all other metadata are kept here; the server
sees upright 8-bit pixels. How to start one is told in docs/serving.md.

examples:
  tfexposure client party.jpg fixed.jpg --server=localhost:8500
  tfexposure client holiday/ fixed/ --protocol=rest --server=localhost:8501
"""


def add_arguments(parser):
    # Some options of `correct` mean something else here.
    parser.conflict_handler = "resolve"
    command_correct.add_arguments(parser)
    parser.epilog = _EPILOG
    add = parser.add_argument_group("server").add_argument
    # The server has its own tiles.
    add("--tile", type=int, default=None, help=argparse.SUPPRESS)
    add("--model", default="exposure", help="its name; default: exposure")
    add(
        "--server",
        default=None,
        help="host:port; default: localhost:8500, or :8501 for rest",
    )
    add(
        "--protocol",
        choices=sorted(CLIENTS),
        default="grpc",
        help="default: grpc",
    )
    add(
        "--version",
        type=int,
        help="version of the model; default: the server's choice",
    )
    add(
        "--timeout",
        type=float,
        default=60.0,
        help="seconds to wait for each photo; default 60",
    )


def main(args):
    if args.timeout <= 0:
        raise UsageError(
            f"--timeout should be positive. Received: {args.timeout}"
        )
    port = 8500 if args.protocol == "grpc" else 8501
    client = CLIENTS[args.protocol](
        args.server or f"localhost:{port}",
        args.model,
        args.version,
        args.timeout,
    )
    args.model, args.tile = ServerModel(client), 0
    return command_correct.main(args)
