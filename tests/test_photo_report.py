"""The report, read as text and looked at by a headless Chromium."""

import re
import shutil
import subprocess

import numpy as np
import pytest
from conftest import HANG
from photo_fakes import Gain
from PIL import Image

from tfexposure import cli
from tfexposure.photo import command_correct

CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome")
needs_chromium = pytest.mark.skipif(
    CHROMIUM is None,
    reason="no chromium here: apt-get install chromium",
)


@pytest.fixture
def page(tmp_path, monkeypatch):
    """A report on a bright, a dark and a broken photo."""
    monkeypatch.setattr(command_correct, "open_model", lambda _: Gain(0.5))
    folder = tmp_path / "in"
    folder.mkdir()
    bright = np.full((300, 400, 3), 240, np.uint8)
    bright[:120], bright[280:] = 255, 100
    Image.fromarray(bright).save(folder / "bright & <b>.png")
    Image.fromarray(np.full((30, 40), 60, np.uint8)).save(folder / "dark.png")
    (folder / "broken.png").write_bytes(b"\x89PNG\r\n\x1a\n")
    path = tmp_path / "report.html"
    words = [folder, tmp_path / "out", "--model=x", f"--report={path}"]
    assert cli.main(["correct", *map(str, words)]) == 1
    return path


def chromium(page, *flags):
    command = [CHROMIUM, "--headless", "--no-sandbox", "--disable-gpu"]
    command += ["--hide-scrollbars", "--window-size=1000,900", *flags]
    profile = page.parent / "profile"
    command += [f"--user-data-dir={profile}", page.as_uri()]
    return subprocess.run(
        command, check=True, capture_output=True, text=True, timeout=HANG
    ).stdout


def test_page_is_self_contained_and_complete(page):
    text = page.read_text(encoding="utf-8")
    sources = re.findall(r'(?:src|href)="([^"]*)"', text)
    assert len(sources) == 3  # Before, after; the dark one once.
    assert all(s.startswith("data:image/jpeg;base64,") for s in sources)
    assert "http://" not in text and "https://" not in text
    assert "bright &amp; &lt;b&gt;.png" in text and "<b>" not in text
    assert text.count('class="photo"') == 2 and text.count("<svg") == 3
    assert "broken.png" in text.split("Not shown")[1]


@needs_chromium
def test_slider_moves(page):
    probe = page.with_name("probe.html")
    script = """<script>
const input = document.querySelector(".compare input");
const style = document.querySelector(".compare").style;
const seen = [style.getPropertyValue("--x")];
for (const value of [0, 25, 100]) {
  input.value = value;
  input.dispatchEvent(new Event("input"));
  seen.push(style.getPropertyValue("--x"));
}
const pictures = [...document.images].map(i => i.naturalWidth);
document.title = seen.join() + "/" + pictures.join();
</script></body>"""
    text = page.read_text(encoding="utf-8").replace("</body>", script)
    probe.write_text(text.replace("<img", '<img decoding="sync"'), "utf-8")
    dom = chromium(probe, "--dump-dom")
    title = re.search("<title>(.*?)</title>", dom).group(1)
    assert title == "50%,0%,25%,100%/400,400,40"


@needs_chromium
def test_picture_of_the_page(page):
    shot = page.with_suffix(".png")
    chromium(page, f"--screenshot={shot}")
    pixels = np.asarray(Image.open(shot).convert("L")).astype(int)
    # The bright photo: 240 on its left half, 120 on its right half.
    rows = np.flatnonzero((pixels == 120).sum(1) > 150)
    assert len(rows) >= 140
    row = pixels[rows[len(rows) // 2]]
    right = np.flatnonzero(np.abs(row - 120) <= 1)
    left = np.flatnonzero(np.abs(row - 240) <= 1)
    assert 180 <= len(left) <= 205 and 180 <= len(right) <= 205
    assert left.max() < right.min()
