"""What the `natural` model does without inventing: one curve per photo."""

from keras import ops

from tfexposure.imaging import tone_curve as formula

# Ends of the tone curve's straight pieces; a shoulder bends most near white.
KNOTS = (0.0, 0.06, 0.14, 0.26, 0.4, 0.55, 0.7, 0.8, 0.88, 0.94, 0.975, 1.0)


def tone_curve(image, slopes):
    """Applies one rising curve per photo, linear between `KNOTS`.

    Args:
        image: (N, H, W, 3) in [0, 1].
        slopes: (N, len(KNOTS) - 1), positive.

    Returns:
        (N, H, W, 3), 0 at 0.
    """
    slopes = ops.reshape(slopes, (-1, 1, 1, len(KNOTS) - 1))
    return formula.tone_curve(image, slopes, KNOTS)
