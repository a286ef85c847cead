"""Mixed groups of a packed file, and photos with light above white."""

import csv

import numpy as np
import pytest

from tfexposure.data import light, mixture, packed
from tfexposure.errors import UserError
from tfexposure.imaging.transfer_curves import WIDE, PQResponse


def _file(tmp_path, groups, side=16):
    rng = np.random.default_rng(0)
    rows = [
        (f"{group}{i}.png", group, packed.to_bytes(pixels, 95, "png"))
        for group, count in groups.items()
        for i, pixels in enumerate(
            rng.integers(0, 256, (count, side, side, 3), "uint8")
        )
    ]
    path = tmp_path / "photos.npz"
    with open(path, "wb") as file:
        packed.write_photos(file, rows)
    return path


GROUPS = {"train": 3, "light": 2, "train_over": 2, "train_reference": 2}


def test_groups_are_drawn_by_their_shares(tmp_path):
    path = _file(tmp_path, GROUPS)
    photos = mixture.PhotoMixture(
        path, {"train": 2, "light": 1, "pair": 1}, pairs=path
    )
    assert photos.count == 7
    drawn = [photos.images[photos.index(i, 5)].group for i in range(2000)]
    for group, share in (("train", 0.5), ("light", 0.25), ("pair", 0.25)):
        assert abs(drawn.count(group) / 2000 - share) < 0.04
    assert [photos.index(i, 5) for i in range(50)] == [
        photos.index(i, 5) for i in range(50)
    ]
    assert len({photos.index(i, 5) for i in range(200)}) == 7
    assert photos.index(0, 5) != photos.index(0, 6) or photos.index(
        1, 5
    ) != photos.index(1, 6)


def test_pairs_hold_both_frames(tmp_path):
    path = _file(tmp_path, GROUPS)
    photos = mixture.PhotoMixture(path, {"pair": 1}, pairs=path)
    reference, over = photos.images[1].frames
    expected = packed.read_photos(path, "train_reference")[1]
    np.testing.assert_array_equal(reference, expected)
    expected = packed.read_photos(path, "train_over")[1]
    np.testing.assert_array_equal(over, expected)
    views = packed.draw_views(
        (reference, reference), np.random.default_rng(), 8
    )
    np.testing.assert_array_equal(*views)


def test_missing_groups_are_named(tmp_path):
    path = _file(tmp_path, {"train": 1})
    with pytest.raises(UserError, match="'light'"):
        mixture.PhotoMixture(path, {"train": 1, "light": 1})


def _panorama(height=64):
    """Colours tell the direction: red is up, green north, blue east."""
    latitude = (0.5 - (np.arange(height) + 0.5) / height) * np.pi
    longitude = (np.arange(2 * height) + 0.5) / height * np.pi
    up = np.sin(latitude)[:, None] * np.ones(2 * height)
    north = np.cos(latitude)[:, None] * np.cos(longitude)
    east = np.cos(latitude)[:, None] * np.sin(longitude)
    return np.stack([up, north, east], axis=-1).astype("float32")


@pytest.mark.parametrize(("yaw", "pitch"), [(0, 0), (90, 0), (200, 20)])
def test_a_view_looks_where_it_is_told(yaw, pitch):
    view = light.look_at(_panorama(), yaw, pitch, 60, 33)
    along, tilt = np.radians([yaw, pitch])
    ahead = np.array(
        [
            np.sin(tilt),
            np.cos(tilt) * np.cos(along),
            np.cos(tilt) * np.sin(along),
        ]
    )
    np.testing.assert_allclose(view[16, 16], ahead, atol=0.01)
    # The middle of each border lies half the angle away.
    for edge in (view[0, 16], view[-1, 16], view[16, 0], view[16, -1]):
        cosine = edge @ ahead / np.linalg.norm(edge)
        assert abs(np.degrees(np.arccos(cosine)) - 29.6) < 1.5
    assert view[0, 16, 0] > view[-1, 16, 0]
    right = np.array([0, -np.sin(along), np.cos(along)])
    assert view[16, -1] @ right > 0.4 > -0.4 > view[16, 0] @ right


def test_a_folder_of_hdr_photos_becomes_codes(tmp_path):
    codecs = pytest.importorskip("imagecodecs")
    linear = np.full((32, 64, 3), 0.25, "float32")
    linear[:, 32:] = 4.0
    code = np.rint(PQResponse(203.0).from_linear(linear) * 4095)
    data = codecs.avif_encode(
        code.astype("uint16"), bitspersample=12, level=100, pixelformat="444"
    )
    (tmp_path / "a.avif").write_bytes(data)
    (tmp_path / "p.avif").write_bytes(data)
    with open(tmp_path / "index.csv", "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(("file", "kind", "white_nits"))
        rows.writerow(("a.avif", "graded", 203))
        rows.writerow(("p.avif", "panorama", 203))
    found = list(light.photos_of(tmp_path))
    assert [(name, kind) for name, kind, _ in found][:2] == [
        ("a.avif", "graded"),
        ("p.avif#0", "panorama"),
    ]
    assert len(found) == 9 and found[1][2].dtype == np.uint8
    values = WIDE.to_linear(found[0][2] / 255)
    np.testing.assert_allclose(values[:, :30], 0.25, rtol=0.03)
    np.testing.assert_allclose(values[:, 34:], 4.0, rtol=0.03)


@pytest.mark.parametrize(
    "text", ["file,kind\n", "file,kind,white_nits\na,b,c\n"]
)
def test_a_bad_index_is_named(tmp_path, text):
    (tmp_path / "index.csv").write_text(text + "x.avif,graded\n")
    with pytest.raises(UserError, match=r"index\.csv"):
        list(light.photos_of(tmp_path))
