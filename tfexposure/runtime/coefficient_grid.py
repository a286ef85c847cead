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

import numpy as np

from tfexposure.imaging.clipping import clip_mask, white_mask
from tfexposure.imaging.namespace import as_array, namespace_of
from tfexposure.imaging.tone_curve import tone_curve
from tfexposure.imaging.transfer_curves import GAMMA_2_2

# The network sees at most so many pixels. It learnt from photos of a tenth;
# from there to here its answers hardly change, and more only cost time.
MAX_PIXELS = 1 << 20
_LEVELS = 65535


def slopes_of_stops(stops, pieces):
    """The curve that undoes an overexposure by eq. (10), a straight line."""
    gain = GAMMA_2_2.from_linear(2.0**-stops)
    xp = namespace_of(stops)
    return xp.full((pieces,), as_array(gain, xp, "float32"))


def reduction(height, width):
    """The whole factor by which sides shrink to `MAX_PIXELS` or fewer."""
    xp = namespace_of(height, width)
    area = as_array(height, xp, "float64") * as_array(width, xp, "float64")
    factor = xp.maximum(xp.ceil(xp.sqrt(area / MAX_PIXELS)), 1)
    return as_array(factor, xp, "int32")


def block_means(image, factor):
    """Averages squares of pixels, those cut by the border over what is there.

    Args:
        image: float32 (H, W, C), NumPy array or tensor.
        factor: side of the squares, an int or int32 tensor.

    Returns:
        float32 (ceil(H / factor), ceil(W / factor), C).
    """
    xp = namespace_of(image, factor)
    height, width = xp.shape(image)[:2]
    rows, columns = -(-height // factor), -(-width // factor)
    missing = (rows * factor - height, columns * factor - width)
    image = xp.pad(image, ((0, missing[0]), (0, missing[1]), (0, 0)))
    sums = xp.sum(xp.reshape(image, (rows, factor, -1)), axis=1)
    sums = xp.reshape(sums, (rows, columns, factor, image.shape[-1]))
    lines, counts = (
        xp.clip(length - xp.arange(count) * factor, 0, factor)
        for length, count in ((height, rows), (width, columns))
    )
    areas = _as_float(lines[:, None] * counts)
    return xp.sum(sums, axis=2) / areas[..., None]


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
        slopes: float (len(knots) - 1,), NumPy array or tensor.
    """

    def __init__(self, knots, slopes):
        xp = namespace_of(slopes)
        levels = xp.arange(_LEVELS + 1, dtype="float32") / _LEVELS
        self._table = tone_curve(levels[:, None], slopes, knots)[:, 0]

    def __call__(self, image):
        """Applies it to floats in [0, 1] of any shape."""
        return _take(self._table, _as_index(image * _LEVELS + 0.5))


class CoefficientGrid:
    """A curve and affine coefficients, to be applied at full size.

    All of NumPy, or all of tensors: the command line and the graph of an
    export run this code.

    Args:
        curve: `Curve`.
        spec: `GridSpec`.
        coefficients: float32 (h, w, 13), of half the reduced photo's size,
            padded: per channel three factors and an offset, then the lift.
        factor: full size over reduced size.
    """

    def __init__(self, curve, spec, coefficients, factor):
        self._curve, self._spec = curve, spec
        self._xp = namespace_of(coefficients)
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
        xp, size = self._xp, self._xp.shape(image)
        rows = self._place(top, size[0], 0)
        columns = self._place(0, size[1], 1)
        white = white_mask(image, (self._spec.lift, self._spec.clip[1]))
        white = white * self._lift_of(rows, columns)[..., None]
        pixels = xp.reshape(image, (-1, 3))
        toned = self._curve(pixels)
        clipped = xp.max(pixels, axis=-1) > self._spec.clip[0]
        index = xp.nonzero(clipped)[0]
        change = self._change_at(
            index, rows, columns, _take(pixels, index), _take(toned, index)
        )
        restored = xp.reshape(_add_at(toned, index, change), size)
        return xp.clip(restored + white, 0.0, 1.0)

    def _change_at(self, index, rows, columns, image, toned):
        """Adds up what the coefficients do to some pixels (P, 3)."""
        width = self._xp.shape(columns[2])[0]
        matrix = self._affine_at(index // width, index % width, rows, columns)
        mixed = matrix[..., 3]
        for channel in range(3):
            mixed = mixed + matrix[..., channel] * toned[:, None, channel]
        return clip_mask(image, self._spec.clip) * mixed

    def _affine_at(self, row, column, rows, columns):
        """Coefficients at some pixels, linear between its values: (P, 3, 4)."""
        above, below, share = rows
        lines = _take(self._affine, above) * (1 - share)[:, None, None]
        lines = lines + _take(self._affine, below) * share[:, None, None]
        width = self._xp.shape(lines)[1]
        lines = self._xp.reshape(lines, (-1, 12))
        left, right, share = (_take(values, column) for values in columns)
        part = _take(lines, row * width + left)
        after = _take(lines, row * width + right)
        part = part + (after - part) * share[:, None]
        return self._xp.reshape(part, (-1, 3, 4))

    def _lift_of(self, rows, columns):
        """The lift of all pixels of some rows, (n, W)."""
        above, below, share = rows
        lift = _take(self._lift, above) * (1 - share)[:, None]
        lift = lift + _take(self._lift, below) * share[:, None]
        left, right, share = columns
        left, right = _take(lift, left, 1), _take(lift, right, 1)
        return left * (1 - share) + right * share

    def _place(self, first, count, axis):
        """Neighbours of pixels in the grid, and the second one's share."""
        xp, last = self._xp, self._xp.shape(self._lift)[axis] - 1
        pixels = _as_float(first + xp.arange(count))
        place = (pixels + 0.5) / _as_float(self._step) - 0.5
        place = xp.clip(place, 0.0, _as_float(last))
        before = _as_index(place)
        return before, xp.minimum(before + 1, last), place - _as_float(before)


def _take(values, index, axis=0):
    """Takes places along an axis; all of them are inside."""
    if isinstance(values, np.ndarray):
        return values.take(index, axis)
    import tensorflow as tf  # `keras.ops.take` looks for places below 0, too.

    return tf.gather(values, index, axis=axis)


def _add_at(values, index, change):
    """Adds to some places along the first axis; NumPy's array is changed."""
    if isinstance(values, np.ndarray):
        values[index] += change
        return values
    import tensorflow as tf

    return tf.tensor_scatter_nd_add(values, index[:, None], change)


def _as_index(values):
    """Cuts off what is behind the point of values that are not below 0."""
    return as_array(values, namespace_of(values), "int32")


def _as_float(values):
    return as_array(values, namespace_of(values), "float32")
