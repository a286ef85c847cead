"""Drawn documents: what a model must leave alone."""

import numpy as np
from skimage import data

from tfexposure.data.documents import draw_documents


def _drawn(count=3, seed=0):
    return dict(draw_documents([data.astronaut()], count, seed))


def test_documents_are_drawn_alike_by_seed():
    first, again, other = _drawn(), _drawn(), _drawn(seed=1)
    assert len(first) == 12
    assert {name.rstrip("012") for name in first} == {
        "page",
        "chart",
        "screen",
        "collage",
    }
    for name, image in first.items():
        assert image.dtype == np.uint8 and image.shape[2] == 3
        np.testing.assert_array_equal(image, again[name])
    assert any(first[name].shape != other[name].shape for name in first)


def test_much_of_them_is_bright_paper_and_something_is_on_it():
    for name, image in _drawn(6).items():
        grey = image.mean(axis=2)
        paper = np.percentile(grey, 90)
        assert (grey > 0.7 * paper).mean() > 0.3, name
        assert grey.min() < 0.6 * paper, name
