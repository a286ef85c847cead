"""Which file becomes which: no photo is lost, none touched without need."""

import os

import numpy as np
import pytest
from photo_fakes import Gain
from PIL import Image

from tfexposure import cli
from tfexposure.photo import command_correct


@pytest.fixture(autouse=True)
def fake_model(monkeypatch, tmp_path):
    monkeypatch.setattr(command_correct, "open_model", lambda model: Gain(0.7))
    monkeypatch.chdir(tmp_path)


def save(name, seed=0, good=False, **options):
    """A photo, overexposed or `good`; its pixels."""
    random = np.random.default_rng(seed)
    low, high = (20, 120) if good else (180, 256)
    pixels = random.integers(low, high, (30, 40, 3), np.uint8)
    if not good:
        pixels[:10] = 255
    os.makedirs(os.path.dirname(name) or ".", exist_ok=True)
    Image.fromarray(pixels).save(name, **options)
    return pixels


def pixels_of(name):
    return np.asarray(Image.open(name)).astype(int)


def is_corrected(name, before):
    return np.abs(pixels_of(name) - before * 0.7).max() <= 0.51


def run(*words):
    return cli.main(["correct", *map(str, words)])


def test_several_photos_in_place_are_each_their_own():
    first, second = save("a.png"), save("b.png", 1)
    assert run("a.png", "b.png", "--in_place") == 0
    assert is_corrected("a.png", first) and is_corrected("b.png", second)
    assert sorted(os.listdir()) == ["a.png", "b.png"]


def test_several_photos_get_their_answers_beside_or_below_output():
    before = {f"{c}.png": save(f"{c}.png", n) for n, c in enumerate("abc")}
    assert run(*before) == 0
    assert run(*before, "--output=out") == 0
    for name, pixels in before.items():
        assert np.array_equal(pixels_of(name), pixels)
        assert is_corrected(f"out/{name}", pixels)
        assert is_corrected(name.replace(".", "_corrected."), pixels)


def test_folders_and_photos_go_together():
    save("one/a.png"), save("two/deep/b.png"), save("c.png")
    assert run("one", "two", "c.png", "--output=out") == 0
    made = sorted(
        os.path.relpath(os.path.join(parent, name), "out")
        for parent, _, names in os.walk("out")
        for name in names
    )
    assert made == ["c.png", "one/a.png", "two/deep/b.png"]


@pytest.mark.parametrize("flags", [[], ["--overwrite"]])
def test_an_existing_photo_is_not_taken_for_out(capsys, flags):
    first, second = save("a.png"), save("b.png", 1)
    assert run("a.png", "b.png", *flags) == 2
    assert "is it a second photo" in capsys.readouterr().err
    assert np.array_equal(pixels_of("b.png"), second)
    assert run("a.png", "--output=b.png") == 0  # There already.
    assert np.array_equal(pixels_of("b.png"), second)
    assert run("a.png", "--output=b.png", "--overwrite") == 0
    assert is_corrected("b.png", first)


@pytest.mark.parametrize(
    "words",
    [
        ["a.png", "b.png", "folder"],
        ["a.png", "b.png", "new_folder"],
        ["a.png", "b.png", "--in_place", "--output=folder"],
        ["a.png", "--in_place", "--format=jpeg"],
        ["a.png", "new.png", "--in_place"],
        ["a.png", "b.png", "--output=a.png"],
        ["a.png", "b.png", "--output=-"],
        ["a.png", "-", "b.png"],
        ["a.png", "--output=x.png", "--mask=a.png"],
        ["a.png", "--output=x.png", "--mask=x.png"],
        ["a.png", "--output=x.png", "--report=b.png"],
        ["a.png", "--output=x.png", "--json=b.png"],
        ["a.png", "--output=x.png", "--json=folder"],
        ["a.png", "--output=x.png", "--report=a.png/r.html"],
    ],
)
def test_what_may_mean_two_things_is_refused_before_any_work(capsys, words):
    before = [save("a.png"), save("b.png", 1)]
    os.mkdir("folder")
    assert run(*words) in (1, 2)
    assert len(capsys.readouterr().err.splitlines()) == 1
    assert sorted(os.listdir()) == ["a.png", "b.png", "folder"]
    assert os.listdir("folder") == []
    for name, pixels in zip(("a.png", "b.png"), before, strict=True):
        assert np.array_equal(pixels_of(name), pixels)


