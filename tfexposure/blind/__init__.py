"""The blind model: correction that keeps what was not wrong.

A thumbnail of the whole photo gives a distribution over tone curves: how far it
is overexposed, by what sort of camera, or not at all. The curve with the best
expected PSNR is taken; where that is none, the photo stays as it is. The curve
alone makes the answer wherever no channel is clipped, so nothing is
invented there. Where a channel is clipped, a local network replaces it by an
affine function of all three, which carries detail over from channels that
survived. Near white it may lift all three, for glows that a shoulder squeezed.

    restored = curve(image) + mask * (matrix @ curve(image) + offset)
               + near_white * lift

The thumbnail's share is computed once per photo; the rest has a finite
support and no statistics of the image, so tiles join exactly. The package
ships it as `natural`.
"""

from tfexposure.blind.camera_statistics import (
    LEVELS,
    camera_statistics,
    soft_histogram,
)
from tfexposure.blind.curve_distribution import CurveDistribution
from tfexposure.blind.global_encoder import CurveExpert, GlobalEncoder
from tfexposure.blind.local_unet import LocalUNet
from tfexposure.blind.restorer import BlindRestorer
from tfexposure.blind.tone_curve import KNOTS, tone_curve

__all__ = [
    "KNOTS",
    "LEVELS",
    "LocalUNet",
    "BlindRestorer",
    "GlobalEncoder",
    "CurveDistribution",
    "CurveExpert",
    "soft_histogram",
    "camera_statistics",
    "tone_curve",
]
