"""Histogram similarity: do two sets of photos have the same exposures?

Each photo is reduced to three numbers (luminance, contrast, saturation); the
score compares how these are distributed over two sets of photos. Photos are
not compared pair by pair: there are many acceptable restorations of one photo.

Reference:
    Hu et al., Exposure: a white-box photo post-processing framework, 2018;
    used in Le Jeune, section 3.4.1.
"""

import keras
import numpy as np
from keras import ops

from tfexposure.imaging.area_resize import area_resize
from tfexposure.imaging.luminance import luminance

FEATURES = ("luminance", "contrast", "saturation")
BINS = 32
# What of each photo is counted; the first is Le Jeune's reading.
PROTOCOLS = ("photos", "patches")
# Of Hu et al.: squares of a photo, their side once reduced, patches of each
# and theirs.
_SQUARES, _SQUARE_SIDE, _PATCHES, _PATCH_SIDE = 4, 80, 4, 64


def exposure_features(images):
    """Reduces photos to mean luminance, contrast and mean saturation.

    Luminance is .27 R + .67 G + .06 B of the display values, contrast twice
    its standard deviation over the pixels, saturation the mean S of HLS.

    Args:
        images: float (N, H, W, 3), display-encoded RGB in [0, 1].

    Returns:
        Float (N, 3) in [0, 1], in the order of `FEATURES`.
    """
    images = ops.convert_to_tensor(images)
    brightness = luminance(images)
    mean = ops.mean(brightness, axis=(1, 2))
    deviation = brightness - ops.reshape(mean, (-1, 1, 1))
    contrast = 2 * ops.sqrt(ops.mean(ops.square(deviation), axis=(1, 2)))

    high, low = ops.max(images, axis=-1), ops.min(images, axis=-1)
    # S = (high - low) / (1 - |2 L - 1|), L = (high + low) / 2; grey has 0.
    room = ops.minimum(high + low, 2 - high - low)
    gray = high <= low
    saturation = (high - low) / ops.where(gray, ops.ones_like(room), room)
    saturation = ops.mean(ops.clip(saturation, 0, 1), axis=(1, 2))
    return ops.clip(ops.stack([mean, contrast, saturation], axis=-1), 0, 1)


def draw_patches(image, seed=0):
    """Cuts out what Hu et al. count of one photo: 16 small patches.

    Four times a square as large as the photo's short side, somewhere along
    the long one, is reduced by area to 80 pixels; four patches of 64 pixels
    are cut out of it. Theirs are drawn anew for each set of photos; here a
    photo and its restoration have the same places, by the seed.

    Args:
        image: float NumPy array (H, W, 3).
        seed: int or sequence of int, of the places.

    Returns:
        float NumPy array (16, 64, 64, 3).

    Reference:
        Hu et al., github.com/yuanming-hu/exposure, `histogram_intersection.py`.
    """
    rng = np.random.default_rng(seed)
    side = min(image.shape[:2])
    found = []
    for _ in range(_SQUARES):
        square = _cut_somewhere(image, side, rng)
        small = area_resize(square[None], _SQUARE_SIDE)[0]
        found += [
            _cut_somewhere(small, _PATCH_SIDE, rng) for _ in range(_PATCHES)
        ]
    return np.stack(found)


def _cut_somewhere(image, side, rng):
    height, width = image.shape[:2]
    top = rng.integers(height - side + 1)
    left = rng.integers(width - side + 1)
    return image[top : top + side, left : left + side]


def feature_counts(features, bins=BINS):
    """Counts photos per bin, for each feature.

    Args:
        features: float (N, F) in [0, 1].
        bins: number of equal bins on [0, 1]; 1 belongs to the last.

    Returns:
        Float (F, bins).
    """
    position = ops.cast(ops.floor(features * bins), "int32")
    position = ops.clip(position, 0, bins - 1)
    return ops.sum(ops.one_hot(position, bins, dtype="float32"), axis=0)


def histogram_similarity(target_features, restored_features, bins=BINS):
    """Similarity of two sets of photos, per feature.

    The sum over bins of the smaller of the two relative counts.

    Args:
        target_features: float (N, F), `exposure_features` of the originals.
        restored_features: float (M, F), those of the restored photos.
        bins: number of equal bins on [0, 1].

    Returns:
        Float (F,), in %: 100 for equal histograms, 0 for disjoint ones.
    """
    return _intersection(
        feature_counts(target_features, bins),
        feature_counts(restored_features, bins),
    )


def split_half_similarity(features, bins=BINS, repeats=100, seed=0):
    """The score's noise floor: how well random halves of one set agree.

    No method can be expected to score higher than about this for the set's
    number of photos, unless it follows each photo closely.

    Args:
        features: float (N, F), N >= 2, of one set of photos; or (N, P, F), of
            P patches each, which are split by photos.
        bins: number of equal bins on [0, 1].
        repeats: random splits to average over.
        seed: of the splits.

    Returns:
        NumPy float64 (F,), in %.

    Raises:
        ValueError: for fewer than two photos.
    """
    features = np.asarray(features)
    count = len(features)
    if count < 2:
        raise ValueError(
            f"`features` should have at least two rows. Received: {count}"
        )
    generator = np.random.default_rng(seed)
    place = np.clip((features * bins).astype(int), 0, bins - 1)
    one_hot = np.eye(bins)[place]  # (N, F, bins)
    if features.ndim == 3:
        one_hot = one_hot.mean(axis=1)
    scores = []
    for _ in range(repeats):
        order = generator.permutation(count)
        first = one_hot[order[: count // 2]].mean(axis=0)
        second = one_hot[order[count // 2 :]].mean(axis=0)
        scores.append(np.minimum(first, second).sum(axis=-1))
    return 100 * np.mean(scores, axis=0)


@keras.saving.register_keras_serializable("tfexposure")
class HistogramSimilarity(keras.metrics.Metric):
    """`histogram_similarity` of targets and restored photos, over batches.

    `update_state` takes photos, float (N, H, W, 3) in [0, 1]; `result`
    returns a dictionary of `FEATURES`, in %.

    Args:
        bins: number of equal bins on [0, 1].
        name: the metric's name.
        dtype: the metric's type.
    """

    def __init__(self, bins=BINS, name="histogram_similarity", dtype=None):
        super().__init__(name=name, dtype=dtype)
        self.bins = bins
        shape = (len(FEATURES), bins)
        self.target_counts = self.add_variable(
            shape, initializer="zeros", name="target_counts"
        )
        self.restored_counts = self.add_variable(
            shape, initializer="zeros", name="restored_counts"
        )

    def update_state(self, y_true, y_pred, sample_weight=None):
        """Adds photos; weights make no sense here and are refused."""
        if sample_weight is not None:
            raise ValueError("HistogramSimilarity takes no `sample_weight`.")
        self.target_counts.assign_add(
            feature_counts(exposure_features(y_true), self.bins)
        )
        self.restored_counts.assign_add(
            feature_counts(exposure_features(y_pred), self.bins)
        )

    def result(self):
        """Returns the dictionary of similarities, in %."""
        similarity = _intersection(
            ops.convert_to_tensor(self.target_counts),
            ops.convert_to_tensor(self.restored_counts),
        )
        return {name: similarity[i] for i, name in enumerate(FEATURES)}

    def get_config(self):
        """Returns the constructor's arguments."""
        return {**super().get_config(), "bins": self.bins}


def _intersection(first, second):
    first = first / ops.sum(first, axis=-1, keepdims=True)
    second = second / ops.sum(second, axis=-1, keepdims=True)
    return 100 * ops.sum(ops.minimum(first, second), axis=-1)
