"""The SavedModel as others load it: tensorflow-hub and Keras."""

import tarfile

import numpy as np
import pytest
import tensorflow as tf
from serving_models import (
    answer,
    picture,
    saved_model,  # noqa: F401
    trained,  # noqa: F401
)

pytestmark = pytest.mark.tf_only


@pytest.fixture(scope="module")
def hub():
    return pytest.importorskip("tensorflow_hub", reason="the extra [hub]")


def test_hub_loads_the_folder(hub, saved_model, trained):  # noqa: F811
    model = hub.load(str(saved_model))
    image = picture(21, 34)
    restored = model.signatures["serving_default"](image=tf.constant(image))
    np.testing.assert_allclose(
        restored["restored"], answer(trained[1].averaged, image), atol=1e-4
    )


def test_hub_loads_a_published_archive(
    hub,
    saved_model,  # noqa: F811
    tmp_path,
    monkeypatch,
):
    """As from a web server: the archive's URL is the handle."""
    import functools
    import http.server
    import threading

    with tarfile.open(tmp_path / "generator.tar.gz", "w:gz") as archive:
        archive.add(saved_model, arcname=".")
    monkeypatch.setenv("TFHUB_CACHE_DIR", str(tmp_path / "cache"))
    handler = functools.partial(
        http.server.SimpleHTTPRequestHandler, directory=tmp_path
    )
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        model = hub.load(
            f"http://127.0.0.1:{server.server_port}/generator.tar.gz"
        )
    finally:
        server.shutdown()
        server.server_close()
    image = tf.constant(picture(8, 8))
    assert model.signatures["serving_default"](image=image)["restored"].shape


def test_keras_takes_it_as_a_layer(saved_model, trained):  # noqa: F811
    import keras

    layer = keras.layers.TFSMLayer(
        str(saved_model), call_endpoint="serving_default"
    )
    image = picture(16, 20)
    np.testing.assert_allclose(
        layer(image)["restored"],
        answer(trained[1].averaged, image),
        atol=1e-4,
    )


def test_it_loads_without_project_code(saved_model, tmp_path):  # noqa: F811
    import subprocess
    import sys

    program = (
        "import sys, tensorflow as tf\n"
        f"m = tf.saved_model.load({str(saved_model)!r})\n"
        "f = m.signatures['serving_default']\n"
        "r = f(image=tf.zeros((1, 3, 5, 3)))['restored']\n"
        "print(r.shape, any(n.startswith('tfexposure') "
        "for n in sys.modules))\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", program],
        capture_output=True,
        text=True,
        cwd=tmp_path,
    )
    assert done.stdout.split("\n")[0] == "(1, 3, 5, 3) False", done.stderr
