"""Photos with light above white, for training: HDR files to 8-bit codes."""

import csv
from pathlib import Path

import numpy as np

from tfexposure.errors import UserError, import_extra
from tfexposure.imaging.transfer_curves import WIDE, PQResponse

# Views of a panorama: around the horizon, a little up or down.
_VIEWS, _VIEW_SIDE = 8, 288


def read_light(path, white_nits):
    """Decodes an AVIF file of PQ codes.

    Args:
        path: of the file, 12 bits, of sRGB primaries.
        white_nits: float, the luminance of white.

    Returns:
        float32 (H, W, 3): light, 1 is white.

    Raises:
        UserError: if the file cannot be read, or imagecodecs is missing.
    """
    imagecodecs = import_extra("imagecodecs", "light")
    try:
        codes = imagecodecs.avif_decode(Path(path).read_bytes())
    except (OSError, RuntimeError, ValueError) as error:
        raise UserError(f"{path} cannot be read as AVIF: {error}") from error
    values = codes[..., :3].astype("float32") / 4095
    return PQResponse(white_nits).to_linear(values).astype("float32")


def to_codes(light):
    """Turns light into uint8 codes of `WIDE`."""
    codes = WIDE.from_linear(np.maximum(light, 0.0))
    return np.uint8(np.rint(255 * np.clip(codes, 0, 1)))


def photos_of(folder):
    """Yields the photos of a folder of HDR files.

    Args:
        folder: holds `index.csv` with `file`, `kind` and `white_nits`; of a
            `panorama` (latitude by longitude) there are several views.

    Yields:
        (file, kind, uint8 (H, W, 3) codes of `WIDE`), photos of a kind in the
        file's order.

    Raises:
        UserError: if a file or a column is missing.
    """
    path = Path(folder, "index.csv")
    try:
        with open(path, encoding="utf-8", newline="") as file:
            rows = [
                (row["file"], row["kind"], float(row["white_nits"]))
                for row in csv.DictReader(file)
            ]
    except (OSError, KeyError, ValueError) as error:
        raise UserError(f"{path} cannot be read: {error}") from error
    for name, kind, white_nits in rows:
        light = read_light(Path(folder, name), white_nits)
        if kind != "panorama":
            yield name, kind, to_codes(light)
            continue
        rng = np.random.default_rng(len(light) + sum(name.encode()))
        start = rng.uniform(0, 360)
        for view in range(_VIEWS):
            yaw = start + view * 360 / _VIEWS
            seen = look_at(
                light, yaw, rng.uniform(-12, 12), rng.uniform(60, 85)
            )
            yield f"{name}#{view}", kind, to_codes(seen)


def look_at(panorama, yaw, pitch, angle, side=_VIEW_SIDE):
    """Takes a view of a panorama as a pinhole camera does.

    Args:
        panorama: float (H, 2 H, 3): rows are latitudes from the zenith down,
            columns longitudes.
        yaw, pitch: direction in degrees; pitch is up.
        angle: of view, in degrees.
        side: int, of the view in pixels.

    Returns:
        float32 (side, side, 3), linear between pixels.
    """
    reach = np.tan(np.radians(angle) / 2)
    steps = (np.arange(side) + 0.5) / side * 2 - 1
    right, down = np.meshgrid(steps * reach, steps * reach)
    tilt, ahead = np.radians(pitch), np.ones_like(right)
    up = -down * np.cos(tilt) + ahead * np.sin(tilt)
    forward = ahead * np.cos(tilt) + down * np.sin(tilt)
    longitude = np.radians(yaw) + np.arctan2(right, forward)
    latitude = np.arctan2(up, np.hypot(right, forward))
    height, width = panorama.shape[:2]
    column = (longitude / (2 * np.pi) % 1) * width - 0.5
    row = np.clip((0.5 - latitude / np.pi) * height - 0.5, 0, height - 1)
    top, left = np.floor(row).astype(int), np.floor(column).astype(int)
    y, x = (row - top)[..., None], (column - left)[..., None]
    bottom = np.minimum(top + 1, height - 1)
    corners = (
        panorama[line, place % width]
        for line in (top, bottom)
        for place in (left, left + 1)
    )
    a, b, c, d = corners
    upper, lower = a + (b - a) * x, c + (d - c) * x
    return (upper + (lower - upper) * y).astype("float32")
