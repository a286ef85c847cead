"""Odd names, closed and full streams, kinds not read: a line or silence."""

import io
import os
import re
import struct
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image
from test_photo_files import file_of, smooth

from tfexposure.errors import UserError
from tfexposure.photo import jobs
from tfexposure.photo.batch import Output
from tfexposure.photo.io import decode, jpeg, tiff
from tfexposure.photo.results import FAILED, SKIPPED

NAMES = [b"caf\xe9.png", "写".encode() * 82 + b".png", b"a\nb.png"]


def program(*words, **options):
    """The program itself, without a network: strength 0."""
    command = [sys.executable, "-m", "tfexposure.cli", *map(os.fspath, words)]
    options = {"stderr": subprocess.PIPE, "stdout": subprocess.PIPE} | options
    return subprocess.run(command, stdin=subprocess.DEVNULL, **options)


@pytest.fixture
def folder(tmp_path):
    folder = tmp_path / "in"
    folder.mkdir()
    for name in NAMES:
        with open(os.path.join(os.fsencode(folder), name), "wb") as file:
            file.write(file_of(Image.fromarray(smooth()), "PNG"))
    return folder


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1", "ascii"])
def test_any_name_is_written_under_itself_and_reported(folder, encoding):
    out, page = folder.parent / "out", folder.parent / "page.html"
    done = program(
        *("correct", folder, f"--output={out}", "--strength=0"),
        *(f"--report={page}", f"--json={folder.parent / 'r.json'}"),
        env={**os.environ, "PYTHONIOENCODING": encoding},
    )
    assert done.returncode == 0, done.stderr
    assert sorted(os.listdir(os.fsencode(out))) == sorted(NAMES)
    assert b"3 photos: 3 unchanged" in done.stdout
    assert "caf\\xe9.png" in page.read_text("utf-8")
    again = program("inspect", folder, env={**os.environ, "LC_ALL": "C"})
    assert again.returncode == 0 and not again.stderr


def test_default_names_are_cut_to_what_a_file_system_takes():
    for name in ("x" * 251 + ".png", "写" * 83 + ".png", "a.png"):
        target = jobs.default_target(name, Output())
        assert len(os.fsencode(target)) <= 255
        assert target.name.endswith("_corrected.png")


def redirected(folder, redirection, command="inspect"):
    words = {"inspect": "in", "correct": "in -"}[command]
    if command == "correct":
        words = f"'{folder / os.fsdecode(NAMES[1])}' -"
    line = f"'{sys.executable}' -m tfexposure.cli {command} {words} "
    line += (
        f"--strength=0 {redirection}" if command == "correct" else redirection
    )
    return subprocess.run(
        ["bash", "-o", "pipefail", "-c", line],
        cwd=folder.parent,
        capture_output=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )


@pytest.mark.parametrize(
    "redirection, command, status",
    [
        (">&-", "inspect", 0),
        ("2>&-", "inspect", 0),
        (">&- 2>&-", "inspect", 0),
        ("<&-", "inspect", 0),
        ("| true", "inspect", None),
        ("> /dev/full", "inspect", 1),
        ("> /dev/full 2>&1", "inspect", 1),
        (">&-", "correct", 1),
        ("> /dev/full", "correct", 1),
        ("2> /dev/full > /dev/null", "correct", 0),
    ],
)
def test_streams_that_are_closed_or_full(folder, redirection, command, status):
    if "/dev/full" in redirection and not os.path.exists("/dev/full"):
        pytest.skip("no /dev/full here")
    done = redirected(folder, redirection, command)
    assert status is None or done.returncode == status, done.stderr
    assert b"Traceback" not in done.stderr + done.stdout
    assert b"Exception" not in done.stderr
    assert len(done.stderr.splitlines()) <= 1


