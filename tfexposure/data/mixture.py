"""Photos of several groups, real pairs among them, mixed by shares."""

import typing

import numpy as np

from tfexposure.data.packed import (
    ArrayPhotos,
    group_of,
    is_packed,
    read_frames,
)
from tfexposure.data.pairs import read_pairs
from tfexposure.errors import UserError

PAIR = "pair"


class MixedPhoto(typing.NamedTuple):
    """A photo and what it is.

    Attributes:
        group: str, a key of the shares.
        frames: uint8 (H, W, 3), one; or two of one size, the well-exposed
            one first.
    """

    group: str
    frames: tuple[np.ndarray, ...]

    @property
    def shape(self):
        """Of the first frame."""
        return self.frames[0].shape


class PhotoMixture(ArrayPhotos):
    """Photos of several groups in memory; each group has its share.

    Args:
        source: where the groups but `pair` are: a packed file; a folder or a
            manifest has `train` alone.
        shares: dict, group -> share of the stream; they are scaled to 1.
        short_side: larger photos are reduced to this, in pixels.
        pairs: real pairs of the group `pair`: a folder with `pairs.csv`, or a
            packed file with `train_over` and `train_reference`.
        max_unreadable: see `ArrayPhotos.open`.

    Raises:
        UserError: if a group with a share is missing, or frames of a pair
            differ in size.
    """

    def __init__(
        self, source, shares, short_side=0, pairs="", max_unreadable=10
    ):
        files, images, self._ends = [], [], [0]
        shares = {group: share for group, share in shares.items() if share}
        for group in shares:
            if group == PAIR:
                names, frames = _read_pairs(pairs, short_side)
            else:
                photos = ArrayPhotos.open(
                    source, group, short_side, max_unreadable
                )
                names, frames = photos.files, zip(photos.images)
            files += names
            images += [MixedPhoto(group, tuple(each)) for each in frames]
            self._ends.append(len(images))
        super().__init__(source, files, images)
        self._shares = np.array(list(shares.values())) / sum(shares.values())

    def index(self, position, seed):
        """Returns the photo's index at a position of the endless stream."""
        rng = np.random.default_rng((seed, position, 4))
        group = rng.choice(len(self._shares), p=self._shares)
        return int(rng.integers(self._ends[group], self._ends[group + 1]))


def _read_pairs(source, short_side):
    """Returns names, and tuples of the well-exposed and the other frame."""
    if is_packed(source):
        names, references = group_of(source, "train_reference", short_side)
        frames = references, group_of(source, "train_over", short_side)[1]
    else:
        found = read_pairs(source)
        names = [str(pair.overexposed) for pair in found]
        frames = (
            read_frames([pair.reference for pair in found], short_side),
            read_frames([pair.overexposed for pair in found], short_side),
        )
    pairs = list(zip(*frames, strict=True))
    for name, (reference, over) in zip(names, pairs, strict=True):
        if reference.shape != over.shape:
            raise UserError(
                f"{name}: expected both frames of a pair in one size, got "
                f"{reference.shape[1]} x {reference.shape[0]} and "
                f"{over.shape[1]} x {over.shape[0]} pixels"
            )
    return names, pairs
