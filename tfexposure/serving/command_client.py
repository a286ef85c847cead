"""`tfexposure client IN [OUT]`: `correct`, with a server that does the work."""

import argparse
import io

import numpy as np
from PIL import Image

from tfexposure.errors import UserError
from tfexposure.photo import command_correct
from tfexposure.runtime.runners import Runner
from tfexposure.serving.client import CLIENTS

_EPILOG = """\
Orientation, colour profile and all other metadata are kept here; the server
sees upright 8-bit pixels. How to start one is told in docs/serving.md.

examples:
  tfexposure client party.jpg fixed.jpg --server=localhost:8500
  tfexposure client holiday/ fixed/ --protocol=rest --server=localhost:8501
"""


class RemoteRunner(Runner):
    """Restores by asking a server, which tiles by itself.

    Args:
        client: has `restore(bytes) -> bytes` of encoded pictures.
    """

    halo = 0
    stride = 1
    concurrent = True

    def __init__(self, client):
        self._client = client

    def restore(self, image, thumbnail=None):
        pixels = np.rint(image * 255).astype(np.uint8)
        buffer = io.BytesIO()
        # Without loss, and quick to make.
        Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
        reply = self._client.restore(buffer.getvalue())
        try:
            with Image.open(io.BytesIO(reply)) as picture:
                restored = np.asarray(picture.convert("RGB"))
        except OSError as error:
            raise UserError(
                f"{self._client.server}: answered no readable picture"
            ) from error
        if restored.shape != pixels.shape:
            raise UserError(
                f"{self._client.server}: answered a picture of shape "
                f"{restored.shape} to one of {pixels.shape}"
            )
        return restored.astype(np.float32) / np.float32(255)


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
        raise ValueError(
            f"--timeout should be positive. Received: {args.timeout}"
        )
    port = 8500 if args.protocol == "grpc" else 8501
    client = CLIENTS[args.protocol](
        args.server or f"localhost:{port}",
        args.model,
        args.version,
        args.timeout,
    )
    args.model, args.tile = RemoteRunner(client), 0
    return command_correct.main(args)
