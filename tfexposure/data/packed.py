"""Photos in memory, for training without TensorFlow's input pipeline.

They come from a folder, a manifest, or a packed file: an `.npz` of encoded
photos with `bytes` (all files end to end), `offsets` (N + 1), `names` and
`groups` (N). Groups used here are `train`, `valid`, and `over` with
`reference`, equally long: real overexposed frames and the well-exposed frame
of the same scene.
"""

import concurrent.futures
import functools
import hashlib
import io
import os
import zipfile
from pathlib import Path

import numpy as np
from absl import logging
from PIL import Image

from tfexposure.data.manifest import kept_photos
from tfexposure.errors import UserError
from tfexposure.imaging.files import read_rgb
from tfexposure.storage import list_photos


def encode(path, short_side=0, quality=0, kind="jpeg"):
    """Reads a photo's file, made smaller where asked.

    Args:
        path: of the photo.
        short_side: largest short side in pixels; 0 keeps the size.
        quality: quality to save with; 0 keeps the file's own bytes where the
            size stays.
        kind: `"jpeg"` or `"webp"`, a third smaller.

    Returns:
        The encoded photo and its 8-bit RGB pixels.

    Raises:
        UserError: if the file is no photo that can be read.
    """
    pixels = read_rgb(path)
    smaller = shrink(pixels, short_side)
    if smaller is pixels and not quality:
        return path.read_bytes(), pixels
    return to_bytes(smaller, quality or 92, kind), smaller


def to_bytes(pixels, quality, kind="jpeg"):
    """Encodes uint8 (H, W, 3)."""
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, kind, quality=quality)
    return buffer.getvalue()


def write_photos(file, photos):
    """Writes the array file.

    Args:
        file: binary file to write to.
        photos: list of (name, group, bytes).
    """
    lengths = [len(data) for _, _, data in photos]
    np.savez(
        file,
        bytes=np.frombuffer(b"".join(d for _, _, d in photos), "uint8"),
        offsets=np.concatenate([[0], np.cumsum(lengths)]).astype("int64"),
        names=np.array([name for name, _, _ in photos]),
        groups=np.array([group for _, group, _ in photos]),
    )


def is_packed(source):
    """Tells whether a data source names a packed file."""
    return str(source).endswith(".npz")


def groups_of(path):
    """Returns the set of groups that a packed file has.

    Raises:
        UserError: if the file is not a packed file.
    """
    return set(_read(path)["groups"].tolist())


def describe(path):
    """Returns source, number of photos and SHA-256 of a packed file.

    Raises:
        UserError: if the file is not a packed file.
    """
    return {
        "source": str(path),
        "count": len(_read(path)["names"]),
        "fingerprint": hashlib.sha256(Path(path).read_bytes()).hexdigest(),
    }


def read_photos(path, group):
    """Decodes one group of a packed file.

    Returns:
        List of uint8 (H, W, 3).

    Raises:
        UserError: if the file is not a packed file or lacks the group.
    """
    return group_of(path, group)[1]


def group_of(path, group, short_side=0):
    """Returns the names and the decoded photos of one group."""
    arrays = _read(path)
    data, offsets = arrays["bytes"], arrays["offsets"]
    wanted = np.flatnonzero(arrays["groups"] == group)
    if not len(wanted):
        raise UserError(f"{path}: has no photos of group {group!r}")

    def decode(index):
        part = data[offsets[index] : offsets[index + 1]].tobytes()
        return _decode(part, short_side)

    with concurrent.futures.ThreadPoolExecutor() as pool:
        images = list(pool.map(decode, wanted))
    return [str(arrays["names"][index]) for index in wanted], images


def read_frames(paths, short_side=0):
    """Decodes files, reduced to `short_side`; list of uint8 (H, W, 3)."""
    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(lambda path: _decode(path, short_side), paths))


def _read(path):
    try:
        with np.load(path) as arrays:
            return {
                name: arrays[name]
                for name in ("bytes", "offsets", "names", "groups")
            }
    except (
        OSError,
        EOFError,
        KeyError,
        ValueError,
        zipfile.BadZipFile,
    ) as error:
        raise UserError(
            f"{path}: expected the packed file of pack_photos: {error}"
        ) from error


