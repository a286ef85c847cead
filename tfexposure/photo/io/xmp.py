"""Taking out of XMP what a rewritten file no longer holds.

References: Google, Motion Photo format 1.0 and Ultra HDR image format 1.1;
Adobe, XMP specification part 3, section 1.1.3.1 (extended XMP in JPEG).
"""

import re

_VALUE = rb"""\s*=\s*(?:"[^"]*"|'[^']*')"""
_ITEM = re.compile(rb"<rdf:li\b[^>]*?(?:/>|>.*?</rdf:li>)", re.DOTALL)


def without_gain_map(packet):
    """The packet without a word of an HDR gain map."""
    return _without(packet, rb"hdrgm:\w+", rb"GainMap")


def without_video(packet):
    """The packet without a word of a motion photo's video."""
    name = rb"\w+:(?:MotionPhoto|MicroVideo)\w*"
    return _without(packet, name, rb"MotionPhoto")


def without_extension(packet):
    """The packet without the pointer to its extended part."""
    return _without(packet, rb"xmpNote:HasExtendedXMP", None)


def has_gain_map(packet):
    """Whether the packet announces an HDR gain map."""
    return bool(packet) and b"hdrgm:" in packet


def _without(packet, name, semantic):
    """Leaves out attributes, elements and items of a container's list."""
    if not packet:
        return packet
    if semantic:
        states = re.compile(
            rb"Item:Semantic(?:\s*=\s*[\"']|>)\s*" + semantic + rb"\b"
        )
        packet = _ITEM.sub(
            lambda item: b"" if states.search(item[0]) else item[0], packet
        )
    packet = re.sub(rb"\s" + name + _VALUE, b"", packet)
    element = rb"<(" + name + rb")\b(?:[^>]*/>|.*?</\1\s*>)"
    return re.sub(element, b"", packet, flags=re.DOTALL)
