"""The whole of `tfexposure correct` as one graph, for photos of any size.

What `photo.correcting` does strip by strip in NumPy: a look at the photo at
reduced size, the tone curve and the coefficients at full size. The
formulas are the same functions (`imaging`, `coefficient_grid`); here are the
loops over strips, which bound the memory.
"""

import dataclasses
import functools
from typing import NamedTuple

import tensorflow as tf

from tfexposure.imaging import area_resize
from tfexposure.imaging.clipping import CLIPPED_LEVEL
from tfexposure.imaging.surround import (
    DIFFERENT,
    PURE,
    judge_surround,
    near_border,
)
from tfexposure.imaging.thumbnail import THUMBNAIL_SIZE, thumbnails_of_views
from tfexposure.imaging.transfer_curves import SRGB
from tfexposure.runtime import coefficient_grid
from tfexposure.runtime.coefficient_grid import CoefficientGrid, Curve

# Pixels worked on at a time: few enough for a processor's cache.
_STRIP_PIXELS = 1 << 18
_VIEW = 2 * THUMBNAIL_SIZE
# What is as bright as the clipped level, after rounding.
_CLIPPED = (CLIPPED_LEVEL - 0.5) / 255
# What is joined out of strips.
_IMAGE = functools.partial(tf.TensorSpec, (None, None, 3))
_LINES = tf.TensorSpec((None, None), tf.float32)
_PLACES = tf.TensorSpec((None,), tf.int32)
_FLAGS = tf.TensorSpec((None,), tf.bool)


class Options(NamedTuple):
    """How one photo is to be corrected: scalar tensors or numbers.

    Attributes:
        strength: float, from 0, the photo's own pixels, to 1.
        ev: float, stops of light added to the answer.
        stops: float, how far the photo is overexposed; below 0 the model
            judges.
        force: bool, whether to correct what would be left alone, too.
    """

    strength: tf.Tensor | float = 1.0
    ev: tf.Tensor | float = 0.0
    stops: tf.Tensor | float = -1.0
    force: tf.Tensor | bool = False


@dataclasses.dataclass(frozen=True)
class _Look:
    """What a first walk over a photo finds."""

    view: tf.Tensor  # (256, 256, 3)
    reduced: tf.Tensor  # (h, w, 3)
    factor: tf.Tensor
    clipped: tf.Tensor


def correct_whole(graph, image, options=Options()):  # noqa: B008
    """Corrects one whole photo.

    Args:
        graph: `Graph` with affine coefficients.
        image: (H, W, 3), float32 in [0, 1] or uint8; its size is dynamic.
        options: `Options`.

    Returns:
        dict of `restored` (H, W, 3) of the image's type, and scalars:
        `changed`, whether any pixel may differ; `share` of the network's answer
        that was mixed in, 0 to 1; `stops`, by how many the photo is
        overexposed, and `stops_spread`, how unsure that is; `clipped`, the
        share of its clipped pixels.
    """
    options = Options(*map(tf.convert_to_tensor, options))
    box, is_page = _find_surround(image)
    size = tf.shape(image)[:2]
    framed = tf.reduce_any(box != _whole(size))
    inside = tf.cond(framed, lambda: _cut(image, box), lambda: image)
    look = _look_at(inside)
    told = options.stops >= 0
    thumbnail = tf.clip_by_value(thumbnails_of_views(look.view), 0.0, 1.0)
    found = graph.encode_photo(thumbnail[None])
    slopes, embedding, exposure = (values[0] for values in found)
    line = coefficient_grid.slopes_of_stops(options.stops, slopes.shape[-1])
    slopes = tf.where(told, line, slopes)
    exposure = tf.where(is_page, 0.0, exposure)
    share, stops, spread = tf.unstack(exposure)
    share = tf.where(told | options.force, 1.0, share)
    share = tf.where(options.strength > 0, share, 0.0)
    changed = (options.strength > 0) & ((share > 0) | (options.ev != 0))

    def change():
        grid = _grid_of(graph, look, slopes, embedding, share)
        restored = _apply(grid, inside, options, share)
        return tf.cond(
            framed, lambda: _put(image, restored, box), lambda: restored
        )

    return {
        "restored": tf.cond(changed, change, lambda: image),
        "changed": changed,
        "share": share,
        "stops": tf.maximum(tf.where(told, options.stops, stops), 0.0),
        "stops_spread": tf.where(told, 0.0, spread),
        "clipped": look.clipped,
    }


