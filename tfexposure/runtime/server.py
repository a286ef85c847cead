"""Models on a server: TensorFlow Serving's, or `tfexposure serve`."""

import copy
import functools
import io
import urllib.parse

import numpy as np
from PIL import Image

from tfexposure.errors import UserError
from tfexposure.imaging.files import read_rgb
from tfexposure.runtime.model import Model
from tfexposure.runtime.server_clients import CLIENTS, SCHEMES, Refused

# What `serving_bytes_options` takes. The strength is mixed in by the client.
_OPTIONS = {"strength": 1.0, "ev": 0.0, "stops": -1.0, "force": False}


class ServerModel(Model):
    """Restores by asking a server, which tiles by itself.

    Args:
        client: has `restore(bytes, options) -> bytes` of encoded pictures, and
            a name for errors, `server`.
        sends_files: whether to send a photo's own file where every decoder
            makes the same pixels of it, which is small, rather than a PNG of
            the pixels. The answer to a JPEG is one, too: it has lost something.
    """

    halo = 0
    stride = 1
    # It wants whole photos: a model may judge each by all of its pixels.
    exact_tiles = False

    def __init__(self, client, sends_files=False):
        self._client = client
        self._sends_files = sends_files
        self._file: bytes | None = None
        self._shape: tuple[int, ...] = ()

    @property
    def judges(self):
        return self._takes_options

    @functools.cached_property
    def _takes_options(self):
        """Whether the server's model does: one small request tells."""
        try:
            self._client.restore(_png(np.zeros((1, 1, 3), np.uint8)), _OPTIONS)
        except Refused:
            return False
        return True

    def for_file(self, contents, shape):
        if contents is None or not self._sends_files:
            return self
        self._takes_options  # noqa: B018  # Asked once, for all copies.
        bound = copy.copy(self)
        bound._file, bound._shape = contents, shape
        return bound

    def restore(self, image, thumbnail=None):
        return self._ask(image, None)

    def correct(self, image, ev=0.0, stops=None, force=False):
        options = {
            "ev": float(ev),
            "stops": -1.0 if stops is None else float(stops),
            "force": bool(force),
        }
        return self._ask(image, _OPTIONS | options)

    def _ask(self, image, options):
        if self._file and image.shape[:2] == self._shape[:2]:
            try:
                return self._answer(self._file, image, options)
            except Refused:
                pass  # There are files that are read here and not there.
        contents = _png(np.rint(image * 255).astype(np.uint8))
        return self._answer(contents, image, options)

    def _answer(self, contents, image, options):
        reply = self._client.restore(contents, options)
        if options and reply == contents:
            return None
        restored = read_rgb(reply, f"{self._client.server}: the answer")
        if restored.shape != image.shape:
            raise UserError(
                f"{self._client.server}: answered a picture of shape "
                f"{restored.shape} to one of {image.shape}"
            )
        return restored.astype(np.float32) / np.float32(255)


def _png(pixels):
    """Encodes without loss, and quickly."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG", compress_level=1)
    return buffer.getvalue()


def is_address(model):
    """Says whether a model is named by a server's address."""
    scheme, separator, _ = str(model).partition("://")
    return bool(separator) and scheme in SCHEMES


def open_address(address):
    """Opens the model that an address names.

    Args:
        address: `SCHEME://HOST:PORT/NAME[/VERSION]`; `grpc` and `grpcs`, or
            `http` and `https` for REST.

    Returns:
        `ServerModel`.

    Raises:
        UserError: if the address is malformed or its client is not installed.
    """
    parts = urllib.parse.urlsplit(str(address))
    name, *version = parts.path.strip("/").split("/")
    numbered = not version or (len(version) == 1 and version[0].isdigit())
    if not parts.netloc or not name or not numbered:
        raise UserError(
            f"--model={address}: expected SCHEME://HOST:PORT/NAME or "
            "SCHEME://HOST:PORT/NAME/VERSION, the version a number"
        )
    return ServerModel(
        CLIENTS[SCHEMES[parts.scheme]](
            f"{parts.scheme}://{parts.netloc}",
            name,
            int(version[0]) if version else None,
        )
    )
