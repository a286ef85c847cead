"""What people see: the page at `/`, the description of the endpoints."""

import dataclasses
import html
import pathlib

import tfexposure
from tfexposure import web
from tfexposure.errors import UserError
from tfexposure.http.options import OPTIONS

_VERDICT = {
    "type": "object",
    "properties": {
        "status": {"type": "string", "enum": ["corrected", "unchanged"]},
        "verdict": {"type": "string"},
        "clipped_before": {"type": "number"},
        "clipped_after": {"type": "number"},
        "tau": {"type": "number"},
        "stops": {"type": "number"},
        "stops_spread": {"type": "number"},
        "seconds": {"type": "number"},
        "notes": {"type": "array", "items": {"type": "string"}},
    },
}
_ERROR = {"type": "object", "properties": {"error": {"type": "string"}}}
_REFUSALS = {
    "400": "the photo, the options or the JSON are not what was expected",
    "408": "the request was not sent in time",
    "413": "the request is too large",
    "503": "too many requests are in hand; see Retry-After",
    "504": "no answer in time",
}
_STYLE = """\
body { font: 16px/1.5 system-ui, sans-serif; max-width: 50em; margin: 2em auto;
  padding: 0 1em; color-scheme: light dark; }
code, pre { font-family: ui-monospace, monospace; font-size: 0.9em; }
table { margin-bottom: 1em; }
td, th { text-align: left; vertical-align: top; padding: 0.1em 1em 0.1em 0; }
h2 { margin: 1.6em 0 0.2em; font-size: 1.1em; }
"""


@dataclasses.dataclass(frozen=True)
class WebPage:
    """The page that corrects photos in a browser.

    Attributes:
        folder: of its files, `index.html` among them.
        headers: dict of what each of them is sent with.
    """

    folder: pathlib.Path
    headers: dict


def web_page():
    """Finds the `WebPage` that comes with the package; None without one."""
    try:
        return WebPage(web.page_folder(), web.HEADERS)
    except UserError:
        return None


def openapi(name):
    """Describes the endpoints, as OpenAPI 3.1.

    Args:
        name: of the model in addresses.
    """
    model = f"/v1/models/{name}"
    photo = {"schema": {"type": "string", "format": "binary"}}
    form = {
        "schema": {
            "type": "object",
            "properties": {"photo": photo["schema"]},
            "required": ["photo"],
        }
    }
    correct = _operation(
        "Corrects a photo; metadata, orientation and colours are kept",
        {"image/*": photo, "application/json": {"schema": _VERDICT}},
        {"application/octet-stream": photo, "multipart/form-data": form},
    )
    correct["parameters"] = [
        {
            "name": option,
            "in": "query",
            "description": schema["description"],
            "schema": {k: v for k, v in schema.items() if k != "description"},
        }
        for option, schema in OPTIONS.items()
    ]
    correct["responses"]["200"]["headers"] = {
        "Tfexposure-Verdict": {
            "description": "the verdict as JSON",
            "schema": {"type": "string"},
        }
    }
    any_json = {"application/json": {"schema": {"type": "object"}}}
    text = {"text/plain": {"schema": {"type": "string"}}}
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "tfexposure serve",
            "version": tfexposure.__version__,
            "description": "Gives overexposed photos their natural exposure "
            "back.",
        },
        "paths": {
            "/correct": {"post": correct},
            f"{model}:predict": {
                "post": _operation(
                    "Corrects photos in the REST shape of TensorFlow Serving",
                    any_json,
                    any_json,
                )
            },
            model: {"get": _operation("Says whether it is served", any_json)},
            f"{model}/metadata": {
                "get": _operation("Describes the signatures", any_json)
            },
            "/healthz": {"get": _operation("Says that it works", any_json)},
            "/metrics": {
                "get": _operation("Tells figures to Prometheus", text)
            },
        },
    }


def _operation(summary, answers, takes=None):
    found: dict = {
        "summary": summary,
        "responses": {"200": {"description": "done", "content": answers}},
    }
    if takes:
        found["requestBody"] = {"required": True, "content": takes}
        found["responses"] |= {
            status: {
                "description": reason,
                "content": {"application/json": {"schema": _ERROR}},
            }
            for status, reason in _REFUSALS.items()
        }
    return found


def home_page(address):
    """The page at `/` where the web page is not installed.

    Args:
        address: of the server, as its visitor named it.
    """
    return _page(
        "tfexposure serve",
        "<p>Gives overexposed photos their natural exposure back:</p>"
        "<pre>curl --data-binary @party.jpg -o fixed.jpg "
        f"{html.escape(address)}correct</pre>"
        '<p>All endpoints: <a href="docs">docs</a>, '
        '<a href="openapi.json">openapi.json</a>. Figures: '
        '<a href="metrics">metrics</a>.</p>',
    )


def docs_page(description):
    """Shows an OpenAPI description; loads nothing from anywhere.

    Args:
        description: dict of `openapi`.
    """
    parts = []
    for path, operations in description["paths"].items():
        for method, operation in operations.items():
            parts.append(
                f"<h2><code>{method.upper()} {html.escape(path)}</code></h2>"
                f"<p>{html.escape(operation['summary'])}.</p>"
                + _parameters(operation.get("parameters", []))
                + _answers(operation["responses"])
            )
    return _page(
        description["info"]["title"],
        "<p>Version {}. For programs: "
        '<a href="openapi.json">openapi.json</a>.</p>{}'.format(
            html.escape(description["info"]["version"]), "".join(parts)
        ),
    )


def _parameters(parameters):
    rows = []
    for parameter in parameters:
        schema = parameter["schema"]
        kind = " | ".join(schema.get("enum", [schema["type"]]))
        if "minimum" in schema:
            kind += f" {schema['minimum']} to {schema['maximum']}"
        if "default" in schema:
            kind += f"; default {str(schema['default']).lower()}"
        rows.append((parameter["name"], kind, parameter["description"]))
    return _table("option", rows)


def _answers(responses):
    rows = []
    for status, answer in responses.items():
        kinds = ", ".join(answer["content"])
        rows.append((status, kinds, answer["description"]))
    return _table("status", rows)


def _table(first, rows):
    if not rows:
        return ""
    lines = "".join(
        "<tr><td><code>{}</code></td><td>{}</td><td>{}</td></tr>".format(
            *map(html.escape, row)
        )
        for row in rows
    )
    head = f"<tr><th>{first}</th><th>kind</th><th>meaning</th></tr>"
    return f"<table>{head}{lines}</table>"


def _page(title, body):
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width">'
        f"<title>{title}</title><style>{_STYLE}</style></head>"
        f"<body><h1>{title}</h1>{body}</body></html>"
    )
