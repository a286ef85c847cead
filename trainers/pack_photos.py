"""Packs photos into one file, a `--data.source` of `train_gan`.

    python trainers/pack_photos.py --train=photos/scenes/train \\
        --train=photos/ccby --valid=photos/scenes/valid --valid=photos/kodak \\
        --pairs=photos/brackets --output=photos.npz

Badly exposed photos are left out of `--train`. `--pairs` names a folder with
`pairs.csv` (columns `over` and `reference`); such pairs only validate.
"""

import collections
import io
import sys
from pathlib import Path

from absl import flags

from tfexposure import scripts
from tfexposure.data import packed as photos
from tfexposure.data.pairs import read_pairs
from tfexposure.data.well_exposed import TRAINING, is_well_exposed
from tfexposure.errors import UserError
from tfexposure.storage import list_photos, write_atomically

_TRAIN = flags.DEFINE_multi_string("train", [], "Folders of training photos.")
_VALID = flags.DEFINE_multi_string("valid", [], "Folders of validation photos.")
_PAIRS = flags.DEFINE_string("pairs", "", "Folder of real pairs.")
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


def main(_):
    try:
        _pack()
    except UserError as error:
        sys.exit(f"error: {error}")


def _pack():
    found = []
    for group, folders in (("train", _TRAIN.value), ("valid", _VALID.value)):
        for folder in folders:
            for name in list_photos(folder):
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
    if _PAIRS.value:
        pairs = read_pairs(_PAIRS.value)
        for group, paths in (
            ("over", [pair.overexposed for pair in pairs]),
            ("reference", [pair.reference for pair in pairs]),
        ):
            for path in paths:
                data, _ = photos.encode(
                    path,
                    _SHORT_SIDE.value,
                    _PAIR_QUALITY.value,
                    _FORMAT.value,
                )
                found.append((path.name, group, data))
    if not found:
        raise UserError("no photos: name folders by --train or --valid")
    buffer = io.BytesIO()
    photos.write_photos(buffer, found)
    write_atomically(_OUTPUT.value, buffer.getvalue())
    counts = collections.Counter(group for _, group, _ in found)
    size = Path(_OUTPUT.value).stat().st_size / 2**20
    print(f"{_OUTPUT.value}: {dict(counts)}, {size:.1f} MiB")


def run():
    scripts.run(main)


if __name__ == "__main__":
    run()