def _grid_of(graph, look, slopes, embedding, share):
    """The `CoefficientGrid`; where the network has no share, one of no use."""

    def ask():
        inputs = (look.reduced, slopes, embedding)
        found = graph.affine_coefficients(*(value[None] for value in inputs))
        return tf.ensure_shape(found[0], (None, None, 13))

    coefficients = tf.cond(share > 0, ask, lambda: tf.zeros((2, 2, 13)))
    slopes = tf.where(share > 0, slopes, 1.0)
    curve = Curve(graph.grid_spec.knots, slopes)
    return CoefficientGrid(curve, graph.grid_spec, coefficients, look.factor)


def _apply(grid, image, options, share):
    """Mixes into a photo what a grid and an offset make of it."""
    alpha = options.strength * tf.where(share > 0, share, 1.0)
    maximum = 255.0 if image.dtype == tf.uint8 else 1.0

    def strip(top, pixels):
        answer = grid.apply(top, _real(pixels))
        answer = tf.cond(
            options.ev == 0,
            lambda: answer,
            lambda: _brighter(answer, options.ev),
        )
        own = tf.cast(pixels, tf.float32)
        mixed = own + alpha * (answer * maximum - own)
        if pixels.dtype == tf.uint8:
            mixed = tf.round(mixed)
        mixed = tf.clip_by_value(mixed, 0.0, maximum)
        return (tf.cast(mixed, pixels.dtype),), ()

    ((restored,), _) = _walk(image, strip, [_IMAGE(image.dtype)], ())
    return restored


def _brighter(image, ev):
    return SRGB.from_linear(SRGB.to_linear(image) * 2.0**ev)