def test_an_input_is_never_the_output_of_another(capsys):
    """By name, and behind a link."""
    save("a.png"), save("c.png", 2)
    second = save("a_corrected.png", 1)
    assert run("a.png", "a_corrected.png", "c.png", "--overwrite") == 1
    assert "another photo given" in capsys.readouterr().err
    assert np.array_equal(pixels_of("a_corrected.png"), second)
    os.mkdir("out")
    os.symlink("../a_corrected.png", "out/a.png")
    words = ["a.png", "a_corrected.png", "--output=out", "--overwrite"]
    assert run(*words) == 1
    assert np.array_equal(pixels_of("a_corrected.png"), second)


def test_equal_names_of_two_folders_do_not_meet(capsys):
    save("one/a.png"), save("two/a.png", 1)
    assert run("one/a.png", "two/a.png", "--output=out") == 1
    assert "already what" in capsys.readouterr().err


def test_one_photo_under_two_names_is_corrected_once(capsys):
    before = save("a.png")
    os.symlink("a.png", "z.png")
    assert run("a.png", "./a.png", "z.png", "--in_place") == 0
    assert is_corrected("a.png", before) and os.path.islink("z.png")
    assert "the same file as a.png" in capsys.readouterr().err


@pytest.mark.parametrize("flags", [[], ["--strength=0"]])
def test_photos_left_alone_are_not_touched_in_place(flags):
    save("a.jpg", good=not flags)
    os.link("a.jpg", "other name.jpg")
    os.chmod("a.jpg", 0o640)
    os.utime("a.jpg", (1e9, 1e9))
    before = os.stat("a.jpg")
    assert run("a.jpg", "--in_place", *flags) == 0
    now = os.stat("a.jpg")
    for fact in ("ino", "mode", "uid", "nlink", "mtime_ns", "ctime_ns"):
        assert getattr(now, f"st_{fact}") == getattr(before, f"st_{fact}")
    # Anything asked for of the file itself is done all the same.
    assert run("a.jpg", "--in_place", "--quality=40", *flags) == 0
    assert os.stat("a.jpg").st_ino != before.st_ino


def test_links_are_followed_and_stay():
    before = save("store/photo.png")
    os.symlink("store/photo.png", "link.png")
    assert run("link.png", "--in_place") == 0
    assert os.path.islink("link.png")
    assert is_corrected("store/photo.png", before)
    os.symlink("elsewhere.png", "out.png")
    save("in.png")
    assert run("in.png", "--output=out.png", "--overwrite") == 0
    assert os.path.islink("out.png") and os.path.exists("elsewhere.png")


def test_what_is_replaced_keeps_mode_and_attributes():
    save("a.png")
    os.chmod("a.png", 0o604)
    try:
        os.setxattr("a.png", "user.rating", b"5")
    except (OSError, AttributeError):
        pytest.skip("no extended attributes here")
    inode = os.stat("a.png").st_ino
    assert run("a.png", "--in_place") == 0
    assert os.stat("a.png").st_ino != inode
    assert os.stat("a.png").st_mode & 0o777 == 0o604
    assert os.getxattr("a.png", "user.rating") == b"5"


@pytest.mark.parametrize("good", [False, True])
def test_nothing_made_of_a_private_photo_is_wider(good):
    save("a.png", good=good)
    os.chmod("a.png", 0o600)
    save("old.png")
    os.chmod("old.png", 0o666)
    words = ["--mask=mask.png", "--report=report.html"]
    assert run("a.png", "new.png", *words) == 0
    assert run("a.png", "--output=old.png", "--overwrite") == 0
    assert cli.main(["inspect", "a.png", "--overlay=over.png"]) == 0
    for name in ("new.png", "mask.png", "old.png", "report.html", "over.png"):
        assert os.stat(name).st_mode & 0o777 == 0o600, name


def test_inspect_does_not_replace_a_photo(capsys):
    before = save("a.png")
    for name in ("a.png", "b.jpg"):
        assert cli.main(["inspect", "a.png", f"--overlay={name}"]) == 2
    assert np.array_equal(pixels_of("a.png"), before)


def test_devices_are_written_to_not_replaced(tmp_path):
    save("a.png")
    os.mkfifo("pipe")
    reader = os.open("pipe", os.O_RDONLY | os.O_NONBLOCK)
    assert run("a.png", "b.png", "--json=pipe") == 0
    with open(reader) as file:
        assert '"status": "corrected"' in file.read()
    assert not os.path.isfile("pipe")
