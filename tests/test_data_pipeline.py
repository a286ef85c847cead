"""Sources of photos and the stream of training batches."""

import dataclasses
import itertools
import json
import os
import shutil

import keras
import numpy as np
import pytest
import tensorflow as tf
import training_support as support
from PIL import Image

from tfexposure.config import DataConfig
from tfexposure.data import pipeline, sources
from tfexposure.data.curation import Rules, curate
from tfexposure.data.sources import FilePhotos, open_photos
from tfexposure.errors import UserError
from tfexposure.imaging import exposure

pytestmark = pytest.mark.tf_only

DATA = DataConfig(crop_size=16)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return support.write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="module")
def photos(folder):
    return open_photos(str(folder))


def take(stream, count):
    """Concatenates the first `count` batches."""
    batches = list(itertools.islice(stream.as_numpy_iterator(), count))
    return {k: np.concatenate([b[k] for b in batches]) for k in batches[0]}


def assert_same(a, b):
    for name in a:
        np.testing.assert_array_equal(a[name], b[name])


def test_batches_hold_pairs_in_range(photos):
    batch = take(pipeline.training_stream(photos, DATA, 0, 4), 1)
    assert list(batch["position"]) == [0, 1, 2, 3]
    for name in ("overexposed", "target"):
        assert batch[name].shape == (4, 16, 16, 3)
        assert batch[name].dtype == np.float32
        assert 0 <= batch[name].min() < batch[name].max() <= 1
    # Quantised to 8 bits; the target, dequantised, is not.
    steps = batch["overexposed"] * 255
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-4)
    steps = batch["target"] * 255
    assert np.abs(steps - np.round(steps)).mean() > 0.1


def test_stream_depends_on_seed_and_position_only(photos):
    whole = take(pipeline.training_stream(photos, DATA, 7, 4), 6)
    again = take(pipeline.training_stream(photos, DATA, 7, 4), 6)
    assert_same(whole, again)
    later = take(pipeline.training_stream(photos, DATA, 7, 4, start=2), 4)
    assert_same({k: v[8:] for k, v in whole.items()}, later)
    other = take(pipeline.training_stream(photos, DATA, 8, 4), 6)
    assert np.abs(whole["target"] - other["target"]).max() > 0.1


