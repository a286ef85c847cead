"""Exact tiles: what a network answers for a photo too large for one call.

A convolutional network without global operations looks no further than its
halo. A tile therefore comes out the same from a window that reaches one halo
beyond it on each side, provided that the window

- starts at a multiple of the network's stride, so that pooling falls alike;
- lies inside the picture padded to a multiple of the stride, so that zero
  padding happens at the true border only. Windows are clamped, not padded.

Tiles are cropped out of their windows and put side by side. Blending them
over overlaps would be further from the untiled answer, not nearer.
"""

import dataclasses
import math

import numpy as np

# Side of a tile in pixels when a photo is tiled: large enough that the halo
# costs little, small enough for about a gigabyte in a U-Net of width 16.
TILE = 1024


@dataclasses.dataclass(frozen=True)
class Span:
    """One tile along one axis, in pixels of the padded picture.

    `start:stop` is the tile, cut at the picture's border; the window begins
    at `window` and is `size` long.
    """

    start: int
    stop: int
    window: int
    size: int

    @property
    def outer(self):
        """The window's place in the padded picture."""
        return slice(self.window, self.window + self.size)

    @property
    def inner(self):
        """The tile's place inside its window."""
        return slice(self.start - self.window, self.stop - self.window)


def span_at(start, tile, length, halo, padded, size, least=min, most=max):
    """Places one tile and its window along one axis.

    Args:
        start: first pixel of the tile.
        tile: its length, before the picture's border cuts it.
        length: of the picture.
        halo: pixels beyond the tile that the window should reach.
        padded: length of the padded picture, where the window has to lie.
        size: of the window.
        least: minimum of two numbers; of two tensors inside a graph.
        most: maximum, alike.

    Returns:
        `Span`.
    """
    stop = least(start + tile, length)
    return Span(start, stop, least(most(start - halo, 0), padded - size), size)


def round_up(length, stride):
    return math.ceil(length / stride) * stride


def mirror(indices, length):
    """Reflects indices beyond `length` back into it, the border not repeated.

    Args:
        indices: int array, each >= 0.
        length: pixels along the axis, >= 1.

    Returns:
        int array in [0, length).
    """
    period = max(2 * (length - 1), 1)
    indices = np.asarray(indices) % period
    return np.where(indices < length, indices, period - indices)


def plan(length, tile, halo, stride, fixed=None):
    """Splits one axis into tiles.

    Args:
        length: pixels along the axis.
        tile: pixels of a tile, rounded up to the stride; `None`: one tile.
        halo: pixels beyond a tile that its result depends on.
        stride: the network's total stride, in pixels.
        fixed: length of every window, for a network of one input size.

    Returns:
        list of `Span` in order, all with the same window size.

    Raises:
        ValueError: if a fixed window has no room between its halos.
    """
    halo = round_up(halo, stride)
    padded = round_up(length, stride)
    if fixed is not None:
        padded = max(padded, fixed)
        tile = padded if padded == fixed else fixed - 2 * halo
        if tile < stride:
            raise ValueError(
                f"the model's input of {fixed} pixels leaves nothing between "
                f"two halos of {halo}"
            )
        tile = tile // stride * stride
        size = fixed
    else:
        tile = padded if tile is None else round_up(tile, stride)
        size = padded if tile >= padded else min(tile + 2 * halo, padded)
    return [
        span_at(start, tile, length, halo, padded, size)
        for start in range(0, length, tile)
    ]


def grid(height, width, model, tile=None):
    """Plans both axes for a model.

    Args:
        height: rows of the picture.
        width: columns of the picture.
        model: a `Model`.
        tile: side of a tile in pixels; 0 for no tiling; `None` tiles
            pictures larger than one window of `TILE`, if tiles join.

    Returns:
        (row spans, column spans).
    """
    if tile is None:
        window = TILE + 2 * round_up(model.halo, model.stride)
        small = height * width <= window**2
        tile = 0 if small or not model.exact_tiles else TILE
    fixed_rows, fixed_columns = model.fixed_size or (None, None)
    return (
        plan(height, tile or None, model.halo, model.stride, fixed_rows),
        plan(width, tile or None, model.halo, model.stride, fixed_columns),
    )


def read_window_rows(rows, span):
    """Reads a span's rows, mirrored beyond the bottom: (size, W, C)."""
    height = rows.shape[0]
    index = mirror(np.arange(span.window, span.window + span.size), height)
    top, bottom = index.min(), index.max() + 1
    strip = rows.read(top, bottom)
    if len(index) == bottom - top and index[-1] == bottom - 1:
        return strip
    return strip[index - top]


def take_window_columns(strip, span):
    """Takes a span's columns out of rows, mirrored: (h, size, C)."""
    width = strip.shape[1]
    if span.window + span.size <= width:
        return strip[:, span.outer]
    index = np.arange(span.window, span.window + span.size)
    return strip[:, mirror(index, width)]
