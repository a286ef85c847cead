"""Colour said by numbers: nclx boxes (AVIF, HEIC) and PNG's cICP chunk.

Reference: ITU-T H.273, tables 2 and 3 (colour primaries, transfer
characteristics); ISO/IEC 23008-12 (`colr` boxes).
"""

import dataclasses
import struct

from tfexposure.errors import UserError
from tfexposure.imaging.transfer_curves import GAMMA_2_2
from tfexposure.photo.io import colour

# Chromaticities (x, y) of red, green and blue under D65.
_PRIMARIES = {
    1: ((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),  # sRGB, BT.709.
    9: ((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),  # BT.2020.
    12: ((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),  # Display P3.
}
# Video's curves are shown as sRGB's is. "Unspecified" (2) is taken for sRGB.
_LIKE_SRGB = frozenset((1, 2, 6, 13, 14, 15))
_GAMMAS = {4: GAMMA_2_2.gamma, 5: 2.8, 8: 1.0}
_HDR = {16: "PQ", 18: "HLG"}


@dataclasses.dataclass(frozen=True)
class CodePoints:
    """Numbers of H.273.

    Attributes:
        primaries: colour primaries; 1 sRGB, 9 BT.2020, 12 Display P3.
        transfer: transfer characteristics; 13 sRGB, 16 PQ.
    """

    primaries: int
    transfer: int

    @property
    def is_srgb(self):
        return self.primaries in (1, 2) and self.transfer in _LIKE_SRGB

    def check(self, name):
        """Refuses light that is graded for other screens.

        Raises:
            UserError: for PQ and HLG.
        """
        if self.transfer in _HDR:
            raise UserError(
                f"{name}: HDR photos ({_HDR[self.transfer]}) are not read; "
                "tone-map it to a photo for plain screens first"
            )

    def chunk(self):
        """The body of a cICP chunk for RGB of full range."""
        return bytes((self.primaries, self.transfer, 0, 1))

    def profile(self):
        """The same as an ICC profile; `None` where it is sRGB or unknown."""
        known = self.transfer in _LIKE_SRGB or self.transfer in _GAMMAS
        if self.is_srgb or self.primaries not in (2, *_PRIMARIES) or not known:
            return None
        points = _PRIMARIES.get(self.primaries, _PRIMARIES[1])
        return colour.make_profile(points, _GAMMAS.get(self.transfer))


def of_boxes(data):
    """What the first nclx box of an AVIF or HEIC says, or `None`."""
    at = data.find(b"colrnclx")
    if at < 0 or len(data) < at + 12:
        return None
    return CodePoints(*struct.unpack_from(">HH", data, at + 8))


def in_boxes(data, points):
    """A coded AVIF or HEIC whose nclx boxes say these numbers."""
    data = bytearray(data)
    at = data.find(b"colrnclx")
    while at >= 0:
        struct.pack_into(">HH", data, at + 8, points.primaries, points.transfer)
        at = data.find(b"colrnclx", at + 8)
    return bytes(data)


def of_chunk(body):
    """What a cICP chunk of PNG says, or `None`."""
    return CodePoints(body[0], body[1]) if len(body) == 4 else None
