"""A headless Chromium, driven by the W3C WebDriver protocol."""

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request

import pytest
from conftest import HANG

ELEMENT = "element-6066-11e4-a52e-4f735466cecf"


class Chromium:
    """Use as a context manager; skips the test if there is no Chromium."""

    def __init__(self, width=900, height=900):
        self._binary = shutil.which("chromium") or shutil.which("google-chrome")
        self._driver = shutil.which("chromedriver")
        if not (self._binary and self._driver):
            pytest.skip("needs chromium and chromedriver (chromium-driver)")
        self._size = f"--window-size={width},{height}"

    def __enter__(self):
        self._profile = tempfile.TemporaryDirectory()
        self._process = subprocess.Popen(
            [self._driver, "--port=0"],
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
        for line in self._process.stdout:
            if "started successfully on port" in line:
                port = line.split("port")[1].strip(" .\n")
                break
        self._url = f"http://127.0.0.1:{port}/session"
        options = {
            "binary": self._binary,
            "args": [
                "--headless=new",
                "--no-sandbox",
                "--disable-gpu",
                "--force-color-profile=srgb",
                f"--user-data-dir={self._profile.name}",
                self._size,
            ],
        }
        session = self._send(
            "",
            capabilities={"alwaysMatch": {"goog:chromeOptions": options}},
        )
        self._url += "/" + session["sessionId"]
        return self

    def __exit__(self, *_):
        try:
            self._send("", method="DELETE")
        finally:
            self._process.terminate()
            self._process.wait(HANG)
            self._profile.cleanup()

    def open(self, url):
        self._send("/url", url=url)

    def run(self, script, *arguments):
        """Runs a function body, which may await, and returns what it does."""
        body = (
            "const done = arguments[arguments.length - 1];"
            "const given = [...arguments].slice(0, -1);"
            "(async (...args) => {" + script + "})(...given)"
            ".then(value => done({value}), "
            "error => done({error: String(error && error.stack || error)}));"
        )
        self._send("/timeouts", script=int(HANG * 1000))
        answer = self._send("/execute/async", script=body, args=list(arguments))
        if "error" in answer:
            raise AssertionError(answer["error"])
        return answer["value"]

    def choose_file(self, selector, path):
        """Lets an <input type=file> have a file."""
        found = self._send("/element", using="css selector", value=selector)
        self._send(f"/element/{found[ELEMENT]}/value", text=str(path))

    def wait(self, condition):
        """Waits until a JavaScript expression is true."""
        end = time.monotonic() + HANG
        while not self.run(f"return Boolean({condition})"):
            assert time.monotonic() < end, f"waited in vain for {condition}"
            time.sleep(0.2)

    def click(self, selector):
        """Clicks an element as a visitor would, where it can be seen."""
        found = self._send("/element", using="css selector", value=selector)
        self._send(f"/element/{found[ELEMENT]}/click")

    def devtools(self, command, **parameters):
        """Sends a command of the DevTools protocol."""
        return self._send("/goog/cdp/execute", cmd=command, params=parameters)

    def pretend(self, width, height, *, phone=False, scheme="light"):
        """Takes the size of a device, and a light or dark scheme."""
        self.devtools(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=height,
            deviceScaleFactor=2 if phone else 1,
            mobile=phone,
        )
        self.devtools("Emulation.setTouchEmulationEnabled", enabled=phone)
        scheme = {"name": "prefers-color-scheme", "value": scheme}
        self.devtools("Emulation.setEmulatedMedia", features=[scheme])

    def screenshot(self, path):
        path.write_bytes(base64.b64decode(self._send("/screenshot", "GET")))

    def _send(self, path, method=None, **body):
        method = method or "POST"
        request = urllib.request.Request(
            self._url + path,
            data=json.dumps(body).encode() if method == "POST" else None,
            headers={"Content-Type": "application/json"},
            method=method,
        )
        try:
            with urllib.request.urlopen(request, timeout=HANG + 30) as reply:
                return json.load(reply)["value"]
        except urllib.error.HTTPError as error:
            raise AssertionError(error.read().decode()[:1000]) from None
