"""The small copy of a whole photo that the blind model looks at first."""

from tfexposure.imaging.area_resize import area_resize, halve
from tfexposure.imaging.clipping import COUNT_RAMP, clip_mask
from tfexposure.imaging.namespace import namespace_of

# Side of the thumbnail, in pixels: the whole photo, reduced to a square.
THUMBNAIL_SIZE = 128
# Means of RGB, shares of clipped pixels, samples of RGB.
THUMBNAIL_CHANNELS = 9


def thumbnails_of(photos):
    """Makes the thumbnails (N, 128, 128, 9) of whole photos (N, H, W, 3).

    Photos are reduced to squares of 256 pixels first, as the network learnt
    from: single pixels of a large photo have values that those of a small one
    have not, and look overexposed.

    Args:
        photos: NumPy array or tensor, floats in [0, 1].
    """
    return thumbnails_of_views(area_resize(photos, 2 * THUMBNAIL_SIZE))


def thumbnails_of_views(views):
    """Makes thumbnails of photos that are reduced already, to double size.

    Of each four pixels there are the means, the share that is clipped, and the
    last one as it is: how values thin out below white tells a camera's shoulder
    from a hard clip.

    Args:
        views: (..., 2 T, 2 T, 3), NumPy array or tensor, floats in [0, 1].

    Returns:
        (..., T, T, 9).
    """
    means = halve(with_clip_share(views))
    samples = views[..., 1::2, 1::2, :]
    return namespace_of(views).concatenate([means, samples], axis=-1)


def with_clip_share(image):
    """Adds to RGB how surely each channel is clipped: (..., 3) -> (..., 6).

    Averages hide a few blown pixels; their share is what tells a photo that
    lost its highlights from one that is merely bright.

    Args:
        image: NumPy array or tensor, floats in [0, 1].
    """
    share = clip_mask(image, COUNT_RAMP)
    return namespace_of(image).concatenate([image, share], axis=-1)
