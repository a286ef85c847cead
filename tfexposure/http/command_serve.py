"""`tfexposure serve`: photos corrected over HTTP."""

import argparse
import functools
import ipaddress
import os
import sys

from tfexposure.errors import UsageError, import_extra
from tfexposure.photo.command_correct import add_limits
from tfexposure.photo.io.photo import Limits
from tfexposure.runtime.opening import MODEL_KINDS, open_model

# As a SavedModel takes at most; no photo of a phone or camera is larger.
_LIMITS = Limits(pixels=100_000_000, bytes=100_000_000)

_EXTRA = ("starlette", "uvicorn", "prometheus_client", "python_multipart")

_EPILOG = """\
All endpoints are described at /docs of the server, and in docs/http.md.

examples:
  tfexposure serve
  curl --data-binary @party.jpg -o fixed.jpg http://localhost:8501/correct
  tfexposure client party.jpg fixed.jpg
"""


def add_arguments(parser):
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add(
        "--model",
        help=f"what restores: {MODEL_KINDS}; default: the natural model that "
        "ships with tfexposure (needs the extra lite)",
    )
    add(
        "--name",
        default="tfexposure",
        help="of the model in addresses as of TensorFlow Serving; default: "
        "tfexposure",
    )
    add(
        "--host",
        default="127.0.0.1",
        help="interface to listen at; default: 127.0.0.1, this machine alone",
    )
    add("--port", type=int, default=8501, help="default: 8501; 0: a free one")
    add("--tls_cert", metavar="PEM", help="certificate to serve HTTPS with")
    add("--tls_key", metavar="PEM", help="its key; default: in the same file")
    load = parser.add_argument_group("load").add_argument
    load(
        "--workers",
        type=int,
        default=min(os.cpu_count() or 1, 4),
        help="corrections at the same time; default: one per core, at most 4",
    )
    load(
        "--queue",
        type=int,
        default=8,
        help="further requests that may wait; default 8; more are told to try "
        "again (status 503)",
    )
    load(
        "--timeout",
        type=float,
        default=60.0,
        help="seconds for each request, its upload included; default 60",
    )
    add_limits(parser, _LIMITS)


def main(args):
    for name, low in (("workers", 1), ("queue", 0), ("port", 0)):
        if getattr(args, name) < low:
            raise UsageError(
                f"--{name} should be at least {low}. Received: "
                f"{getattr(args, name)}"
            )
    if not args.timeout > 0:
        raise UsageError(
            f"--timeout should be positive. Received: {args.timeout}"
        )
    if args.tls_key and not args.tls_cert:
        raise UsageError("--tls_key needs --tls_cert")
    for module in _EXTRA:
        import_extra(module, "server")
    from tfexposure.http import app, server

    listening = server.Server(
        app.make_app(
            open_model(args.model),
            Limits(args.max_pixels, args.max_bytes),
            app.Bounds(args.workers, args.queue, args.timeout),
            name=args.name,
            about={"model": args.model or "natural"},
            any_host=not _is_loopback(args.host),
        ),
        args.host,
        args.port,
        args.timeout,
        args.tls_cert,
        args.tls_key,
    )
    say = functools.partial(print, file=sys.stderr, flush=True)
    say(f"tfexposure serve: {listening.url} (endpoints: {listening.url}docs)")
    listening.run()
    say("tfexposure serve: stopped")


def _is_loopback(host):
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