def test_cache_reads_every_file_once_and_changes_nothing(tmp_path):
    folder = support.write_photos(tmp_path, 5)
    plain, cached = (
        open_photos(str(folder), cache=cache) for cache in ("none", "memory")
    )
    # Over three epochs, and again from the middle of the second.
    expected = take(pipeline.training_stream(plain, DATA, 3, 2), 8)
    later = take(pipeline.training_stream(plain, DATA, 3, 2, start=3), 5)
    found = take(pipeline.training_stream(cached, DATA, 3, 2), 8)
    assert_same(expected, found)
    assert set(found["position"] // 5) == {0, 1, 2, 3}
    for file in plain.files:
        os.unlink(file)
    with pytest.raises(tf.errors.NotFoundError):
        take(pipeline.training_stream(plain, DATA, 3, 2), 1)
    resumed = take(pipeline.training_stream(cached, DATA, 3, 2, start=3), 5)
    assert_same(later, resumed)


def test_cache_needs_files(records):
    with pytest.raises(UserError, match="data.cache=memory is for folders"):
        open_photos(f"tfrecord:{records}", cache="memory")


def test_every_epoch_is_another_permutation(photos):
    count = photos.count
    names = photos.names(range(3 * count), seed=1)
    epochs = [tuple(names[i : i + count]) for i in range(0, len(names), count)]
    assert len(set(epochs)) == 3
    for epoch in epochs:
        assert sorted(epoch) == list(photos.files)


def test_shares_of_two_workers_make_the_whole(photos):
    whole = take(pipeline.training_stream(photos, DATA, 0, 6, start=1), 3)
    shares = [
        take(
            pipeline.training_stream(
                photos, DATA, 0, 1, 1, step_size=6, share=3, offset=offset
            ),
            9,
        )
        for offset in (0, 3)
    ]
    joined = {
        name: np.concatenate(
            [s[name][i : i + 3] for i in (0, 3, 6) for s in shares]
        )
        for name in whole
    }
    assert_same(whole, joined)


def test_crops_agree_with_pillow(folder, photos):
    # No zoom and square photos: the crop is the whole photo, resized.
    data = dataclasses.replace(DATA, resize_max=1.0, flip=False, tau_min=1.0)
    data = dataclasses.replace(data, tau_max=1.0)
    batch = take(pipeline.training_stream(photos, data, 0, 9), 1)
    names = photos.names(range(9), 0)
    for name, target in zip(names, batch["target"], strict=True):
        photo = Image.open(name)
        side = min(photo.size)
        found = []
        for left in range(photo.width - side + 1):
            square = photo.crop((left, 0, left + side, side))
            small = square.resize((16, 16), Image.BILINEAR)
            found.append(np.abs(np.asarray(small) / 255 - target).mean())
        # Half a step of noise, and Pillow's rounding between its two passes.
        assert min(found) < 0.5 / 255


def reference_overexposed(target, tau, response):
    """The paper's simulation in NumPy and float64."""
    if response == "gamma":
        light = np.minimum(target**2.2, tau) / tau
        display = light ** (1 / 2.2)
    else:
        low = target <= 0.04045
        light = np.where(low, target / 12.92, ((target + 0.055) / 1.055) ** 2.4)
        light = np.minimum(light, tau) / tau
        display = np.where(
            light <= 0.0031308,
            light * 12.92,
            1.055 * light ** (1 / 2.4) - 0.055,
        )
    return np.floor(display * 255 + 0.5) / 255


@pytest.mark.parametrize("response", ["gamma", "srgb"])
def test_simulation_agrees_with_numpy(photos, response):
    data = dataclasses.replace(DATA, tau_min=0.3, tau_max=0.3)
    data = dataclasses.replace(data, response=response)
    batch = take(pipeline.training_stream(photos, data, 0, 9), 1)
    target = batch["target"].astype(np.float64)
    expected = reference_overexposed(target, 0.3, response)
    wrong = np.abs(batch["overexposed"] - expected) > 1e-5
    # float32 may round to the neighbouring 8-bit value now and then.
    assert wrong.mean() < 1e-3
    assert np.abs(batch["overexposed"] - expected).max() < 1.01 / 255
    assert 0.05 < (batch["overexposed"] == 1).mean() < 0.95


def test_gamma_shortcut_equals_the_definition():
    image = keras.random.uniform((20, 20, 3), seed=2)
    data = dataclasses.replace(DATA, tau_min=0.4, tau_max=0.4)
    seed = tf.constant([3, 4], tf.int64)
    overexposed, target = pipeline.simulate(image, seed, data)
    expected = exposure.quantize(exposure.overexpose(target, 0.4))
    difference = np.abs(overexposed - expected)
    assert (difference > 1e-5).mean() < 1e-3


def test_tau_is_drawn_per_photo(photos):
    data = dataclasses.replace(DATA, tau_min=0.2, tau_max=0.9)
    batch = take(pipeline.training_stream(photos, data, 0, 27), 1)
    gains = []
    for overexposed, target in zip(
        batch["overexposed"], batch["target"], strict=True
    ):
        unclipped = (overexposed < 0.99) & (overexposed > 0.3)
        gains.append(np.median(overexposed[unclipped] / target[unclipped]))
    taus = np.array(gains) ** -2.2
    assert len(np.unique(np.round(taus, 2))) > 20
    assert 0.15 < taus.min() < 0.4 and 0.7 < taus.max() < 0.95


def test_jpeg_quality_adds_artefacts(photos):
    data = dataclasses.replace(DATA, jpeg_quality_min=20, jpeg_quality_max=30)
    plain = take(pipeline.training_stream(photos, DATA, 0, 9), 1)
    coded = take(pipeline.training_stream(photos, data, 0, 9), 1)
    np.testing.assert_array_equal(plain["target"], coded["target"])
    change = np.abs(plain["overexposed"] - coded["overexposed"])
    assert 1 / 255 < change.mean() < 0.1


def test_large_jpegs_are_decoded_small(tmp_path):
    random = np.random.default_rng(0)
    coarse = random.integers(5, 250, (3, 3, 3)).astype(np.uint8)
    for i, size in enumerate([(300, 261), (40, 33), (90, 70)]):
        photo = Image.fromarray(coarse).resize(size, Image.BICUBIC)
        photo.save(tmp_path / f"{i}.jpg", quality=97)
        photo.save(tmp_path / f"{i}.png")
    data = dataclasses.replace(DATA, resize_max=1.5)
    jpeg, png = (
        FilePhotos("", [str(tmp_path / f"{i}{suffix}") for i in range(3)])
        for suffix in (".jpg", ".png")
    )
    scaled, whole = (
        take(pipeline.training_stream(source, data, 0, 6), 2)["target"]
        for source in (jpeg, png)
    )
    # The same window of the same photo, but for a pixel of the scale.
    assert np.abs(scaled - whole).mean() < 0.02
    assert np.abs(scaled - whole[::-1]).mean() > 0.1


def test_unreadable_photos_are_counted_and_named(tmp_path, caplog):
    support.write_photos(tmp_path, 4, ".jpg")
    contents = (tmp_path / "00.jpg").read_bytes()
    (tmp_path / "broken: 1.jpg").write_bytes(contents[: len(contents) // 2])
    (tmp_path / "text.png").write_text("no photo")
    photos = open_photos(str(tmp_path), max_unreadable=2)
    assert photos.count == 4
    assert "broken: 1.jpg" in caplog.text and "text.png" in caplog.text
    assert "2 of 6 photos" in caplog.text
    with pytest.raises(UserError, match="(?s)2 of 6.*broken: 1.jpg.*text.png"):
        open_photos(str(tmp_path), max_unreadable=1)


def test_what_cannot_be_a_source(tmp_path):
    with pytest.raises(UserError, match="neither a folder, a manifest"):
        open_photos(str(tmp_path / "nowhere"))
    with pytest.raises(UserError, match="holds no photo"):
        open_photos(str(tmp_path))
    with pytest.raises(UserError, match="holds no photo"):
        open_photos(f"tfrecord:{tmp_path}")


def test_manifest_as_source(tmp_path):
    support.write_photos(tmp_path / "photos", 5)
    Image.new("RGB", (40, 40), (255, 255, 255)).save(
        tmp_path / "photos" / "white.png"
    )
    curate(tmp_path / "photos", tmp_path / "kept.jsonl")
    photos = open_photos(str(tmp_path / "kept.jsonl"))
    assert 0 < photos.count <= 5
    assert not any("white" in file for file in photos.files)


def test_fingerprint_sees_names_and_sizes_not_the_place(folder, tmp_path):
    support.write_photos(tmp_path)
    first = open_photos(str(tmp_path)).fingerprint()
    assert first == open_photos(str(folder)).fingerprint()
    (tmp_path / "00.png").rename(tmp_path / "zz.png")
    assert open_photos(str(tmp_path)).fingerprint() != first


def test_formats_that_tensorflow_lacks_are_left_out(tmp_path):
    support.write_photos(tmp_path, 2)
    support.write_photos(tmp_path, 2, ".tif")
    assert open_photos(str(tmp_path)).count == 2
    with pytest.raises(UserError, match="2 of 4.*=1:(?s:.*)TIFF"):
        open_photos(str(tmp_path), max_unreadable=1)


def odd_files(folder):
    """Photos that Pillow reads and TensorFlow does not, or not rightly."""
    folder.mkdir()
    image = Image.fromarray(
        np.random.default_rng(0).integers(20, 200, (40, 50, 3), np.uint8)
    )
    names = {"AVIF": "avif.jpg", "TIFF": "tiff.jpg", "PPM": "ppm.png"}
    for kind, name in names.items():
        image.save(folder / name, kind)
    image.convert("P").save(folder / "palette.bmp")
    image.convert("1").save(folder / "bits.bmp")
    image.save(
        folder / "moving.webp", save_all=True, append_images=[image.rotate(9)]
    )
    return {path.name for path in folder.iterdir()}


def usual_files(folder):
    """Photos of every kind that training decodes; one name is no UTF-8."""
    image = Image.fromarray(
        np.random.default_rng(1).integers(20, 200, (40, 50, 3), np.uint8)
    )
    for name in ("a.jpg", "a.png", "a.webp", "a.bmp"):
        image.save(folder / name)
    image.convert("CMYK").save(folder / "inks.jpg")
    image.convert("L").save(folder / "grey.jpg")
    image.save(folder / "x.jpg")
    odd = os.path.join(os.fsencode(folder), b"caf\xe9.jpg")
    os.rename(folder / "x.jpg", odd)
    return 7


@pytest.mark.parametrize("curated", [False, True])
def test_what_is_opened_is_decoded_in_training(tmp_path, caplog, curated):
    odd = odd_files(tmp_path / "photos")
    count = usual_files(tmp_path / "photos")
    source = tmp_path / "photos"
    if curated:
        source = tmp_path / "kept.jsonl"
        rules = Rules(max_bright=1, max_dark=1)
        summary = curate(tmp_path / "photos", source, rules)
        assert {id for id, _ in summary.unreadable} == odd
        assert summary.counts["keep"] == count
    photos = open_photos(str(source))
    assert photos.count == count
    assert not {os.path.basename(file) for file in photos.files} & odd
    if not curated:
        assert all(name in caplog.text for name in odd)
    batches = pipeline.training_stream(photos, DATA, 0, count)
    for batch in batches.take(2):
        assert np.isfinite(batch["target"]).all()
    assert len(photos.fingerprint()) == 64


def test_a_manifest_of_before_does_not_stop_a_run(tmp_path, caplog):
    """It keeps what today's curation would not; and a file has gone."""
    folder = tmp_path / "photos"
    folder.mkdir()
    count = usual_files(folder)
    rules = Rules(max_bright=1, max_dark=1)
    curate(folder, tmp_path / "kept.jsonl", rules)
    Image.open(folder / "a.png").save(folder / "a.jpg", "TIFF")
    (folder / "grey.jpg").unlink()
    photos = open_photos(str(tmp_path / "kept.jsonl"))
    assert photos.count == count - 2
    assert "a.jpg: TIFF" in caplog.text and "grey.jpg: No such" in caplog.text


@pytest.fixture(scope="module")
def records(folder, tmp_path_factory):
    """Three shards of encoded photos."""
    target = tmp_path_factory.mktemp("records")
    files = sorted(folder.iterdir())
    for shard in range(3):
        path = target / f"photos-{shard:05}-of-00003.tfrecord"
        with tf.io.TFRecordWriter(str(path)) as writer:
            for file in files[shard::3]:
                values = {"image": file.read_bytes(), "id": file.name.encode()}
                features = {
                    name: tf.train.Feature(
                        bytes_list=tf.train.BytesList(value=[value])
                    )
                    for name, value in values.items()
                }
                example = tf.train.Example(
                    features=tf.train.Features(feature=features)
                )
                writer.write(example.SerializeToString())
    return target


def check_sequential(photos, seed=2):
    """What every source without random access has to fulfil."""
    count = photos.count
    whole = take(pipeline.training_stream(photos, DATA, seed, 3), count)
    assert list(whole["position"]) == list(range(3 * count))
    # Whole epochs and a rest are skipped: 4 steps are 1 epoch and 3 photos.
    start = count // 3 + 1
    later = take(pipeline.training_stream(photos, DATA, seed, 3, start), 5)
    assert_same({k: v[3 * start :][:15] for k, v in whole.items()}, later)
    share = take(
        pipeline.training_stream(
            photos, DATA, seed, 1, step_size=3, share=1, offset=2
        ),
        5,
    )
    assert_same({k: v[2:15:3] for k, v in whole.items()}, share)
    order = [
        bytes(contents)
        for _, contents in photos.encoded(seed)
        .take(2 * count)
        .as_numpy_iterator()
    ]
    assert set(order[:count]) == set(order[count:])
    assert len(set(order)) == count
    assert order[:count] != order[count:]


@pytest.mark.parametrize("process_seed", [0, 5])
def test_records_as_source(folder, records, process_seed):
    # A run seeds the whole process; 0 once broke the shuffling.
    tf.random.set_seed(process_seed)
    photos = open_photos(f"tfrecord:{records}")
    assert photos.count == 9
    check_sequential(photos)
    names = photos.names([0, 4, 10], seed=2)
    stream = list(photos.encoded(2).take(11).as_numpy_iterator())
    for name, position in zip(names, [0, 4, 10], strict=True):
        assert (folder / name).read_bytes() == stream[position][1]
    one = records / "photos-00001-of-00003.tfrecord"
    assert open_photos(f"tfrecord:{one}").count == 3
    assert open_photos(f"tfrecord:{one}").fingerprint() != photos.fingerprint()


def test_truncated_records_are_named(records, tmp_path):
    whole = (records / "photos-00001-of-00003.tfrecord").read_bytes()
    (tmp_path / "cut.tfrecord").write_bytes(whole[:-5])
    with pytest.raises(UserError, match="cut.tfrecord.*after 2 records"):
        open_photos(f"tfrecord:{tmp_path}")


def test_only_what_changed_is_decoded_again(folder, tmp_path, monkeypatch):
    copy = shutil.copytree(folder, tmp_path / "copy")
    (copy / "broken.png").write_bytes(b"no photo")
    first = open_photos(str(copy))
    assert first.count == 9 and len(first.checked) == 10
    decoded = []
    decode = sources.unreadable
    monkeypatch.setattr(
        sources,
        "unreadable",
        lambda files: decoded.extend(files) or decode(files),
    )
    # As a run's folder holds it.
    checked = json.loads(json.dumps(first.checked))
    again = open_photos(str(copy), checked=checked)
    assert again.files == first.files and not decoded
    with pytest.raises(UserError, match="broken.png"):
        open_photos(str(copy), max_unreadable=0, checked=checked)
    changed, gone, *_ = sorted(copy.glob("0*.png"))
    changed.write_bytes(changed.read_bytes()[:50])
    gone.unlink()
    last = open_photos(str(copy), checked=checked)
    assert decoded == [str(changed)]
    assert set(first.files) - set(last.files) == {str(changed), str(gone)}
    open_photos(str(copy), checked={name: [] for name in checked})
    assert len(decoded) == 1 + 9


def test_tfds_as_source(folder, tmp_path):
    tf.random.set_seed(0)
    pytest.importorskip("tensorflow_datasets")
    source = support.prepare_tfds(folder, tmp_path, train=slice(9))
    photos = open_photos(source)
    assert photos.count == 9
    check_sequential(photos)
    assert open_photos(source, "train[:5]").count == 5
    assert photos.names([3], 0) == [f"{source}, example 3"]
    with pytest.raises(UserError, match="split 'test'"):
        open_photos(source, "test")
    with pytest.raises(UserError, match="tfds:no_such_set") as told:
        open_photos("tfds:no_such_set")
    assert "\n" not in str(told.value)


def test_service_hands_out_every_photo_once(photos):
    service = tf.data.experimental.service
    dispatcher = service.DispatchServer()
    address = dispatcher.target.split("://")[1]
    workers = [
        service.WorkerServer(service.WorkerConfig(dispatcher_address=address))
        for _ in range(2)
    ]
    data = dataclasses.replace(DATA, service=dispatcher.target)
    batch = take(pipeline.training_stream(photos, data, 0, 2), 9)
    alone = take(pipeline.training_stream(photos, DATA, 0, 1), 60)
    assert len(set(batch["position"])) == 18
    for position, target in zip(
        batch["position"], batch["target"], strict=True
    ):
        np.testing.assert_array_equal(target, alone["target"][position])
    del workers
