"""`tfexposure client IN [OUT]`: `correct`, with a server that does the work."""

import argparse

from tfexposure.errors import UsageError
from tfexposure.photo import command_correct
from tfexposure.runtime.server import ServerModel
from tfexposure.runtime.server_clients import CLIENTS, SCHEMES, Connection

_EPILOG = """\
Orientation, colour profile and all other metadata are kept here. The server
gets the file's own bytes where it can make the same pixels of them (JPEG and
PNG of 8 bits, in sRGB), else upright 8-bit pixels as a PNG. docs/http.md
and docs/serving.md tell how to start one.

examples:
  tfexposure client party.jpg fixed.jpg
  tfexposure client party.jpg fixed.jpg --server=https://photos.example
  tfexposure client holiday/ fixed/ --protocol=grpc --server=localhost:8500
"""


def add_arguments(parser):
    # Some options of `correct` mean something else here.
    parser.conflict_handler = "resolve"
    command_correct.add_arguments(parser)
    parser.epilog = _EPILOG
    add = parser.add_argument_group("server").add_argument
    # The server has its own tiles.
    add("--tile", type=int, default=None, help=argparse.SUPPRESS)
    add("--model", default="tfexposure", help="its name; default: tfexposure")
    add(
        "--server",
        default=None,
        help="host:port, or with a scheme before it: http, https, grpc, grpcs; "
        "default: localhost:8501, or :8500 for grpc",
    )
    add(
        "--protocol",
        choices=sorted(CLIENTS),
        help="default: that of --server's scheme, else rest",
    )
    add(
        "--version",
        type=int,
        help="version of the model; default: the server's choice",
    )
    add(
        "--send",
        choices=("file", "pixels"),
        default="file",
        help="file: the photo's own bytes; pixels: a PNG, larger, whose answer "
        "loses nothing; default: file",
    )
    add(
        "--timeout",
        type=float,
        default=60.0,
        help="seconds to wait for each photo, retries included; default 60",
    )
    add(
        "--rest_timeout",
        type=float,
        help="seconds to wait for the answer to one request of REST; default: "
        "what is left of --timeout",
    )
    add(
        "--retries",
        type=int,
        default=3,
        help="further tries if the server is busy or out of reach; default 3",
    )
    add(
        "--tls_ca",
        metavar="PEM",
        help="certificates to trust; default: the system's",
    )
    add("--tls_cert", metavar="PEM", help="the client's certificate")
    add("--tls_key", metavar="PEM", help="its key; default: in the same file")


def main(args):
    for name in ("timeout", "rest_timeout"):
        seconds = getattr(args, name)
        if seconds is not None and not seconds > 0:
            raise UsageError(
                f"--{name} should be positive. Received: {seconds}"
            )
    if args.retries < 0:
        raise UsageError(
            f"--retries should not be negative. Received: {args.retries}"
        )
    protocol, server = _where(args.protocol, args.server)
    client = CLIENTS[protocol](
        server,
        args.model,
        args.version,
        Connection(
            args.timeout,
            args.rest_timeout,
            args.retries,
            args.tls_ca,
            args.tls_cert,
            args.tls_key,
        ),
    )
    args.model, args.tile = ServerModel(client, args.send == "file"), 0
    return command_correct.main(args)


def _where(protocol, server):
    """Protocol and server, of which either may not be told."""
    scheme, separator, _ = (server or "").partition("://")
    if not separator:
        protocol = protocol or "rest"
        return protocol, server or {
            "rest": "localhost:8501",
            "grpc": "localhost:8500",
        }[protocol]
    if SCHEMES.get(scheme) is None or protocol not in (None, SCHEMES[scheme]):
        raise UsageError(
            f"--server={server}: expected one of {', '.join(SCHEMES)} before "
            "://, of the same --protocol"
        )
    return SCHEMES[scheme], server
