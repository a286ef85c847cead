"""The `natural` model: blind correction that keeps what was not wrong.

One look at the whole photo, as a small thumbnail, gives a tone curve: how far
it is overexposed, and by what sort of camera, on which a judge decides between
two curves. The curve alone makes the answer wherever no channel is clipped, so
nothing is invented there. Where a channel is clipped, a local network replaces
it by an affine function of all three, which carries detail over from channels
that survived. Near white it may lift all three, for glows that a shoulder
squeezed.

    restored = curve(image) + mask * (matrix @ curve(image) + offset)
               + near_white * lift

The thumbnail's share is computed once per photo; the rest has a finite
support and no statistics of the picture, so tiles join exactly.
"""

from tfexposure.blind.camera_statistics import (
    LEVELS,
    by_level,
    camera_evidence,
)
from tfexposure.blind.global_encoder import (
    JudgedSummary,
    PhotoCode,
    PhotoSummary,
)
from tfexposure.blind.local_unet import ClipFiller
from tfexposure.blind.restorer import NaturalRestorer
from tfexposure.blind.tone_curve import (
    KNOTS,
    tone_curve,
)

__all__ = [
    "KNOTS",
    "LEVELS",
    "ClipFiller",
    "JudgedSummary",
    "NaturalRestorer",
    "PhotoCode",
    "PhotoSummary",
    "by_level",
    "camera_evidence",
    "tone_curve",
]
