"""The program `tfexposure`: files, folders, pipes, messages, exit status."""

import io
import json
import subprocess
import sys

import numpy as np
import pytest
from conftest import HANG
from photo_fakes import Gain
from PIL import Image

from tfexposure import cli
from tfexposure.photo import command_correct


@pytest.fixture(autouse=True)
def fake_model(monkeypatch):
    monkeypatch.setattr(command_correct, "open_model", lambda model: Gain(0.7))


def bright(height=40, width=60, seed=0):
    """Looks overexposed: most of it near white, some of it clipped."""
    random = np.random.default_rng(seed)
    pixels = random.integers(180, 256, (height, width, 3), np.uint8)
    pixels[: height // 3] = 255
    return pixels


def save(path, pixels=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    pixels = bright() if pixels is None else pixels
    Image.fromarray(pixels).save(path, **options)
    return path


def run(*words):
    return cli.main([str(word) for word in words])


def test_one_photo(tmp_path, capsys):
    source = save(tmp_path / "in.png")
    assert run("correct", source, tmp_path / "out.png", "--model=x") == 0
    answer = np.asarray(Image.open(tmp_path / "out.png"))
    assert np.abs(answer - bright() * 0.7).max() <= 0.51
    assert "needs invention" in capsys.readouterr().out


def test_without_out_the_answer_lies_beside_the_photo(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    save(tmp_path / "in/a.b.jpg")
    before = (tmp_path / "in/a.b.jpg").read_bytes()
    assert run("correct", "in/a.b.jpg", "--model=x") == 0
    assert run("correct", "in/a.b.jpg", "--model=x", "--format=png") == 0
    out = capsys.readouterr().out
    assert "in/a.b_corrected.jpg: needs" in out
    assert Image.open(tmp_path / "in/a.b_corrected.png").format == "PNG"
    # Again: nothing is done twice, nor over what is there.
    assert run("correct", "in/a.b.jpg", "--model=x") == 0
    assert "a.b_corrected.jpg exists" in capsys.readouterr().out
    assert (tmp_path / "in/a.b.jpg").read_bytes() == before
    assert run("correct", "absent.jpg", "--model=x") == 1
    assert "absent.jpg: does not exist" in capsys.readouterr().err
    assert run("correct", tmp_path.anchor, "--model=x") == 1
    assert "name an OUT" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["in", "in/", "."])
def test_without_out_a_folder_gets_one_beside_it(tmp_path, monkeypatch, name):
    source = save(tmp_path / "in/deep/a.png")
    monkeypatch.chdir(source.parents[1] if name == "." else tmp_path)
    assert run("correct", name, "--model=x") == 0
    answer = np.asarray(Image.open(tmp_path / "in_corrected/deep/a.png"))
    assert np.abs(answer - bright() * 0.7).max() <= 0.51


def test_in_place_needs_no_out(tmp_path):
    source = save(tmp_path / "a.png")
    assert run("correct", source, "--model=x", "--in_place") == 0
    assert [path.name for path in tmp_path.iterdir()] == ["a.png"]
    assert (np.asarray(Image.open(source)) != bright()).any()


def test_strength_zero_is_the_input_byte_for_byte(tmp_path):
    source = save(tmp_path / "in.jpg", quality=70)
    target = tmp_path / "out.jpg"
    assert run("correct", source, target, "--model=x", "--strength=0") == 0
    assert target.read_bytes() == source.read_bytes()


def test_folder_keeps_its_tree_and_survives_a_bad_file(tmp_path, capsys):
    save(tmp_path / "in/a.jpg")
    save(tmp_path / "in/deep/er/b.PNG")
    save(tmp_path / "in/.hidden/c.jpg")
    (tmp_path / "in/deep/bad.jpg").write_bytes(b"\xff\xd8\xff broken")
    (tmp_path / "in/notes.txt").write_text("not a photo")
    report = tmp_path / "report.json"
    words = ["correct", tmp_path / "in", tmp_path / "out", "--model=x"]
    assert run(*words, f"--json={report}") == 1
    made = sorted(
        str(path.relative_to(tmp_path / "out"))
        for path in (tmp_path / "out").rglob("*")
        if path.is_file()
    )
    assert made == ["a.jpg", "deep/er/b.PNG"]
    captured = capsys.readouterr()
    errors = captured.err.strip().splitlines()
    assert len(errors) == 1 and "bad.jpg" in errors[0]
    assert "3 photos: 2 corrected, 1 failed" in captured.out
    rows = {row["file"][-5:]: row for row in json.loads(report.read_text())}
    assert rows["a.jpg"]["status"] == "corrected"
    assert rows["a.jpg"]["clipped_before"] > 0.3
    assert rows["a.jpg"]["clipped_after"] == 0
    assert 0 < rows["a.jpg"]["tau"] < 1 and rows["a.jpg"]["seconds"] > 0
    assert "bad.jpg" in rows["d.jpg"]["error"]

    # The second time only what failed is tried again.
    stamp = (tmp_path / "out/a.jpg").stat().st_mtime_ns
    assert run(*words) == 1
    assert "2 skipped" in capsys.readouterr().out
    assert (tmp_path / "out/a.jpg").stat().st_mtime_ns == stamp
    assert run(*words, "--overwrite") == 1
    assert (tmp_path / "out/a.jpg").stat().st_mtime_ns != stamp


def test_output_inside_the_input_folder_is_not_input(tmp_path, capsys):
    save(tmp_path / "a.png")
    words = ["correct", tmp_path, tmp_path / "fixed", "--model=x"]
    assert run(*words) == 0 and run(*words) == 0
    assert "1 photos: 1 skipped" in capsys.readouterr().out


def test_never_over_its_own_input_unless_told(tmp_path, capsys):
    source = save(tmp_path / "a.png")
    before = source.read_bytes()
    for target in (source, tmp_path):
        assert run("correct", source, target, "--model=x", "--overwrite") == 1
        assert "overwrite itself" in capsys.readouterr().err
    assert run("correct", tmp_path, tmp_path, "--model=x") == 1
    assert source.read_bytes() == before
    assert run("correct", tmp_path, tmp_path, "--model=x", "--in_place") == 0
    assert source.read_bytes() != before


def test_one_output_for_two_inputs_is_an_error(tmp_path, capsys):
    save(tmp_path / "in/a.jpg")
    save(tmp_path / "in/a.bmp")
    words = ["correct", tmp_path / "in", tmp_path / "out", "--model=x"]
    assert run(*words, "--format=png") == 1
    assert "already what" in capsys.readouterr().err
    assert Image.open(tmp_path / "out/a.png").format == "PNG"


def test_suffix_of_out_chooses_the_format(tmp_path, capsys):
    source = save(tmp_path / "a.jpg")
    assert run("correct", source, tmp_path / "b.tif", "--model=x") == 0
    assert Image.open(tmp_path / "b.tif").format == "TIFF"
    assert run("correct", source, tmp_path / "b.xyz", "--model=x") == 1
    assert "should name a format" in capsys.readouterr().err
    words = [tmp_path / "c.tif", "--model=x", "--format=png"]
    assert run("correct", source, *words) == 1


def test_mask_has_the_photos_size(tmp_path):
    source = save(tmp_path / "a.png")
    mask = tmp_path / "mask.png"
    words = ["--model=x", f"--mask={mask}"]
    assert run("correct", source, tmp_path / "b.png", *words) == 0
    pixels = np.asarray(Image.open(mask))
    assert pixels.shape == (40, 60)
    assert (pixels[:13] == 255).all() and pixels[14:].min() == 0


@pytest.mark.parametrize("out", [["-"], []])
def test_pipes(monkeypatch, capsysbinary, out):
    buffer = io.BytesIO()
    Image.fromarray(bright()).save(buffer, "PNG")
    stdin = io.TextIOWrapper(io.BytesIO(buffer.getvalue()))
    monkeypatch.setattr(sys, "stdin", stdin)
    assert run("correct", "-", *out, "--model=x") == 0
    written = capsysbinary.readouterr().out
    answer = np.asarray(Image.open(io.BytesIO(written)))
    assert np.abs(answer - bright() * 0.7).max() <= 0.51


@pytest.mark.parametrize(
    "words, reason",
    [
        (["--strength=2"], "strength should lie in"),
        (["--quality=0"], "--quality should lie in"),
        (["--tile=3"], "tile should be"),
        (["--ev=nan"], "ev should lie in"),
    ],
)
def test_wrong_values_are_usage_errors(tmp_path, capsys, words, reason):
    source = save(tmp_path / "a.png")
    status = run("correct", source, tmp_path / "b.png", "--model=x", *words)
    assert status == 2
    captured = capsys.readouterr()
    assert reason in captured.err and len(captured.err.splitlines()) == 1
    assert not (tmp_path / "b.png").exists()


def test_inspect_prints_facts_and_writes_the_overlay(tmp_path, capsys):
    source = save(tmp_path / "a.png")
    overlay = tmp_path / "overlay.png"
    assert run("inspect", source, f"--overlay={overlay}") == 0
    assert "needs invention" in capsys.readouterr().out
    picture = np.asarray(Image.open(overlay))
    assert (picture[0, 0] == (255, 0, 255)).all()
    assert run("inspect", tmp_path, "--json") == 0
    facts = json.loads(capsys.readouterr().out)
    assert facts[0]["clipped_channels"]["red"] >= 1 / 3
    assert facts[0]["width"] == 60


def test_inspect_goes_on_after_a_bad_file(tmp_path, capsys):
    bad = tmp_path / "bad.jpg"
    bad.write_bytes(b"")
    source = save(tmp_path / "a.png")
    assert run("inspect", bad, source) == 1
    captured = capsys.readouterr()
    assert "0 bytes" in captured.err and "a.png" in captured.out


def test_help_and_no_command(capsys):
    assert run() == 2
    assert "inspect" in capsys.readouterr().out
    for command in cli.COMMANDS:
        with pytest.raises(SystemExit) as stopped:
            run(command, "--help")
        assert stopped.value.code == 0
        assert "usage" in capsys.readouterr().out


def test_program_imports_no_network_library_for_help_and_inspect(tmp_path):
    source = save(tmp_path / "a.png")
    code = (
        "import sys; from tfexposure import cli;"
        f"assert cli.main(['inspect', {str(source)!r}]) == 0;"
        "bad = {'tensorflow', 'keras', 'jax'} & set(sys.modules);"
        "assert not bad, bad"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_libraries_do_not_print_beside_the_error(tmp_path):
    """libtiff complains of broken LZW data on a descriptor of its own."""
    source = save(tmp_path / "a.tif", compression="tiff_lzw")
    data = bytearray(source.read_bytes())
    data[200:400] = b"\xff" * 200
    source.write_bytes(data)
    command = [sys.executable, "-m", "tfexposure.cli", "inspect", source]
    quiet, debug = (
        subprocess.run([*command, *flags], capture_output=True, text=True)
        for flags in ([], ["--debug"])
    )
    assert quiet.returncode == 1
    assert len(quiet.stderr.splitlines()) == 1 and "a.tif" in quiet.stderr
    assert "Traceback" in debug.stderr


def test_missing_model_is_one_line_without_traceback(tmp_path):
    source = save(tmp_path / "a.png")
    done = subprocess.run(
        [sys.executable, "-m", "tfexposure.cli", "correct", source]
        + [tmp_path / "b.png", "--model=nowhere"],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 1
    assert len(done.stderr.splitlines()) == 1
    assert "--model=nowhere" in done.stderr


def test_an_interrupt_stops_inside_a_photo(
    tmp_path, monkeypatch, capsys, request
):
    import os
    import signal
    import time

    class Slow(Gain):
        def restore(self, image, thumbnail=None):
            if not self.sizes:
                os.kill(os.getpid(), signal.SIGINT)
            time.sleep(0.05)
            return super().restore(image, thumbnail)

    runner = Slow()
    monkeypatch.setattr(command_correct, "open_model", lambda _: runner)
    source = save(tmp_path / "a.png", bright(64 * 10, 64 * 10))
    # A shell starts background jobs, and so whole test runs, deaf to it.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    request.addfinalizer(lambda: signal.signal(signal.SIGINT, before))
    target = tmp_path / "out/b.png"
    assert run("correct", source, target, "--model=x", "--tile=64") == 130
    assert len(runner.sizes) < 50
    assert not list(tmp_path.glob("out/*"))


def test_progress_line_counts_and_estimates():
    from tfexposure.photo.progress import Progress

    stream = io.StringIO()
    progress = Progress(2, stream, shown=True)
    progress.inside("a.jpg", 1)
    progress.end("a.jpg")
    progress.inside("b.jpg", 1)
    progress.close()
    lines = stream.getvalue().split("\r")
    assert "0/2 ETA" in lines[1] and "100% a.jpg" in lines[1]
    assert lines[1].count("#") == 12
    assert "1/2 ETA 00:00" in lines[2] and lines[2].count("#") == 24
    assert lines[3].strip() == ""


def test_large_photos_are_alone_small_ones_are_not():
    import threading

    from tfexposure.photo.batch import Gate

    gate, most, inside = Gate(10), [0, 0], [0, 0]
    lock, pair = threading.Lock(), threading.Barrier(2, timeout=HANG)

    def work(size):
        kind = int(size > 5)
        with gate.hold(size):
            with lock:
                inside[kind] += 1
                most[kind] = max(most[kind], inside[kind])
                assert not (inside[0] and inside[1])
            if size <= 5:
                pair.wait()
            with lock:
                inside[kind] -= 1

    threads = [
        threading.Thread(target=work, args=(size,)) for size in [5, 5, 99] * 6
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(HANG)
    assert most == [2, 1]


def test_an_error_of_the_program_is_not_called_wrong_usage(
    tmp_path, capsys, monkeypatch
):
    def broken(model):
        raise ValueError("no such\nkernel")

    monkeypatch.setattr(command_correct, "open_model", broken)
    source = save(tmp_path / "a.png")
    assert run("correct", source, tmp_path / "b.png") == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert "error of the program: ValueError: no such kernel" in line
    with pytest.raises(ValueError, match="no such"):
        run("correct", source, tmp_path / "b.png", "--debug")
    assert run("correct", source, tmp_path / "b.png", "--strength=2") == 2
    assert "strength should lie in [0, 1]" in capsys.readouterr().err
