"""Classifiers for the Inception Score."""

import csv
import json

import keras
import numpy as np
import pytest
from PIL import Image

from tfexposure.errors import UserError
from tfexposure.metrics import classifiers


def tiny(size=None, activation="softmax"):
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((size, size, 3)),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, activation=activation),
        ]
    )


def test_a_keras_file_is_a_classifier_score(tmp_path):
    model = tiny(size=32)
    model.save(tmp_path / "tiny.keras")
    classifier = classifiers.open_classifier(str(tmp_path / "tiny.keras"))
    assert classifier.label == "classifier score"
    assert classifier.weights == "tiny.keras"
    images = np.random.default_rng(0).random((3, 40, 50, 3), np.float32)
    prepared = np.stack([classifier.prepare(image) for image in images])
    assert prepared.shape == (3, 32, 32, 3)
    probabilities = classifier.probabilities(prepared)
    np.testing.assert_allclose(
        probabilities, keras.ops.convert_to_numpy(model(prepared)), atol=1e-6
    )


def test_arrays_are_opened_with_the_json_beside_them(tmp_path):
    model = tiny(activation=None)
    (tmp_path / "tiny.json").write_text(model.to_json())
    arrays = {
        f"{i:03}": array.astype(np.float16)
        for i, array in enumerate(model.get_weights())
    }
    np.savez(tmp_path / "tiny_f16.npz", **arrays)
    path = str(tmp_path / "tiny_f16.npz")
    classifier = classifiers.open_classifier(path)
    images = np.random.default_rng(0).random((2, 260, 260, 3), np.float32)
    assert classifier.size == 260
    logits = keras.ops.convert_to_numpy(model(images * 255))
    expected = np.exp(logits - logits.max(axis=1, keepdims=True))
    expected /= expected.sum(axis=1, keepdims=True)
    np.testing.assert_allclose(
        classifier.probabilities(images), expected, atol=2e-2
    )
    (tmp_path / "tiny.json").unlink()
    with pytest.raises(UserError, match="tiny.json beside"):
        classifiers.open_classifier(path)


def test_prepare_takes_the_centre():
    classifier = classifiers.Classifier(None, size=8, weights="none")
    image = np.zeros((8, 24, 3), np.float32)
    image[:, 8:16] = 1
    np.testing.assert_allclose(classifier.prepare(image), 1)


@pytest.mark.tf_only
def test_a_saved_model_is_opened_through_the_hub(tmp_path):
    pytest.importorskip("tensorflow_hub", exc_type=ImportError)
    model = tiny()
    model.export(tmp_path / "saved", verbose=False)
    classifier = classifiers.open_classifier(str(tmp_path / "saved"))
    images = np.random.default_rng(0).random((2, 299, 299, 3), np.float32)
    np.testing.assert_allclose(
        classifier.probabilities(images),
        keras.ops.convert_to_numpy(model(images)),
        atol=1e-5,
    )


# No backend reads the error, but JAX compiles all of InceptionV3 before it.
@pytest.mark.tf_only
def test_what_is_missing_is_said(tmp_path, monkeypatch):
    with pytest.raises(UserError, match="nowhere.*Expected: imagenet"):
        classifiers.open_classifier("nowhere")
    (tmp_path / "bad.h5").write_bytes(b"no weights")
    with pytest.raises(UserError, match="bad.h5.*cannot be loaded"):
        classifiers.open_classifier(str(tmp_path / "bad.h5"))
    monkeypatch.setitem(__import__("sys").modules, "tensorflow_hub", None)
    with pytest.raises(UserError, match=r"tfexposure\[hub\]"):
        classifiers.open_classifier("https://example.org/classifier/1")


# Keras's own layers, which JAX takes half a minute to compile.
@pytest.mark.tf_only
def test_the_shared_classifier_recognises_photos(shared):
    """README of the shared folder: top-1 0.917 on 120 of these photos."""
    classifier = classifiers.open_classifier(
        str(shared / "weights/efficientnet_lite2_imagenet_f16.npz")
    )
    assert classifier.label == "classifier score"
    folder = shared / "photos/ccby"
    with open(folder / "attribution.csv", newline="") as file:
        rows = list(csv.DictReader(file))[::28]
    photos = []
    for row in rows:
        photo = Image.open(folder / row["file"]).convert("RGB")
        photos.append(classifier.prepare(np.asarray(photo, np.float32) / 255))
    guess = classifier.probabilities(np.stack(photos)).argmax(axis=1)
    truth = [int(row["imagenet_class_index_0_based"]) for row in rows]
    assert len(rows) == 24
    assert np.mean(guess == truth) > 0.75


def test_json_descriptions_may_state_the_input_size(tmp_path):
    model = tiny(activation=None)
    description = json.loads(model.to_json())
    description["input_size"] = 64
    (tmp_path / "tiny.json").write_text(json.dumps(description))
    np.savez(
        tmp_path / "tiny.npz",
        **{str(i): array for i, array in enumerate(model.get_weights())},
    )
    path = str(tmp_path / "tiny.npz")
    assert classifiers.open_classifier(path).size == 64