def _look_at(image):
    """Walks over a photo, float32 in [0, 1] or uint8: a `_Look`."""
    height, width = tf.unstack(tf.shape(image)[:2])
    factor = coefficient_grid.reduction(height, width)
    rows = area_resize.area_shares(height, _VIEW)
    columns = area_resize.area_shares(width, _VIEW)

    def strip(top, pixels):
        values = _real(pixels)
        red, green, blue = tf.unstack(values, axis=-1)
        brightest = tf.maximum(tf.maximum(red, green), blue)
        clipped = tf.math.count_nonzero(brightest >= _CLIPPED)
        # Of the view's rows those that this strip has a part in.
        bottom = top + tf.shape(pixels)[0]
        first = top * _VIEW // height
        last = tf.minimum(-(-bottom * _VIEW // height) + 1, _VIEW)
        lines = tf.matmul(
            rows[first:last, top:bottom],
            tf.reshape(values, (bottom - top, width * 3)),
        )
        small = coefficient_grid.block_means(values, factor)
        return (lines, tf.range(first, last), small), (clipped,)

    start = (tf.constant(0, tf.int64),)
    (lines, places, small), (clipped,) = _walk(
        image, strip, [_LINES, _PLACES, _IMAGE(tf.float32)], start, 2 * factor
    )
    lines = tf.math.segment_sum(*_sorted(lines, places))
    lines = tf.transpose(tf.reshape(lines, (_VIEW, width, 3)), (1, 0, 2))
    view = columns @ tf.reshape(lines, (width, _VIEW * 3))
    view = tf.transpose(tf.reshape(view, (_VIEW, _VIEW, 3)), (1, 0, 2))
    count = tf.cast(height, tf.float64) * tf.cast(width, tf.float64)
    clipped = tf.cast(tf.cast(clipped, tf.float64) / count, tf.float32)
    return _Look(view, small, factor, clipped)


def _sorted(values, places):
    order = tf.argsort(places, stable=True)
    return tf.gather(values, order), tf.gather(places, order)


def _find_surround(image):
    """Box of a photo in a white frame, else of all; whether it is a page."""
    size = tf.shape(image)[:2]

    def look():
        def strip(_, pixels):
            drawn = tf.reduce_any(_real(pixels) < PURE, -1)
            rows = tf.reduce_any(drawn, 1)
            found = tf.reduce_any(drawn, 0), tf.math.count_nonzero(drawn)
            return (rows,), found

        start = tf.zeros(size[1], tf.bool), tf.constant(0, tf.int64)
        ((rows,), (columns, count)) = _walk(image, strip, [_FLAGS], start)
        box = tf.stack([*_span(rows), *_span(columns)])
        along = _along_borders(_cut(image, box))
        is_frame, is_page = judge_surround(
            tf.unstack(box), tf.unstack(size), count, along
        )
        drawn = count > 0
        box = tf.where(is_frame & drawn, box, _whole(size))
        return box, is_page & drawn

    ends = (
        tf.stack([image[0], image[-1]]),
        tf.stack([image[:, 0], image[:, -1]]),
    )
    pure = [tf.reduce_all(_real(end) >= PURE) for end in ends]
    return tf.cond(
        pure[0] | pure[1], look, lambda: (_whole(size), tf.constant(False))
    )


def _along_borders(image):
    """Shares of the borders along which something else than white is near."""
    rows, columns = (
        near_border(side) for side in tf.unstack(tf.shape(image))[:2]
    )
    parts = [
        (image[:rows], 0),
        (image[-rows:], 0),
        (image[:, :columns], 1),
        (image[:, -columns:], 1),
    ]
    shares = []
    for part, axis in parts:
        differs = tf.reduce_any(_real(part) < DIFFERENT, -1)
        along = tf.reduce_any(differs, axis)
        shares.append(tf.reduce_mean(tf.cast(along, tf.float32)))
    return shares


def _span(flags):
    """First true place, and the one behind the last."""
    flags = tf.cast(flags, tf.int32)
    last = tf.argmax(flags[::-1], output_type=tf.int32)
    return tf.argmax(flags, output_type=tf.int32), tf.size(flags) - last


def _whole(size):
    return tf.stack([0, size[0], 0, size[1]])


def _cut(image, box):
    top, bottom, left, right = tf.unstack(box)
    return image[top:bottom, left:right]


def _put(image, part, box):
    """Replaces what lies in a box."""
    top, bottom, left, right = tf.unstack(box)
    between = image[top:bottom]
    rows = tf.concat([between[:, :left], part, between[:, right:]], 1)
    return tf.concat([image[:top], rows, image[bottom:]], 0)


def _walk(image, strip, specs, start, multiple=2):
    """Walks over a photo in strips, one at a time.

    Args:
        image: (H, W, C).
        strip: function of a strip's first row and its pixels; answers tensors
            to be joined along their first axis, and numbers to be added up
            (flags: to be joined by "or").
        specs: tf.TensorSpec of the joined tensors.
        start: sums to begin with.
        multiple: strips start at multiples of it.

    Returns:
        The joined tensors, and the sums.
    """
    height, width = tf.unstack(tf.shape(image)[:2])
    rows = tf.maximum(_STRIP_PIXELS // width // multiple, 1) * multiple
    count = -(-height // rows)
    arrays = tuple(
        tf.TensorArray(
            spec.dtype, count, infer_shape=False, element_shape=spec.shape
        )
        for spec in specs
    )

    def body(index, arrays, sums):
        top = index * rows
        parts, found = strip(top, image[top : top + rows])
        arrays = tuple(
            array.write(index, part)
            for array, part in zip(arrays, parts, strict=True)
        )
        sums = tuple(
            a | b if a.dtype == tf.bool else a + b
            for a, b in zip(sums, found, strict=True)
        )
        return index + 1, arrays, sums

    _, arrays, sums = tf.while_loop(
        lambda index, *_: index < count,
        body,
        (0, arrays, tuple(start)),
        parallel_iterations=1,
    )
    return [array.concat() for array in arrays], sums


def _real(image):
    """Returns float32 in [0, 1]."""
    if image.dtype == tf.uint8:
        return tf.cast(image, tf.float32) / 255.0
    return tf.clip_by_value(image, 0.0, 1.0)
