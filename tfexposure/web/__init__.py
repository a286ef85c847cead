"""The page that corrects photos in a browser, built from `web/`."""

from pathlib import Path

from tfexposure.errors import UserError

_FOLDER = Path(__file__).parent / "page"

# Whoever serves the page sends these with every file of it: no request of the
# page or its workers leaves for elsewhere, and WebAssembly may use threads.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self' 'wasm-unsafe-eval'; "
        "worker-src 'self'; connect-src 'self'; img-src 'self' blob:; "
        "style-src 'self'; manifest-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Embedder-Policy": "require-corp",
    "Cross-Origin-Opener-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
}


def page_folder():
    """Returns the folder of the page's static files; it begins at index.html.

    Raises:
        UserError: if the page was not built, in a checkout.
    """
    if not (_FOLDER / "index.html").is_file():
        raise UserError(
            f"{_FOLDER}: the page is not built; run `make web`, which needs npm"
        )
    return _FOLDER