def test_nothing_is_left_out_without_a_word(tmp_path, monkeypatch):
    image = Image.fromarray(smooth())
    folder = tmp_path / "in"
    (folder / "closed").mkdir(parents=True)
    image.save(folder / "a.png")
    os.symlink(tmp_path, folder / "linked")
    os.symlink("nowhere.png", folder / "dangling.png")
    (folder / "raw.dng").write_bytes(b"II*\0")
    os.mkfifo(folder / "pipe.png")
    scan = os.scandir

    def refuse(path="."):
        if str(path).endswith("closed"):  # Root may read everything.
            raise PermissionError(13, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    left_out = []
    found = jobs.find_jobs([folder], tmp_path / "out", Output(), left_out)
    assert [source.name for source, _ in found] == ["a.png", "dangling.png"]
    told = {os.path.basename(result.file): result for result in left_out}
    assert set(told) == {"linked", "closed", "raw.dng", "pipe.png"}
    assert told["closed"].status == FAILED
    assert "Permission denied" in told["closed"].error
    assert told["raw.dng"].status == SKIPPED
    assert "develop it" in told["raw.dng"].notes[0]


def lossless_jpeg(marker=0xC3, bits=8):
    frame = struct.pack(">BHHB", bits, 8, 8, 1) + b"\1\x11\0"
    return (
        b"\xff\xd8\xff"
        + bytes((marker,))
        + struct.pack(">H", len(frame) + 2)
        + frame
        + bytes(20)
    )


@pytest.mark.parametrize(
    "name, data, reason",
    [
        ("a.jxl", b"\xff\x0a" + bytes(40), "JPEG XL is not read"),
        ("a", b"\0\0\0\x0cJXL \r\n\x87\n" + bytes(40), "JPEG XL"),
        ("a.jp2", b"\0\0\0\x0cjP  \r\n\x87\n" + bytes(40), "JPEG 2000"),
        ("a.jpg", b"\xff\x4f\xff\x51" + bytes(40), "JPEG 2000"),
        ("a.psd", b"8BPS\0\1" + bytes(40), "layered files"),
        ("a.exr", b"\x76\x2f\x31\x01" + bytes(40), "HDR"),
        ("a.cr3", b"\0\0\0\x18ftypcrx " + bytes(40), "camera raw"),
        ("a.heic", b"\0\0\0\x18ftypcrx " + bytes(40), "camera raw"),
        ("a.mp4", b"\0\0\0\x18ftypisom" + bytes(40), "videos are not read"),
        ("a.ppm", b"P6 2 2 255 " + bytes(12), "not a format of photos"),
        ("a.pdf", b"%PDF-1.4", "PDF"),
        ("a.jpg", lossless_jpeg(), "lossless JPEG is not read"),
        ("a.jpg", lossless_jpeg(0xF7), "JPEG-LS is not read"),
        ("a.jpg", lossless_jpeg(0xC1, 12), "JPEG of 12 bits is not read"),
        (
            "a.bmp",
            b"BM" + struct.pack("<IIIIiiHHIIiiII", 154, 0, 54, 40, 8, 8, 1, 24,
                                4, 100, 0, 0, 0, 0) + bytes(100),
            "kind that is not read",
        ),
    ],
)  # fmt: skip
def test_intact_files_of_kinds_not_read_are_named(tmp_path, name, data, reason):
    path = tmp_path / name
    path.write_bytes(data)
    with pytest.raises(UserError, match=reason) as caught:
        decode.read_photo(path)
    assert "damaged" not in str(caught.value)
    done = program("correct", path, "--strength=0")  # Nor is OUT to blame.
    assert done.returncode == 1 and reason[:8].encode() in done.stderr
    assert b"suffix" not in done.stderr


@pytest.mark.parametrize(
    "name, data, reason",
    [
        ("a.jpg", b"GIF89a" + bytes(40), "GIF is not read"),
        ("a.jpg", b"<?xml version='1.0'?>\n<svg xmlns=''/>", "drawings"),
        ("a.jpg", b"%!PS-Adobe-3.0 EPSF-3.0", "drawings"),
        ("a.jpg", b"\n<!DOCTYPE HTML><title>404</title>", "a page of the web"),
        ("a.jpg", b"version https://git-lfs.github.com/spec/v1", "a pointer"),
        ("a.jpg", bytes(5000), "begins with zeros"),
        ("._a.jpg", b"\0\x05\x16\x07\0\2\0\0", "what macOS keeps"),
        ("a.jpg", b"PK\3\4" + bytes(40), "an archive"),
        ("a.mkv", b"\x1aE\xdf\xa3" + bytes(40), "videos are not read"),
        ("a.jpg", b"RIFF\0\0\0\0AVI LIST", "videos are not read"),
        ("a.mov", b"\0\0\0\x14ftypqt  \0\0\0\0qt  ", "videos are not read"),
        ("a.jpg", b"\0\0\0\x18ftyp3gp5" + bytes(40), "videos are not read"),
        ("a.cr2", b"II*\0\x10\0\0\0CR\2\0" + bytes(60), "camera raw"),
        ("a.tif", b"II*\0\x10\0\0\0CR\2\0" + bytes(60), "camera raw"),
        ("a.jpg", b"FUJIFILMCCD-RAW 0201", "camera raw"),
        ("a.crw", b"II\x1a\0\0\0HEAPCCDR", "camera raw"),
        ("a", bytes(128) + b"DICM", "medical and scientific"),
        ("a.png", b"\x89PNG\r\n\x1a\n\0\0\0\4CgBI" + bytes(40), "PNG as Xcode"),
        ("a.tga", b"\0\0\2" + b"\1" * 40, "not a format of photos"),
    ],
)
def test_other_kinds_are_told_by_content_whatever_the_name(name, data, reason):
    with pytest.raises(UserError, match=f"^{re.escape(name)}: {reason}"):
        decode.read_photo(data, name=name)


def raw_tiff(tags, below, order="<"):
    """A TIFF of some tags, with directories below the first one."""

    def directory(tags):
        entries = [
            struct.pack(order + "HHII", tag, 4, 1, value)
            for tag, value in sorted(tags.items())
        ]
        head = struct.pack(order + "H", len(entries))
        return head + b"".join(entries) + bytes(4)

    tags = {256: 8, 257: 8, 258: 8, 259: 1, 262: 2, **tags}
    if below:
        tags[330] = 8 + len(directory({**tags, 330: 0}))
    head = {"<": b"II*\0", ">": b"MM\0*"}[order]
    head += struct.pack(order + "I", 8)
    return head + directory(tags) + (directory(below) if below else b"")


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize(
    "tags, below",
    [
        ({254: 1}, {259: 34713, 262: 32803}),  # NEF
        ({254: 1, 259: 6}, {259: 32767}),  # ARW
        ({}, {262: 34892}),  # DNG's linear kind
        ({262: 32803}, {}),
        ({50706: 1}, {}),
    ],
)
def test_camera_raw_is_known_by_its_directories(tags, below, order):
    with pytest.raises(UserError, match="a.tif: camera raw"):
        decode.read_photo(raw_tiff(tags, below, order), name="a.tif")
    named = raw_tiff(tags, below, order)
    with pytest.raises(UserError, match="a.nef: camera raw"):
        decode.read_photo(named, name="a.nef")


def test_a_photo_named_as_camera_raw_is_told_by_its_content():
    data = file_of(Image.fromarray(smooth()), "JPEG")
    with pytest.raises(UserError, match="content is JPEG; rename it to .jpg"):
        decode.read_photo(data, name="a.dng")


def test_compressions_that_few_programs_know_are_named():
    data = bytearray(file_of(Image.fromarray(smooth()), "TIFF"))
    for number, name in ((34925, "LZMA"), (34712, "JPEG 2000"), (6, "old")):
        for at, tag, kind, _ in tiff.entries(data):
            if tag == tiff.COMPRESSION:
                tiff.put(data, at, kind, number)
        with pytest.raises(UserError, match=f"not read .*{name}.*; save it"):
            decode.read_photo(bytes(data))


def test_what_pillow_logs_is_no_second_line(tmp_path):
    path = tmp_path / "a.tif"
    data = bytearray(file_of(Image.fromarray(smooth()), "TIFF"))
    for at, tag, kind, _ in tiff.entries(data):
        if tag == tiff.SAMPLES:
            tiff.put(data, at, kind, 256)
    path.write_bytes(data)
    done = program("inspect", path)
    assert done.returncode == 1 and done.stderr.count(b"\n") == 1


def test_a_missing_plugin_is_said_of_the_file(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    data = b"\0\0\0\x18ftypheic\0\0\0\0mif1heic" + bytes(40)
    with pytest.raises(UserError, match="^a.heic: .*pip install"):
        decode.read_photo(data, name="a.heic")


def test_a_photo_without_suffix_keeps_its_format(tmp_path):
    path = tmp_path / "IMG_0001"
    path.write_bytes(file_of(Image.fromarray(smooth()), "PNG"))
    assert program("correct", path, "--strength=0").returncode == 0
    assert Image.open(tmp_path / "IMG_0001_corrected").format == "PNG"


def test_a_missing_end_marker_is_no_missing_picture():
    random = np.random.default_rng(0)
    image = Image.fromarray(random.integers(0, 256, (50, 70, 3), np.uint8))
    for picture in (image, image.convert("L"), Image.new("RGB", (40, 30))):
        data = file_of(picture, "JPEG")
        photo = decode.read_photo(data[:-2])
        expected = decode.read_photo(data).pixels.array()
        assert np.array_equal(photo.pixels.array(), expected)
        assert "end marker" in photo.notes[0]
        assert jpeg.trailer(data[:-2]) == (0, b"")
    for options in ({}, {"subsampling": 0}):
        data = file_of(image, "JPEG", progressive=True, **options)
        photo = decode.read_photo(data[:-2])
        expected = decode.read_photo(data).pixels.array()
        assert np.array_equal(photo.pixels.array(), expected)
        assert "end marker" in photo.notes[0]
        last_scan = data.rindex(b"\xff\xda")
        assert jpeg.has_all_scans(data)
        assert not jpeg.has_all_scans(data[:last_scan])
        with pytest.raises(UserError, match="damaged or cut short"):
            decode.read_photo(data[:last_scan])
    for progressive in (False, True):
        data = file_of(image, "JPEG", progressive=progressive)
        for cut in range(len(data) // 5, len(data) * 49 // 50, 11):
            with pytest.raises(UserError, match="damaged or cut short"):
                decode.read_photo(data[:cut])


def test_progress_outlives_its_terminal():
    from tfexposure.photo.progress import Progress

    class Gone(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    progress = Progress(1, Gone(), shown=True)
    progress.inside("a", 1)
    progress.end("a")
    progress.close()
