"""The weights that come with the package are the ones described."""

import hashlib
import json
import subprocess
import sys

import numpy as np
import pytest
from keras import ops
from skimage import data

import tfexposure
from tfexposure import pretrained
from tfexposure.errors import UserError
from tfexposure.runtime import open_model

LUMINANCE = np.array([0.27, 0.67, 0.06])


@pytest.fixture(scope="module")
def model():
    return tfexposure.load_pretrained("natural")


def _photos():
    """A good photo and what twice the light makes of it."""
    photo = data.coffee()[:384, :512] / np.float32(255)
    light = np.minimum(photo**2.2, 0.5) / 0.5
    return photo, np.rint(light ** (1 / 2.2) * 255).astype("float32") / 255


@pytest.mark.parametrize("name", pretrained.names())
def test_manifest_tells_where_the_weights_come_from(name):
    about = pretrained.manifest(name)
    path = pretrained.FOLDER / f"{name}.npz"
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    assert about["sha256"] == digest
    limit = 16e6 if name.startswith("paper") else 5e6
    assert path.stat().st_size <= limit
    assert {"date", "step", "data", "settings", "validation"} <= set(about)
    if about["class"] == "BlindRestorer":
        assert about["parameters"] <= 2_500_000
        assert about["flops_per_pixel"] <= 100_000


def test_restores_an_overexposed_photo(model):
    target, overexposed = _photos()
    restored = ops.convert_to_numpy(model(overexposed[None]))[0]
    before = np.abs(overexposed - target).mean()
    assert np.abs(restored - target).mean() < 0.6 * before
    assert restored.min() >= 0 and restored.max() <= 1


@pytest.mark.parametrize("name", ["natural", "tau_half"])
def test_wide_blown_areas_are_filled_by_what_surrounds_them(name):
    """Levels of the U-Net can die in training, and no loss shows it."""
    restorer = tfexposure.load_pretrained(name)
    _, overexposed = _photos()
    overexposed[64:320, 64:448] = 1.0
    thumbnail = restorer.thumbnail(overexposed[None])
    slopes, embedding, _ = restorer.encode_photo(thumbnail)
    found = []
    for shade in (0.2, 0.7):
        surrounded = overexposed.copy()
        surrounded[:64], surrounded[320:] = shade, shade
        coefficients = restorer.affine_coefficients(
            surrounded[None], slopes, embedding
        )
        found.append(ops.convert_to_numpy(coefficients)[0])
    change = np.abs(found[0] - found[1]).max(axis=-1)
    # 40 pixels inside the area, at half size.
    assert change[52:140, 52:204].mean() > 2e-4


def test_shipped_file_for_phones_answers_as_the_model(model):
    _, overexposed = _photos()
    lite_model = open_model()
    thumbnail = ops.convert_to_numpy(model.thumbnail(overexposed[None]))[0]
    lite = lite_model.restore(overexposed, thumbnail)
    keras = ops.convert_to_numpy(model(overexposed[None]))[0]
    # Its weights have 8 bits: 52 dB.
    assert np.sqrt(np.square(lite - keras).mean()) < 2.5e-3
    assert (lite_model.halo, lite_model.stride) == (model.halo, model.multiple)
    pixels = np.rint(overexposed * 255).astype("uint8")
    corrected = tfexposure.correct(pixels, model=lite_model, force=True)
    assert np.sqrt(np.square(corrected / 255 - keras).mean()) < 3e-3


@pytest.mark.tf_only
def test_the_model_for_a_known_tau_fills_better_than_a_constant():
    target, overexposed = _photos()
    restored = tfexposure.correct(
        overexposed, model=open_model("tau_half"), force=True
    )
    inverse = overexposed * np.float32(0.5 ** (1 / 2.2))
    clipped = overexposed > 0.985
    # A step of the overexposed photo is less than one of the original.
    assert np.abs(restored - target)[~clipped].max() < 1.1 / 255
    assert np.abs(restored - inverse)[~clipped].max() < 0.1 / 255
    # What values above the clip are on average, in other photos (BSDS500).
    constant = np.where(clipped, 212 / 255, inverse)
    lost, constantly = (
        np.square(image - target)[clipped].mean()
        for image in (restored, constant)
    )
    assert lost < 0.8 * constantly


def test_unknown_and_damaged_weights_are_refused(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="there is: natural"):
        tfexposure.load_pretrained("paperback")
    about = json.dumps(pretrained.manifest("natural"))
    (tmp_path / "natural.json").write_text(about)
    (tmp_path / "natural.npz").write_bytes(b"not these")
    monkeypatch.setattr(pretrained, "FOLDER", tmp_path)
    with pytest.raises(UserError, match="damaged"):
        tfexposure.load_pretrained("natural")


def test_correcting_needs_no_flag_and_no_tensorflow(tmp_path):
    from PIL import Image

    target, overexposed = _photos()
    pixels = np.rint(overexposed * 255).astype("uint8")
    Image.fromarray(pixels).save(tmp_path / "in.png")
    script = (
        "import sys, tfexposure.cli as cli\n"
        "try:\n    cli.main(sys.argv[1:])\n"
        "except SystemExit as end:\n    assert not end.code, end.code\n"
        "assert 'tensorflow' not in sys.modules and 'keras' not in sys.modules"
    )
    files = [tmp_path / "in.png", tmp_path / "out.png"]
    subprocess.run(
        [sys.executable, "-c", script, "correct", *files, "--force"],
        check=True,
    )
    restored = np.asarray(Image.open(tmp_path / "out.png")) / 255
    bright, middle, good = (
        (image @ LUMINANCE).mean() for image in (overexposed, restored, target)
    )
    assert abs(middle - good) < 0.6 * abs(bright - good)
