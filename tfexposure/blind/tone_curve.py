"""What the `natural` model does without inventing: one curve per photo."""

from keras import ops

# Ends of the tone curve's straight pieces; a shoulder bends most near white.
KNOTS = (0.0, 0.06, 0.14, 0.26, 0.4, 0.55, 0.7, 0.8, 0.88, 0.94, 0.975, 1.0)


def clip_mask(image, ends):
    """Says per channel how surely a value is clipped, in [0, 1].

    Args:
        image: floats in [0, 1].
        ends: the value up to which nothing is clipped, and that from which
            all is.
    """
    low, high = ends
    return ops.clip((image - low) / (high - low), 0.0, 1.0)


def white_mask(image, ends):
    """Says per channel how near white a value is, in [0, 1].

    Args:
        image: floats in [0, 1].
        ends: the value from which it rises, gently, and that where it is 1.
    """
    rise = clip_mask(image, ends)
    return rise * rise


def tone_curve(image, slopes):
    """Applies one rising curve per photo, linear between `KNOTS`.

    Args:
        image: (N, H, W, 3) in [0, 1].
        slopes: (N, len(KNOTS) - 1), positive.

    Returns:
        (N, H, W, 3), 0 at 0.
    """
    total = 0.0
    for index, (low, high) in enumerate(zip(KNOTS, KNOTS[1:], strict=False)):
        slope = ops.reshape(slopes[:, index], (-1, 1, 1, 1))
        total = total + slope * ops.clip(image - low, 0.0, high - low)
    return total
