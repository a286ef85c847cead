"""A picture's pixels as rows, in memory or in a temporary file."""

import tempfile
import threading

import numpy as np

# Pictures above this many pixels are kept in a temporary file (`TMPDIR`
# chooses where) and travel through memory a strip of rows at a time.
SPILL_PIXELS = 32_000_000

# PixelBuffer handled at once wherever a picture is walked through.
STRIP_ROWS = 128


class PixelBuffer:
    """Pixels of one upright picture, read and written by rows.

    Args:
        height: rows of the picture.
        width: pixels of a row.
        channels: 1 to 4; grey or RGB, then alpha if there is one.
        dtype: `numpy.uint8`, `numpy.uint16` or `numpy.float32` in [0, 1].
        spill: whether the pixels live in a temporary file. `None` decides by
            `SPILL_PIXELS`.
    """

    def __init__(self, height, width, channels, dtype, spill=None):
        self.shape = (height, width, channels)
        self.dtype = np.dtype(dtype)
        if spill is None:
            spill = height * width > SPILL_PIXELS
        self.spilled = spill
        self._row_bytes = width * channels * self.dtype.itemsize
        if spill:
            self._array = None
            self._file = tempfile.TemporaryFile(prefix="tfexposure-")
            self._file.truncate(height * self._row_bytes)
            self._lock = threading.Lock()
        else:
            self._array = np.empty(self.shape, self.dtype)
            self._file = None

    @classmethod
    def of_array(cls, array):
        """Wraps an array (H, W, C) without copying it."""
        rows = cls(0, 0, array.shape[2], array.dtype, spill=False)
        rows.shape = array.shape
        rows._array = array
        return rows

    @property
    def maximum(self):
        """The value of white: 255, 65535 or, for floating point, 1."""
        return 1 if self.dtype.kind == "f" else np.iinfo(self.dtype).max

    def read(self, top, bottom):
        """Returns rows `top` to `bottom`: (bottom - top, W, C)."""
        if self._array is not None:
            return self._array[top:bottom]
        rows = np.empty((bottom - top, *self.shape[1:]), self.dtype)
        with self._lock:
            self._file.seek(top * self._row_bytes)
            if self._file.readinto(rows.data.cast("B")) != rows.nbytes:
                raise OSError("the temporary file of a large photo is short")
        return rows

    def write(self, top, rows):
        """Puts `rows` (n, W, C) at row `top`."""
        if self._array is not None:
            self._array[top : top + len(rows)] = rows
            return
        rows = np.ascontiguousarray(rows, self.dtype)
        with self._lock:
            self._file.seek(top * self._row_bytes)
            self._file.write(rows.data.cast("B"))

    def strips(self, size=STRIP_ROWS):
        """Yields (top, rows) from the first row to the last."""
        for top in range(0, self.shape[0], size):
            yield top, self.read(top, min(top + size, self.shape[0]))

    def window(self, top, bottom, left, right):
        """A part as a buffer of its own; a view where that can be."""
        if self._array is not None:
            return self.of_array(self._array[top:bottom, left:right])
        part = PixelBuffer(
            bottom - top, right - left, self.shape[2], self.dtype
        )
        for start in range(top, bottom, STRIP_ROWS):
            rows = self.read(start, min(start + STRIP_ROWS, bottom))
            part.write(start - top, rows[:, left:right])
        return part

    def with_window(self, top, left, part):
        """A copy in which another buffer takes the place of a part."""
        whole = PixelBuffer(*self.shape, self.dtype)
        bottom, right = top + part.shape[0], left + part.shape[1]
        for start, rows in self.strips():
            rows = rows.copy()
            first, last = max(start, top), min(start + len(rows), bottom)
            if first < last:
                inner = part.read(first - top, last - top)
                rows[first - start : last - start, left:right] = inner
            whole.write(start, rows)
        return whole

    def array(self):
        """Returns all pixels, (H, W, C)."""
        return self.read(0, self.shape[0])

    def close(self):
        """Frees the pixels; the temporary file goes at once."""
        self._array = None
        if self._file is not None:
            self._file.close()
