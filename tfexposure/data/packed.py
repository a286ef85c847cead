"""Photos for training on a borrowed device: one array file, views in memory.

The file is an `.npz` of encoded photos: `bytes` (all files end to end),
`offsets` (N + 1), `names` and `groups` (N). Groups used here are `train`,
`valid`, and `over` with `reference`, equally long: real overexposed frames
and the well-exposed frame of the same scene.
"""

import concurrent.futures
import io
import os

import numpy as np
from PIL import Image

from tfexposure.errors import UserError
from tfexposure.imaging.luminance import luminance

# What a training photo may have: the paper's rule (1 % at 250 and above) would
# drop every lamp and bright sky, and whites that stay white must be learnt.
MAX_BRIGHT, MAX_WHITE, MAX_DARK = 0.05, 0.02, 0.15
LUMINANCE = (0.12, 0.85)


def is_well_exposed(photo):
    """Says whether an 8-bit RGB photo may serve as a target."""
    brightest = photo.max(axis=-1)
    mean = float(luminance(photo).mean() / 255)
    return bool(
        (brightest >= 250).mean() <= MAX_BRIGHT
        and (photo.min(axis=-1) >= 250).mean() <= MAX_WHITE
        and (brightest <= 5).mean() <= MAX_DARK
        and LUMINANCE[0] <= mean <= LUMINANCE[1]
    )


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
    try:
        data = path.read_bytes()
        image = Image.open(io.BytesIO(data)).convert("RGB")
    except Exception as error:  # Pillow's plugins raise of every kind
        raise UserError(f"{path} cannot be read as a photo: {error}") from error
    scale = short_side / min(image.size) if short_side else 1.0
    if scale < 1.0:
        size = tuple(round(side * scale) for side in image.size)
        image = image.resize(size, Image.Resampling.LANCZOS)
    elif not quality:
        return data, np.asarray(image)
    pixels = np.asarray(image)
    return to_bytes(pixels, quality or 92, kind), pixels


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


def read_photos(path, group):
    """Decodes one group of an array file.

    Returns:
        List of uint8 (H, W, 3).

    Raises:
        UserError: if the file is no such array file or lacks the group.
    """
    try:
        with np.load(path) as arrays:
            data, offsets = arrays["bytes"], arrays["offsets"]
            wanted = np.flatnonzero(arrays["groups"] == group)
    except (OSError, KeyError, ValueError) as error:
        raise UserError(
            f"{path}: expected the array file of pack_photos: {error}"
        ) from error
    if not len(wanted):
        raise UserError(f"{path}: has no photos of group {group!r}")

    def decode(index):
        part = data[offsets[index] : offsets[index + 1]].tobytes()
        return np.asarray(Image.open(io.BytesIO(part)).convert("RGB"))

    with concurrent.futures.ThreadPoolExecutor() as pool:
        return list(pool.map(decode, wanted))


def draw_view(photo, rng, size):
    """Cuts out most of a photo, at random, and squeezes it to a square.

    Args:
        photo: uint8 (H, W, 3).
        rng: numpy.random.Generator.
        size: int, side of the view in pixels.

    Returns:
        uint8 (size, size, 3).
    """
    height, width = photo.shape[:2]
    share = 1.0 - 0.4 * rng.uniform() ** 2
    aspect = np.exp(rng.uniform(-0.1, 0.1))
    box_width = width * min(1.0, share * aspect)
    box_height = height * min(1.0, share / aspect)
    left = rng.uniform() * (width - box_width)
    top = rng.uniform() * (height - box_height)
    view = Image.fromarray(photo).resize(
        (size, size),
        Image.Resampling.BICUBIC,
        (left, top, left + box_width, top + box_height),
    )
    view = np.asarray(view)
    return view[:, ::-1] if rng.uniform() < 0.5 else view


def squeeze(photo, height, width):
    """Resizes a whole photo by area to height x width, uint8."""
    image = Image.fromarray(photo)
    return np.asarray(image.resize((width, height), Image.Resampling.BOX))


class Batches:
    """Training batches as a pure function of the step, made ahead by threads.

    Args:
        photos: list of uint8 (H, W, 3).
        draw: function (rng, uint8 views) -> dict of further arrays.
        batch_size: photos per batch.
        view_size: side of the views in pixels.
        seed: int.
        ahead: batches made in advance, half of them at the same time; by
            default two per core.
    """

    def __init__(self, photos, draw, batch_size, view_size, seed, ahead=None):
        self.photos, self.draw = photos, draw
        self.batch_size, self.view_size = batch_size, view_size
        self.seed, self.ahead = seed, ahead or 2 * (os.cpu_count() or 1)
        workers = max(self.ahead // 2, 1)
        self._pool = concurrent.futures.ThreadPoolExecutor(workers)
        self._pending = {}

    def make(self, step):
        """Returns the batch of a step: `photos` and what `draw` gave."""
        rng = np.random.default_rng((self.seed, step))
        first = step * self.batch_size
        views = []
        for place in range(first, first + self.batch_size):
            epoch, index = divmod(place, len(self.photos))
            order = self._order(epoch)
            views.append(
                draw_view(self.photos[order[index]], rng, self.view_size)
            )
        views = np.stack(views)
        return {"photos": views, **self.draw(rng, views)}

    def __call__(self, step):
        for later in range(step, step + self.ahead):
            if later not in self._pending:
                self._pending[later] = self._pool.submit(self.make, later)
        return self._pending.pop(step).result()

    def close(self):
        """Ends the threads."""
        self._pool.shutdown(cancel_futures=True)

    def _order(self, epoch):
        # Drawn anew for every photo, but cheap: 2,000 photos take 50 us.
        return np.random.default_rng((self.seed, epoch, 1)).permutation(
            len(self.photos)
        )
