"""Sets of examples to score on: simulated ones and real pairs.

Both iterate over `Example`s and tell what they left out. A list of `Example`s
will do as well wherever a set is asked for.
"""

import dataclasses
from pathlib import Path

import numpy as np
from PIL import Image

from tfexposure.data.manifest import kept_photos
from tfexposure.data.pairs import read_pairs
from tfexposure.data.well_exposed import is_well_exposed
from tfexposure.errors import UserError
from tfexposure.evaluation.example import Example, read_photo, to_uint8
from tfexposure.storage import list_photos

# References that differ by less than this from their frame, in each side, are
# resized: some cameras and converters trim a few rows.
_LARGEST_MISFIT = 0.01


class SimulatedSet:
    """Photos, overexposed on purpose.

    Args:
        paths: files of well-exposed photos.
        simulation: a `Simulation`.
        max_side: larger photos are reduced to this many pixels first.
        rules: photos that `is_well_exposed` refuses are left out; None keeps
            all.
        max_unreadable: more unreadable photos than this are an error.
        name: of the set.

    Attributes:
        unreadable: messages, of the last iteration.
        left_out: names of badly exposed photos, of the last iteration.
    """

    tau_known = True

    def __init__(
        self,
        paths,
        simulation,
        max_side=None,
        rules=None,
        max_unreadable=10,
        name="simulated",
    ):
        self.paths = list(paths)
        self.simulation = simulation
        self.max_side = max_side
        self.rules = rules
        self.max_unreadable = max_unreadable
        self.name = name
        self.unreadable, self.left_out = [], []

    def __len__(self):
        return len(self.paths)

    def __iter__(self):
        self.unreadable, self.left_out = [], []
        for path in self.paths:
            target = self._read(path)
            if target is not None:
                yield self.simulation.apply(target, path.name)

    def _read(self, path):
        try:
            target = read_photo(path, self.max_side)
        except UserError as error:
            self.unreadable.append(str(error))
            if len(self.unreadable) > self.max_unreadable:
                raise UserError(
                    f"{len(self.unreadable)} photos are unreadable, more than "
                    "the limit:\n" + "\n".join(self.unreadable)
                ) from error
            return None
        if self.rules and not is_well_exposed(to_uint8(target), self.rules):
            self.left_out.append(path.name)
            return None
        return target

    def describe(self):
        """Returns what JSON should say of the set."""
        return {"kind": "simulated", **dataclasses.asdict(self.simulation)}

    def sentence(self):
        """Says how the set was made."""
        made = self.simulation
        tau = f"{made.tau_min:g}"
        if made.tau_max != made.tau_min:
            tau = f"uniform in [{tau}, {made.tau_max:g}]"
        jpeg = "no JPEG compression"
        if made.jpeg_quality:
            jpeg = f"JPEG quality {made.jpeg_quality}"
        return f"tau {tau}, response {made.response}, {jpeg}"


class PairSet:
    """Real overexposed frames and well-exposed ones of the same scenes.

    Args:
        folder: holds `pairs.csv`.
        where: conditions, as for `data.pairs.read_pairs`.
        split: `validation`, `test` or None for both.

    Raises:
        UserError: as `read_pairs`; while iterating, if a file is no photo or
            the two of a pair do not fit each other.
    """

    unreadable, left_out = (), ()

    def __init__(self, folder, where=(), split=None):
        self.name = Path(folder).resolve().name
        self.where, self.split = tuple(where), split
        self.pairs = read_pairs(folder, where, split)

    def __len__(self):
        return len(self.pairs)

    def __iter__(self):
        return map(_load, self.pairs)

    @property
    def tau_known(self):
        """Whether every pair says its tau."""
        return all(pair.tau is not None for pair in self.pairs)

    def describe(self):
        """Returns what JSON should say of the set."""
        return {
            "kind": "pairs",
            "scenes": len({pair.scene for pair in self.pairs}),
            "where": list(self.where),
            "split": self.split,
        }

    def sentence(self):
        """Says how the set was made."""
        about = self.describe()
        chosen = "".join(f", {condition}" for condition in self.where)
        split = f", split {self.split}" if self.split else ""
        return f"real pairs of {about['scenes']} scenes{chosen}{split}"


def find_photos(source, limit=None):
    """Lists the photos to evaluate on.

    Args:
        source: folder of photos, or manifest of curated ones.
        limit: at most so many, evenly spaced; None for all.

    Returns:
        List of `Path`.

    Raises:
        UserError: if there is no such source or it holds no photo.
    """
    source = Path(source)
    if source.is_dir():
        paths = [source / name for name in list_photos(source)]
    elif source.is_file():
        paths = [path for _, path in kept_photos(source)]
    else:
        raise UserError(
            f"{source} should be a folder of photos or a manifest of "
            "trainers/curate.py; it does not exist."
        )
    if not paths:
        raise UserError(f"{source} holds no photos.")
    return spread(paths, limit)


def spread(items, limit):
    """Returns at most `limit` items of a list, evenly spaced; None for all."""
    if not limit or limit >= len(items):
        return items
    places = np.linspace(0, len(items) - 1, limit).round().astype(int)
    return [items[place] for place in places]


def _load(pair):
    overexposed = read_photo(pair.overexposed)
    target = _fit(read_photo(pair.reference), overexposed.shape[:2], pair)
    return Example(
        pair.overexposed.name,
        target,
        overexposed,
        tau=pair.tau,
        scene=pair.scene,
    )


def _fit(reference, size, pair):
    """Resizes a reference to its frame's size, if they hardly differ."""
    if reference.shape[:2] == size:
        return reference
    height, width = size
    misfit = np.abs(np.array(reference.shape[:2]) / size - 1).max()
    if misfit >= _LARGEST_MISFIT:
        raise UserError(
            f"{pair.reference}: the reference should have the size of "
            f"{pair.overexposed.name}, {width} x {height} pixels, but for 1 %. "
            f"It has {reference.shape[1]} x {reference.shape[0]}."
        )
    image = Image.fromarray(to_uint8(reference))
    image = image.resize((width, height), Image.Resampling.LANCZOS)
    return np.asarray(image, np.float32) / 255