def _decode(source, short_side=0):
    """Reads a photo, reduced to `short_side` if that is smaller and not 0."""
    pixels = read_rgb(source, draft_side=short_side)
    return shrink(pixels, short_side)


def shrink(pixels, short_side):
    """Returns pixels of at most that short side; the same ones if they are."""
    sides = pixels.shape[1::-1]
    scale = short_side / min(sides)
    if not 0 < scale < 1:
        return pixels
    size = [round(side * scale) for side in sides]
    image = Image.fromarray(pixels)
    return np.asarray(image.resize(size, Image.Resampling.LANCZOS))


class ArrayPhotos:
    """Photos in memory, in a fixed order.

    Attributes:
        source: str, as given.
        files: names of the photos.
        images: list of uint8 (H, W, 3).
    """

    def __init__(self, source, files, images):
        self.source = str(source)
        self.files = tuple(files)
        self.images = images

    @classmethod
    def open(cls, source, group="train", short_side=0, max_unreadable=10):
        """Reads all photos of a folder, a manifest or a packed file.

        Args:
            source: path.
            group: str, of a packed file.
            short_side: larger photos are reduced to this, in pixels; 0: none
                is.
            max_unreadable: int, more unreadable photos than this are an
                error.

        Raises:
            UserError: if there is no such source, it holds no photo, or too
                many of them are unreadable.
        """
        if is_packed(source):
            return cls(source, *group_of(source, group, short_side))
        path = Path(source)
        if path.is_file():
            files = [str(file) for _, file in kept_photos(path)]
        elif path.is_dir():
            files = [str(path / name) for name in list_photos(path)]
        else:
            raise UserError(
                f"data source {str(source)!r} is neither a folder, a manifest, "
                "nor the .npz of pack_photos; tfrecord: and tfds: are for "
                "task=paper on TensorFlow"
            )

        def read(file):
            try:
                return _decode(file, short_side)
            except UserError as error:
                return str(error)

        with concurrent.futures.ThreadPoolExecutor() as pool:
            found = dict(zip(files, pool.map(read, files), strict=True))
        bad = {file: why for file, why in found.items() if type(why) is str}
        for why in bad.values():
            logging.warning("skipped: %s", why)
        if len(bad) > max_unreadable:
            raise UserError(
                f"{len(bad)} of {len(files)} photos are unreadable, more than "
                f"data.max_unreadable={max_unreadable}, such as "
                + "; ".join([*bad.values()][:3])
            )
        good = sorted(set(found) - set(bad))
        if not good:
            raise UserError(f"{source} holds no photo to train on")
        return cls(source, good, [found[file] for file in good])

    @property
    def count(self):
        """Number of photos."""
        return len(self.files)

    def pool(self):
        """Returns all photos end to end, as `crops.cut_on_device` wants them.

        Returns:
            Dict of `pixels`, uint8 (P, 3), and `places`, int32 (N, 2).
        """
        sizes = [image.shape[:2] for image in self.images]
        ends = np.cumsum([height * width for height, width in sizes])
        if ends[-1] >= 2**31:
            raise UserError(
                f"{self.source}: {ends[-1]:,} pixels are more than 2^31; name "
                "fewer photos, or a smaller data.crop_size"
            )
        places = [(0, *ends[:-1]), [width for _, width in sizes]]
        return {
            "pixels": np.concatenate([i.reshape(-1, 3) for i in self.images]),
            "places": np.array(places, "int32").T,
        }

    def fingerprint(self):
        """Returns a SHA-256 of what there is: names and sizes in pixels."""
        names = list(self.files)
        if self.count and all(map(os.path.isabs, names)):
            root = os.path.commonpath([os.path.dirname(f) for f in names])
            names = [os.path.relpath(name, root) for name in names]
        lines = (
            f"{name}\t{image.shape[:2]}\n"
            for name, image in zip(names, self.images, strict=True)
        )
        return hashlib.sha256("".join(lines).encode()).hexdigest()

    def index(self, position, seed):
        """Returns the photo's index at a position of the endless stream.

        Every epoch is another permutation of all photos.
        """
        epoch, place = divmod(position, self.count)
        return int(_permutation(seed, epoch, self.count)[place])

    def names(self, positions, seed):
        """Returns the names of the photos at some positions."""
        return [self.files[self.index(p, seed)] for p in positions]


