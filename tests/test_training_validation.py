"""What validation measures, against NumPy."""

import numpy as np
import pytest
import training_support as support
from PIL import Image

from tfexposure.config import RunDir
from tfexposure.data.pipeline import training_stream
from tfexposure.data.sources import open_photos
from tfexposure.training.validation import Validation, crop_sets

pytestmark = pytest.mark.tf_only


class Darken:
    """Stands in for a generator: darkens, more so what is clipped."""

    def __call__(self, images):
        images = np.asarray(images)
        clipped = images.max(-1, keepdims=True) == 1
        return np.where(clipped, 0.5, 0.9) * images

    def save_weights(self, path):
        path.write_bytes(b"weights")


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    # 7 are one batch: validation leaves no rest.
    return support.write_photos(tmp_path_factory.mktemp("photos"), 7)


def run(photos, folder, **data):
    config = support.tiny_config(
        # Smaller regions than 256 pixels are not measured.
        data={"validation_source": str(photos), "crop_size": 40, **data}
    )
    source = open_photos(str(photos))
    sets = crop_sets(
        lambda size: training_stream(source, config.data, 0, size), source
    )
    validation = Validation(sets, "psnr", "generator")
    model = Darken()
    return validation.grid(7), validation.run(model, model, RunDir(folder), 3)


def test_error_in_and_out_of_the_clipped_region(photos, tmp_path):
    batch, values = run(photos, tmp_path)
    target, overexposed = batch["target"], batch["overexposed"]
    # Restored photos are rounded to 8 bits, as saved ones are.
    restored = np.floor(Darken()(overexposed) * 255 + 0.5) / 255
    error = np.abs(target - restored)
    clipped = overexposed.max(-1) == 1
    parts = {"l1_clipped": [], "l1_unclipped": [], "l1": []}
    for photo, mask in zip(error, clipped, strict=True):
        for name, region in (("l1_clipped", mask), ("l1_unclipped", ~mask)):
            if region.sum() >= 256:
                parts[name].append(photo[region].mean())
        parts["l1"] += [photo.mean()]
    for name, found in parts.items():
        assert values[name] == pytest.approx(np.mean(found), rel=1e-5), name
    assert values["l1_clipped"] > 2 * values["l1_unclipped"]
    best = support.read_json(RunDir(tmp_path).best / "metrics.json")
    assert best == {"step": 3, **values}


def test_nothing_clipped_is_left_out(tmp_path):
    photos = support.write_photos(tmp_path / "photos", 2)
    for path in photos.iterdir():
        Image.open(path).point(lambda value: value // 2).save(path)
    _, values = run(photos, tmp_path, tau_min=1.0, tau_max=1.0)
    assert "l1_clipped" not in values
    assert values["l1_unclipped"] == pytest.approx(values["l1"], rel=1e-6)
