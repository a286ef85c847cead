"""The endpoints, as an ASGI application."""

import contextlib
import dataclasses
import functools
import json
import logging
import mimetypes
import time
import urllib.parse

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.middleware.trustedhost import TrustedHostMiddleware
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from tfexposure.http import options, pages
from tfexposure.http.corrector import Corrector
from tfexposure.http.metrics import Metrics
from tfexposure.http.refusal import Refusal
from tfexposure.http.tensorflow_serving import Servable
from tfexposure.http.workers import GONE, Workers
from tfexposure.photo.results import Result

_LOG = logging.getLogger("tfexposure.http")
_LOOPBACK = ("127.0.0.1", "localhost", "[::1]")
# The verdict's notes stay out of the header if it would get longer: servers and
# clients take 8 KiB of all headers at least.
_LONGEST_VERDICT = 4000
# Systems disagree about these.
_KINDS = {
    ".js": "text/javascript",
    ".mjs": "text/javascript",
    ".wasm": "application/wasm",
    ".webmanifest": "application/manifest+json",
}
_OWN_STYLE = "default-src 'none'; style-src 'unsafe-inline'"


@dataclasses.dataclass(frozen=True)
class Bounds:
    """How much a server takes at a time.

    Attributes:
        workers: corrections at the same time.
        queue: further requests that may wait.
        timeout: seconds for a request, its upload included.
    """

    workers: int = 2
    queue: int = 8
    timeout: float = 60.0


def make_app(
    model,
    limits,
    bounds=None,
    *,
    name="tfexposure",
    about=None,
    any_host=False,
    page=None,
):
    """Makes the application.

    Args:
        model: `Model`.
        limits: `Limits` of a photo; its bytes are those of a request, too.
        bounds: `Bounds`; `None` for the defaults.
        name: of the model in addresses.
        about: dict of what `describe` tells of the model.
        any_host: whether requests may name any host; if not, only this
            machine, so that pages of strangers cannot speak to it under a name
            of theirs.
        page: `pages.WebPage`; `None` for the package's, if there.
    """
    bounds = bounds or Bounds()
    workers = Workers(bounds.workers, bounds.queue, bounds.timeout)
    metrics = Metrics(lambda: workers.in_hand)
    corrector = Corrector(model, limits, metrics)
    servable = Servable(corrector, name, about or {})
    endpoints = _Endpoints(workers, metrics, corrector, servable)

    @contextlib.asynccontextmanager
    async def lifespan(app):
        yield
        workers.close()

    hosts = ["*"] if any_host else list(_LOOPBACK)
    return Starlette(
        routes=endpoints.routes(page or pages.web_page()),
        middleware=[Middleware(TrustedHostMiddleware, allowed_hosts=hosts)],
        exception_handlers={HTTPException: lambda _, error: _refused_by(error)},
        lifespan=lifespan,
    )