@functools.lru_cache(maxsize=8)
def _permutation(seed, epoch, count):
    return np.random.default_rng((seed, epoch, 1)).permutation(count)


def draw_view(photo, rng, size):
    """Cuts out most of a photo, at random, and squeezes it to a square.

    Args:
        photo: uint8 (H, W, 3).
        rng: numpy.random.Generator.
        size: int, side of the view in pixels.

    Returns:
        uint8 (size, size, 3).
    """
    return draw_views((photo,), rng, size)[0]


def draw_views(frames, rng, size):
    """The same view of several photos of one size; see `draw_view`."""
    height, width = frames[0].shape[:2]
    share = 1.0 - 0.4 * rng.uniform() ** 2
    aspect = np.exp(rng.uniform(-0.1, 0.1))
    box_width = width * min(1.0, share * aspect)
    box_height = height * min(1.0, share / aspect)
    left = rng.uniform() * (width - box_width)
    top = rng.uniform() * (height - box_height)
    box = (left, top, left + box_width, top + box_height)
    mirrored = rng.uniform() < 0.5

    def view(photo):
        resized = Image.fromarray(photo).resize(
            (size, size), Image.Resampling.BICUBIC, box, reducing_gap=2.0
        )
        pixels = np.asarray(resized)
        return pixels[:, ::-1] if mirrored else pixels

    return [view(photo) for photo in frames]


def squeeze(photo, height, width):
    """Resizes a whole photo by area to height x width, uint8."""
    image = Image.fromarray(photo)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


class Batches:
    """Training batches as a pure function of the step, made ahead by threads.

    Args:
        photos: `ArrayPhotos`.
        example: function (uint8 photo, rng of the example, rng of the step)
            -> dict of arrays, one example.
        batch_size: photos per step.
        seed: int.
        threads: that many batches are made at the same time; 0: one a core.
        cut: function (photo, box) -> crop, that makes `photos` of the
            examples' `box`; None: they keep it, with the `photo`'s number.
    """

    def __init__(self, photos, example, batch_size, seed, threads=0, cut=None):
        self.photos, self.example, self.cut = photos, example, cut
        self.batch_size, self.seed = batch_size, seed
        threads = threads or os.cpu_count() or 1
        self._ahead = 2 * threads
        self._pool = concurrent.futures.ThreadPoolExecutor(threads)
        self._pending = {}

    def make(self, step, part=None):
        """Returns the batch of a step: dict of arrays (N, ...).

        Args:
            step: int from 0.
            part: slice of the batch to make; None: all of it.
        """
        first = step * self.batch_size
        positions = range(first, first + self.batch_size)[part or slice(None)]
        rows = [self._example(position, step) for position in positions]
        return {name: np.stack([r[name] for r in rows]) for name in rows[0]}

    def _example(self, position, step):
        index = self.photos.index(position, self.seed)
        photo = self.photos.images[index]
        made = self.example(
            photo,
            np.random.default_rng((self.seed, position, 2)),
            # Every example of the step draws the same from it.
            np.random.default_rng((self.seed, step, 3)),
        )
        if "box" not in made:
            return made
        if self.cut:
            return made | {"photos": self.cut(photo, made.pop("box"))}
        return made | {"photo": np.int32(index)}

    def __call__(self, step, part=None):
        for later in range(step, step + self._ahead):
            if later not in self._pending:
                self._pending[later] = self._pool.submit(self.make, later, part)
        return self._pending.pop(step).result()

    def close(self):
        """Ends the threads."""
        self._pool.shutdown(cancel_futures=True)
