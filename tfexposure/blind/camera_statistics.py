"""Statistics of single pixels that tell which camera took a photo.

A camera's shoulder thins out values below white, pales colours before they
clip, and takes all channels there together; the paper's power law cuts them off
one by one.
"""

from keras import ops

from tfexposure.imaging.clipping import COUNT_RAMP, clip_mask
from tfexposure.imaging.luminance import luminance_of_channels

# Narrow near black and white.
LEVELS = (0.0, 0.01, 0.03, 0.06, 0.1, 0.15, 0.2, 0.25, 0.3, 0.35, 0.4, 0.45)
LEVELS += (0.5, 0.55, 0.6, 0.65, 0.7, 0.74, 0.78, 0.82, 0.85, 0.88, 0.905)
LEVELS += (0.925, 0.94, 0.955, 0.965, 0.975, 0.983, 0.99, 0.996, 1.0)

# Features per photo that `histograms` and `camera_statistics` return.
HISTOGRAM_COUNT = 3 * len(LEVELS)
STATISTICS_COUNT = 314


def soft_histogram(values, *images):
    """Histogram over `LEVELS`, and means of images over its bins.

    A pixel counts for the two levels next to its value, by nearness.

    Args:
        values: (N, H, W) in [0, 1].
        images: K of them, (N, H, W).

    Returns:
        (N, 1 + K, 32): the share of the pixels at each level, and means of each
        image times that share: its sum over all levels is the image's mean.
    """
    count = values.shape[1] * values.shape[2]
    starts = ops.convert_to_tensor(
        [[level] for level in LEVELS[:-1]], "float32"
    )
    # Sixths: the phone clips at 6 in the same pass that multiplies.
    slopes = ops.convert_to_tensor(
        [
            [6.0 / (above - level)]
            for level, above in zip(LEVELS, LEVELS[1:], strict=False)
        ],
        "float32",
    )
    # How far each pixel has come from each level to the next; the share of a
    # level is what has reached it less what has reached the next. Pixels come
    # last: the phone's kernels are slow at a broadcast over few.
    pixels = ops.reshape(values, (-1, 1, count))
    reached = ops.relu6((pixels - starts) * slopes)
    everything = ops.ones_like(pixels[:, 0, :1])
    found = [_between(everything, ops.mean(reached, axis=-1) / 6.0)]
    for image in images:
        weight = ops.reshape(image, (-1, 1, count))
        higher = ops.mean(reached * weight, axis=-1) / 6.0
        found.append(_between(ops.mean(weight, axis=-1), higher))
    return ops.stack(found, axis=1)


def _between(everything, higher):
    """Differences of what lies above each level but the first (N, 31)."""
    return ops.concatenate([everything, higher], axis=-1) - ops.concatenate(
        [higher, ops.zeros_like(everything)], axis=-1
    )


def _spread(shares):
    """Spreads shares near none at all, where the differences matter."""
    return 2.0 * ops.sqrt(ops.maximum(shares, 0.0) + 1e-4)


def histograms(samples):
    """Shares of each level and channel: (N, H, W, 3) -> (N, 96), spread."""
    shares = [soft_histogram(channel)[:, 0] for channel in _channels(samples)]
    shares = _spread(ops.stack(shares, axis=-1))
    return ops.reshape(shares, (-1, HISTOGRAM_COUNT))


def _channels(images):
    """(N, H, W, 3) -> three (N, H, W); slices of the last axis are slow."""
    return ops.unstack(ops.transpose(images, (0, 3, 1, 2)), 3, axis=1)


def camera_statistics(samples, means, step=1):
    """Computes the statistics that tell kinds of cameras.

    Args:
        samples: (N, 128, 128, 3), single pixels, in [0, 1].
        means: (N, 128, 128, 3), of the pixels around each.
        step: every so many rows and columns are counted by level; the
            histograms take most of the time.

    Returns:
        (N, 314), most of them between 0 and 2: histograms of luminance,
        largest and smallest channel; colour by level; which channels clip
        together; what lies beside clipped pixels; and the colours of 16
        parts of the photo.
    """
    channels = _channels(samples[:, ::step, ::step])
    luminance = luminance_of_channels(*channels)
    largest = ops.maximum(ops.maximum(*channels[:2]), channels[2])
    smallest = ops.minimum(ops.minimum(*channels[:2]), channels[2])
    colour = largest - smallest
    bright = soft_histogram(luminance, colour)
    large = soft_histogram(largest, colour / (largest + 0.02))
    small = soft_histogram(smallest)
    clipped = clip_mask(samples, COUNT_RAMP)
    parts = [
        *(_spread(found[:, 0]) for found in (bright, large, small)),
        *(2.0 * _means(found)[:, 0] for found in (bright, large)),
        _joint_clips(*_channels(clipped)),
        _beside_clipped(channels, clipped, step),
        ops.reshape(ops.average_pool(means, 32, 32) * 2.0 - 1.0, (-1, 48)),
    ]
    return ops.concatenate(parts, axis=-1)


def _means(found):
    """Turns a `soft_histogram` into means at each level (N, K, 32).

    Towards 0 where a level has hardly a pixel.
    """
    return found[:, 1:] / (found[:, :1] + 2e-3)


def _joint_clips(red, green, blue):
    """How many pixels clip in each set of channels: (N, 7)."""
    r, g, b, rg, rb, gb, rgb = (
        ops.mean(product, axis=(1, 2))
        for product in (
            red,
            green,
            blue,
            red * green,
            red * blue,
            green * blue,
            red * green * blue,
        )
    )
    # Where only these clip: less what clips in further channels, too.
    alone = (
        r - rg - rb + rgb,
        g - rg - gb + rgb,
        rg - rgb,
        b - rb - gb + rgb,
        rb - rgb,
        gb - rgb,
        rgb,
    )
    return _spread(ops.stack(alone, axis=-1))


def _beside_clipped(channels, clipped, step):
    """Histograms of a clipped pixel's neighbours, and how many: (N, 99)."""
    beside = (1.0 - clipped) * ops.max_pool(clipped, 3, 1, padding="same")
    beside = beside[:, ::step, ::step]
    found = []
    for values, weight in zip(channels, _channels(beside), strict=True):
        share = ops.mean(weight, axis=(1, 2))[:, None]
        sums = soft_histogram(values, weight)[:, 1]
        found += [_spread(sums / (share + 1e-3)), _spread(share)]
    return ops.concatenate(found, axis=-1)
