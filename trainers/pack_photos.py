"""Packs photos into one file, a `--data.source` of `train_gan`.

    python trainers/pack_photos.py --train=photos/scenes/train \\
        --train=photos/ccby --valid=photos/scenes/valid --valid=photos/kodak \\
        --pairs=photos/brackets --train_pairs=photos/brackets2 \\
        --valid_scenes=s04,s05 --kept=photos/cid22 --light=photos/hdr \\
        --output=photos.npz

Badly exposed photos are left out of `--train`. `--pairs` names a folder with
`pairs.csv` (columns `over` and `reference`); such pairs only validate. The
groups `valid_light` and `valid_kept` are the last fifth of each kind.
"""

import collections
import io
import sys
from pathlib import Path

from absl import flags

from tfexposure import scripts
from tfexposure.data import documents, light
from tfexposure.data import packed as photos
from tfexposure.data.pairs import read_pairs
from tfexposure.data.well_exposed import TRAINING, is_well_exposed
from tfexposure.errors import UserError
from tfexposure.imaging.files import read_rgb
from tfexposure.storage import list_photos, write_atomically

_TRAIN = flags.DEFINE_multi_string("train", [], "Folders of training photos.")
_VALID = flags.DEFINE_multi_string("valid", [], "Folders of validation photos.")
_PAIRS = flags.DEFINE_string("pairs", "", "Folder of real pairs.")
_TRAIN_PAIRS = flags.DEFINE_string(
    "train_pairs", "", "Folder of real pairs to train on."
)
_VALID_SCENES = flags.DEFINE_list(
    "valid_scenes", [], "Scenes of train_pairs that validate instead."
)
_KEPT = flags.DEFINE_multi_string(
    "kept", [], "Folders of photos that a model shall leave as they are."
)
_DOCUMENTS = flags.DEFINE_integer(
    "documents", 0, "Drawn pages, charts, screens and collages of each kind."
)
_LIGHT = flags.DEFINE_multi_string(
    "light", [], "Folders of photos with light above white, see data/light.py."
)
_OUTPUT = flags.DEFINE_string("output", None, "The array file.", required=True)
_SHORT_SIDE = flags.DEFINE_integer(
    "short_side", 0, "Larger photos are reduced to this, in pixels; 0: none."
)
_QUALITY = flags.DEFINE_integer(
    "quality", 0, "Quality to save with; 0: the files as they are."
)
_FORMAT = flags.DEFINE_enum(
    "format", "jpeg", ["jpeg", "webp"], "What photos are saved as."
)
_MAX_TRAIN = flags.DEFINE_integer(
    "max_train", 0, "Training photos kept, evenly spaced; 0: all."
)
_PAIR_QUALITY = flags.DEFINE_integer(
    "pair_quality", 95, "Quality of the pairs, reduced to short_side."
)
# Photos with light above white are large files.
_LIGHT_SIDE = 480


def main(_):
    try:
        _pack()
    except UserError as error:
        sys.exit(f"error: {error}")


def _pack():
    found = []
    for group, folders in (("train", _TRAIN.value), ("valid", _VALID.value)):
        for folder in folders:
            for name in _names(folder):
                data, pixels = photos.encode(
                    Path(folder, name),
                    _SHORT_SIDE.value,
                    _QUALITY.value,
                    _FORMAT.value,
                )
                if group == "valid" or is_well_exposed(pixels, TRAINING):
                    found.append((f"{folder}/{name}", group, data))
    count = len([group for _, group, _ in found if group == "train"])
    if 0 < _MAX_TRAIN.value < count:
        # Training photos come first.
        steps = range(_MAX_TRAIN.value)
        kept = [found[i * count // _MAX_TRAIN.value] for i in steps]
        found = kept + found[count:]
    found += _pairs(_PAIRS.value, ("reference", "over"))
    found += _pairs(
        _TRAIN_PAIRS.value,
        ("train_reference", "train_over"),
        ("valid_reference", "valid_over"),
    )
    for folder in _KEPT.value:
        found += _kept(folder)
    for folder in _LIGHT.value:
        found += _lights(folder)
    found += _documents(found)
    if not found:
        raise UserError("no photos: name folders by --train or --valid")
    buffer = io.BytesIO()
    photos.write_photos(buffer, found)
    write_atomically(_OUTPUT.value, buffer.getvalue())
    counts = collections.Counter(group for _, group, _ in found)
    size = Path(_OUTPUT.value).stat().st_size / 2**20
    print(f"{_OUTPUT.value}: {dict(counts)}, {size:.1f} MiB")


def _names(folder):
    names = list_photos(folder)
    if not names:
        raise UserError(f"{folder}: expected a folder with photos, found none")
    return names


def _pairs(folder, groups, valid_groups=()):
    """Encodes the pairs of a folder, those of `--valid_scenes` apart."""
    found = []
    for pair in read_pairs(folder) if folder else ():
        valid = valid_groups and pair.scene in _VALID_SCENES.value
        paths = pair.reference, pair.overexposed
        names = valid_groups if valid else groups
        for group, path in zip(names, paths, strict=True):
            data, _ = photos.encode(
                path, _SHORT_SIDE.value, _PAIR_QUALITY.value, _FORMAT.value
            )
            found.append((path.name, group, data))
    return found


def _kept(folder):
    """Encodes photos to keep; the well-exposed ones are trained on, too."""
    found, names = [], _names(folder)
    for name, group in zip(names, _split("kept", len(names)), strict=True):
        data, pixels = photos.encode(
            Path(folder, name),
            _SHORT_SIDE.value,
            _QUALITY.value,
            _FORMAT.value,
        )
        found.append((f"{folder}/{name}", group, data))
        if group == "kept" and is_well_exposed(pixels, TRAINING):
            found.append((f"{folder}/{name}", "train", data))
    return found


def _documents(found):
    """Draws documents, some with photos of `train` in them."""
    pictures = [data for _, group, data in found if group == "train"][::50]
    if not _DOCUMENTS.value or not pictures:
        return []
    drawn = documents.draw_documents(
        [read_rgb(data) for data in pictures], _DOCUMENTS.value
    )
    rows = [
        (name, photos.to_bytes(pixels, 95, _FORMAT.value))
        for name, pixels in drawn
    ]
    groups = _split("kept", len(rows))
    return [(n, g, d) for (n, d), g in zip(rows, groups, strict=True)]


def _lights(folder):
    """Encodes photos with light above white, of each kind a fifth apart."""
    kinds = collections.defaultdict(list)
    for name, kind, codes in light.photos_of(folder):
        smaller = photos.shrink(codes, _SHORT_SIDE.value or _LIGHT_SIDE)
        data = photos.to_bytes(smaller, _PAIR_QUALITY.value, _FORMAT.value)
        kinds[kind].append((name, data))
    return [
        (name, group, data)
        for rows in kinds.values()
        for (name, data), group in zip(
            rows, _split("light", len(rows)), strict=True
        )
    ]


def _split(group, count):
    """Returns the group of each of `count` neighbours."""
    first = count - count // 5
    return [group] * first + [f"valid_{group}"] * (count - first)


def run():
    scripts.run(main)


if __name__ == "__main__":
    run()
