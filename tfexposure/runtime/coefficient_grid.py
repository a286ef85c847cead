"""Photos of many pixels: judged at reduced size, corrected at full size.

A network may answer a reduced photo with a tone curve and a grid of affine
coefficients that vary slowly (Gharbi et al., Deep bilateral learning for
real-time image enhancement, 2017). Applied at full size, the curve acts on
every pixel, and the coefficients where a channel is clipped or near white:

    restored = curve(x) + mask(x) * (matrix @ curve(x) + offset)
               + near_white(x) * lift

So a blown sky is seen as a whole however many pixels it has, the network takes
the same time for every large photo, and strips join exactly.
"""

import dataclasses
import math

import numpy as np

from tfexposure.imaging.clipping import clip_mask, white_mask
from tfexposure.imaging.tone_curve import tone_curve
from tfexposure.imaging.transfer_curves import GAMMA_2_2

# The network sees at most so many pixels. It learnt from photos of a tenth;
# from there to here its answers hardly change, and more only cost time.
MAX_PIXELS = 1 << 20
_LEVELS = 65535


def slopes_of_stops(stops, pieces):
    """The curve that undoes an overexposure by eq. (10), a straight line."""
    gain = GAMMA_2_2.from_linear(2.0**-stops)
    return np.full(pieces, gain, np.float32)


def reduction(height, width):
    """The whole factor by which sides shrink to `MAX_PIXELS` or fewer."""
    return max(1, math.ceil(math.sqrt(height * width / MAX_PIXELS)))


def shrink(strips, height, width, factor):
    """Averages squares of pixels, those cut by the border over what is there.

    Args:
        strips: yields (top, float32 (n, W, C)), top a multiple of `factor`.
        height: rows of the picture.
        width: its columns.
        factor: side of the squares.

    Returns:
        float32 (ceil(H / factor), ceil(W / factor), C).
    """
    if factor == 1:
        return np.concatenate([strip for _, strip in strips])
    columns = np.arange(0, width, factor)
    counts = np.diff(np.append(columns, width)).astype(np.float32)
    parts = []
    for _, strip in strips:
        rows = np.arange(0, len(strip), factor)
        lines = np.diff(np.append(rows, len(strip))).astype(np.float32)
        sums = np.add.reduceat(strip, rows, axis=0)
        sums = np.add.reduceat(sums, columns, axis=1)
        parts.append(sums / (lines[:, None, None] * counts[:, None]))
    return np.concatenate(parts).astype(np.float32)


@dataclasses.dataclass(frozen=True)
class GridSpec:
    """How the coefficients are applied, as a manifest says.

    Attributes:
        knots: ends of the curve's straight pieces, from 0 to 1.
        clip: values between which a channel goes over to clipped.
        lift: value from which a channel is lifted, to the full at the end of
            `clip`.
    """

    knots: tuple
    clip: tuple
    lift: float


class Curve:
    """A tone curve of straight pieces, as a table.

    Args:
        knots: ends of the pieces, from 0 to 1.
        slopes: float (len(knots) - 1,).
    """

    def __init__(self, knots, slopes):
        levels = np.arange(_LEVELS + 1) / _LEVELS
        self._table = tone_curve(levels, slopes, knots).astype(np.float32)

    def __call__(self, image):
        """Applies it to floats in [0, 1] of any shape."""
        index = (image * np.float32(_LEVELS) + np.float32(0.5)).astype("uint16")
        return self._table[index]


class CoefficientGrid:
    """A curve and affine coefficients, to be applied at full size.

    Args:
        curve: `Curve`.
        spec: `GridSpec`.
        coefficients: float32 (h, w, 13), of half the reduced photo's size,
            padded: per channel three factors and an offset, then the lift.
        factor: full size over reduced size.
    """

    def __init__(self, curve, spec, coefficients, factor):
        self._curve, self._spec = curve, spec
        # Those of clipped values are wanted at some pixels, lifts at all.
        self._affine, self._lift = coefficients[..., :12], coefficients[..., 12]
        self._step = 2 * factor  # Pixels between the grid's values.

    def apply(self, top, image):
        """Restores the rows of a photo that begin at `top`.

        Args:
            top: int, the first row.
            image: float32 (n, W, 3) in [0, 1].

        Returns:
            float32 (n, W, 3) in [0, 1].
        """
        restored = self._curve(image)
        spec = self._spec
        mask = clip_mask(image, spec.clip)
        rows, columns = np.nonzero(mask.any(axis=-1))
        if len(rows):
            toned = restored[rows, columns]
            part = self._affine_at(top, image.shape[:2], rows, columns)
            mixed = part[..., 3]
            for channel in range(3):
                mixed = mixed + part[..., channel] * toned[:, None, channel]
            restored[rows, columns] = toned + mask[rows, columns] * mixed
        near_white = white_mask(image, (spec.lift, spec.clip[1]))
        near_white *= self._lift_of(top, image.shape[:2])[..., None]
        restored += near_white
        return np.clip(restored, 0, 1, out=restored)

    def _affine_at(self, top, size, rows, columns):
        """Coefficients at some pixels, linear between its values: (P, 3, 4)."""
        above, below, share = self._place(top + np.arange(size[0]), 0)
        rows_at = self._affine[above] * (1 - share)[:, None, None]
        rows_at += self._affine[below] * share[:, None, None]
        left, right, share = self._place(np.arange(size[1]), 1)
        left, right, share = left[columns], right[columns], share[columns]
        part = rows_at[rows, left]
        part += (rows_at[rows, right] - part) * share[:, None]
        return part.reshape(-1, 3, 4)

    def _lift_of(self, top, size):
        """The lift of all pixels of some rows, (n, W)."""
        above, below, share = self._place(top + np.arange(size[0]), 0)
        lift = self._lift[above] * (1 - share)[:, None]
        lift += self._lift[below] * share[:, None]
        left, right, share = self._place(np.arange(size[1]), 1)
        return lift[:, left] * (1 - share) + lift[:, right] * share

    def _place(self, pixels, axis):
        """Neighbours of pixels in the grid, and the second one's share."""
        place = (pixels + np.float32(0.5)) / np.float32(self._step) - 0.5
        last = self._affine.shape[axis] - 1
        place = np.clip(place, 0, last).astype(np.float32)
        first = place.astype(np.intp)
        return first, np.minimum(first + 1, last), place - first
