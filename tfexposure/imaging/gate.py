"""How much of the blind model's answer a photo gets: the one gate."""

from tfexposure.imaging.clipping import clip_mask
from tfexposure.imaging.namespace import namespace_of
from tfexposure.imaging.tone_curve import tone_curve

# A photo is corrected from the first share of clipped pixels on, in full from
# the second: nothing tells an overexposed photo from a bright one as well,
# neither its histogram nor the network (docs/results/natural.md: `natural`
# beside `natural-forced`).
CLIPPED_SHARES = (0.015, 0.04)
# So is one without that the network's curve would change so much on average ...
LARGE_CHANGES = (0.25, 0.28)
# ... and none that it would hardly change.
SMALL_CHANGES = (0.01, 0.03)


def share_of_answer(clipped, thumbnail, slopes, knots):
    """Says how much of the network's answer is mixed into a photo.

    `tfexposure correct` and every export ask this function and no other.

    Args:
        clipped: (...), share of the photo's pixels with a clipped channel, in
            [0, 1]; NumPy values or tensors, as all that follows.
        thumbnail: (..., T, T, 3 or more) of the photo, RGB first.
        slopes: (..., pieces) of the tone curve the network chose.
        knots: ends of the curve's pieces, from 0 to 1.

    Returns:
        (...), in [0, 1]; 0 leaves the photo as it is.

    >>> import numpy as np
    >>> grey, half = np.full((2, 2, 3), 0.4), np.array([0.5])
    >>> for clipped in (0.01, 0.03, 0.1):
    ...     print(f"{share_of_answer(clipped, grey, half, (0.0, 1.0)):.1f}")
    0.0
    0.6
    1.0
    """
    xp = namespace_of(clipped, thumbnail, slopes)
    image = thumbnail[..., :3]
    toned = tone_curve(image, slopes[..., None, None, :], knots)
    change = xp.mean(xp.abs(toned - image), axis=(-3, -2, -1))
    wanted = xp.maximum(
        clip_mask(clipped, CLIPPED_SHARES), clip_mask(change, LARGE_CHANGES)
    )
    return wanted * clip_mask(change, SMALL_CHANGES)
