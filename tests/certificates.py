"""A certificate for this machine, which signs itself."""

import shutil
import subprocess

import pytest


def make_certificate(folder):
    """Writes it and its key as PEM files; returns their paths."""
    if not shutil.which("openssl"):
        pytest.skip("openssl makes the certificate")
    files = [str(folder / "cert.pem"), str(folder / "key.pem")]
    command = [
        *("openssl", "req", "-x509", "-newkey", "ec", "-nodes", "-days", "1"),
        *("-pkeyopt", "ec_paramgen_curve:prime256v1", "-subj", "/CN=localhost"),
        *("-addext", "subjectAltName=DNS:localhost,IP:127.0.0.1"),
        *("-out", files[0], "-keyout", files[1]),
    ]
    subprocess.run(command, check=True, capture_output=True)
    return files
