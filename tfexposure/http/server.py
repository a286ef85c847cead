"""Listens for requests until a signal ends it."""

import math
import signal
import socket
import ssl
import threading

import uvicorn

from tfexposure.errors import UserError

# After the last answer's deadline, for its way to the client.
_GRACE_SECONDS = 5


class Server:
    """An application at an address; it listens from here on.

    Args:
        app: ASGI application.
        host: name or address of an interface of this machine.
        port: int; 0 for one that is free.
        timeout: seconds that a request may take.
        certificate: PEM file of the server's certificates, for HTTPS; or None.
        key: PEM file of its key; None if the certificate's file holds it.

    Attributes:
        url: where it is.

    Raises:
        UserError: if the address or the certificate cannot be used.
    """

    def __init__(self, app, host, port, timeout, certificate=None, key=None):
        if certificate:
            _check_certificate(certificate, key)
        self._socket = _listen(host, port)
        scheme = "https" if certificate else "http"
        shown = f"[{host}]" if ":" in host else host
        self.url = f"{scheme}://{shown}:{self._socket.getsockname()[1]}/"
        self._server = uvicorn.Server(
            uvicorn.Config(
                app,
                access_log=False,
                log_config=None,
                server_header=False,
                ssl_certfile=certificate,
                ssl_keyfile=key,
                timeout_graceful_shutdown=math.ceil(timeout) + _GRACE_SECONDS,
            )
        )

    def run(self):
        """Answers until SIGTERM or SIGINT; what is in hand is finished."""
        signals = (signal.SIGTERM, signal.SIGINT)
        if threading.current_thread() is threading.main_thread():
            # It hands signals on once it has stopped; that is the end then.
            for number in signals:
                signal.signal(number, lambda *_: None)
        with self._socket:
            self._server.run([self._socket])

    def stop(self):
        """Lets `run` return as a signal does; from another thread."""
        self._server.should_exit = True


def _listen(host, port):
    try:
        family, *_, address = socket.getaddrinfo(
            host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        return socket.create_server(address, family=family, backlog=128)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{host}:{port}: cannot listen there: {reason}"
        ) from error


def _check_certificate(certificate, key):
    try:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
    except (OSError, ssl.SSLError) as error:
        reason = getattr(error, "strerror", None) or error
        raise UserError(
            f"{certificate}: no certificate with its key: {reason}"
        ) from error