class _Endpoints:
    """What each address answers."""

    def __init__(self, workers, metrics, corrector, servable):
        self._workers = workers
        self._metrics = metrics
        self._corrector = corrector
        self._servable = servable
        self._description = pages.openapi(servable.name)

    def routes(self, page):
        """Routes of Starlette; the page takes what is left."""
        model = "/v1/models/{model}"
        found = [
            Route(path, self._measured(path, answer), methods=[method])
            for method, path, answer in (
                ("POST", "/correct", self._correct),
                ("POST", model + ":predict", self._predict),
                ("POST", model + "/versions/{version}:predict", self._predict),
                ("GET", model, self._status),
                ("GET", model + "/versions/{version}", self._status),
                ("GET", model + "/metadata", self._metadata),
                ("GET", model + "/versions/{version}/metadata", self._metadata),
                ("GET", "/healthz", self._health),
                ("GET", "/metrics", self._tell_metrics),
                ("GET", "/openapi.json", self._openapi),
                ("GET", "/docs", self._docs),
            )
        ]
        if page:
            for suffix, kind in _KINDS.items():
                mimetypes.add_type(kind, suffix)
            return [*found, Mount("/", _Page(page))]
        return [*found, Route("/", self._measured("/", self._home))]

    def _measured(self, path, answer):
        """Turns errors into answers, and counts them all."""

        async def endpoint(request):
            start = time.monotonic()
            response = await _answered(answer, request)
            self._metrics.tell_request(
                path, response.status_code, time.monotonic() - start
            )
            return response

        return endpoint

    async def _correct(self, request):
        wish = options.parse(request.query_params.multi_items())
        _check_origin(request)

        async def prepare(request):
            data = await _photo_of(self._limited(request))
            return functools.partial(self._correct_photo, data, wish)

        return await self._workers.run(request, prepare)

    def _correct_photo(self, data, wish, stop):
        start = time.monotonic()
        photo, correction, answer, kind = self._corrector.correct_file(
            data, wish.settings, lambda _: wish.output, stop
        )
        result = Result(photo.name, None, "", notes=photo.notes)
        result.tell(correction)
        result.seconds = round(time.monotonic() - start, 3)
        verdict = dataclasses.asdict(result)
        for key in ("file", "output", "error"):
            del verdict[key]
        if wish.as_json:
            return _json(verdict)
        headers = {"Tfexposure-Verdict": _header_of(verdict)}
        return _response(answer, f"image/{kind}", headers)

    async def _predict(self, request):
        self._check_model(request)
        _check_origin(request)

        async def prepare(request):
            body = await self._limited(request).body()
            return lambda stop: _response(
                self._servable.predict(body, stop), "application/json"
            )

        return await self._workers.run(request, prepare)

    async def _status(self, request):
        self._check_model(request)
        return _json(self._servable.status())

    async def _metadata(self, request):
        self._check_model(request)
        return _json(self._servable.metadata())

    async def _health(self, request):
        return _json({"status": "ok"})

    async def _tell_metrics(self, request):
        return _response(*self._metrics.exposition())

    async def _openapi(self, request):
        return _json(self._description)

    async def _docs(self, request):
        return _own_page(pages.docs_page(self._description))

    async def _home(self, request):
        return _own_page(pages.home_page(str(request.base_url)))

    def _check_model(self, request):
        given = request.path_params
        self._servable.check(given["model"], given.get("version"))

    def _limited(self, request):
        """The request, of which no more is read than is allowed."""
        most, read = self._corrector.limits.bytes, 0
        _check_length(int(request.headers.get("content-length", 0)), most)

        async def receive():
            nonlocal read
            message = await request.receive()
            read += len(message.get("body", b""))
            _check_length(read, most)
            return message

        return Request(request.scope, receive)


async def _answered(answer, request):
    """The answer, or what is wrong as one."""
    try:
        return await answer(request)
    except Refusal as refusal:
        return _refused(refusal)
    except ClientDisconnect:
        return _refused(Refusal(GONE, "the client went away"))
    except MemoryError:
        return _refused(Refusal(503, "not enough memory", {"Retry-After": "5"}))
    except HTTPException as error:
        return _refused_by(error)
    except Exception as error:
        _LOG.exception("%s %s", request.method, request.url.path)
        return _refused(
            Refusal(
                500, f"an error of the program: {type(error).__name__}: {error}"
            )
        )


def _refused(refusal):
    return _json({"error": str(refusal)}, refusal.status, refusal.headers)


def _refused_by(error):
    """What Starlette refuses by itself."""
    return _refused(Refusal(error.status_code, error.detail, error.headers))


def _json(values, status=200, headers=None):
    return _response(
        json.dumps(values).encode("ascii"), "application/json", headers, status
    )


def _own_page(text):
    headers = {"Content-Security-Policy": _OWN_STYLE}
    return _response(text.encode(), "text/html; charset=utf-8", headers)


def _response(content, kind, headers=None, status=200):
    return Response(content, status, headers, kind)


def _header_of(verdict):
    text = json.dumps(verdict)
    if len(text) > _LONGEST_VERDICT:
        text = json.dumps(verdict | {"notes": ["too many; ask answer=json"]})
    return text


async def _photo_of(request):
    """The photo's bytes: the body, or the first file of a form."""
    kind = request.headers.get("content-type", "")
    if not kind.lower().startswith("multipart/form-data"):
        return await request.body()
    async with request.form(max_files=1, max_fields=16) as form:
        for value in form.values():
            if not isinstance(value, str):
                return await value.read()
    raise Refusal(400, "photo: expected a file in the form. Received: none")


def _check_length(size, most):
    if size > most:
        raise Refusal(
            413,
            f"the request: more than the {most:,} bytes allowed (--max_bytes)",
            {"Connection": "close"},
        )


def _check_origin(request):
    """Refuses what a page of another server sends from a visitor's browser."""
    origin = request.headers.get("origin")
    if origin is None:
        return
    if urllib.parse.urlsplit(origin).netloc != request.headers.get("host"):
        raise Refusal(403, f"pages of {origin} may not use this server")


class _Page(StaticFiles):
    """The files of a `WebPage`."""

    def __init__(self, page):
        super().__init__(directory=page.folder, html=True)
        self._headers = page.headers

    async def get_response(self, path, scope):
        response = await super().get_response(path, scope)
        response.headers.update(self._headers)
        return response
