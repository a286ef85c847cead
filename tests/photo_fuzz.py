"""Structured fuzzing of the photo tool: `make fuzz`, a sample in `make test`.

Every input is a function of (corpus file, number), so a failure can be run
again: `python tests/photo_fuzz.py --only=deep.tif:1234`. Beside flipped bits
and cuts, mutations know the structure: JPEG segments, PNG chunks (with right
checksums), RIFF chunks, ISO boxes, TIFF tags, ICC tags and XMP.

What must hold: one line that names the file, in words about files and not about
programs; or a whole file that is read again and has the size it had. Nothing
half-written; no input takes longer than `LIMIT` seconds.
"""

import argparse
import pathlib
import random
import re
import struct
import sys
import tempfile
import time
import zlib
from concurrent.futures import ProcessPoolExecutor

CORPUS = pathlib.Path(__file__).parent / "fixtures" / "fuzz"
LIMIT = 20  # Seconds; a bound on hangs, not on speed.
# How programs speak of their own faults.
_OF_PROGRAMS = re.compile(
    "is not defined|no attribute|unexpected keyword|positional argument|"
    "unpack|operand|instances? of|object|index out of range|Error\\b.*Error|"
    r"Traceback|format requires|could not convert|: '?\d+'?$"
)
# Numbers at which sizes, counts and offsets go wrong.
_EDGES = (0, 1, 2, 3, 7, 8, 255, 256, 32767, 65535, 2**31 - 1, 2**32 - 1)


def mutated(data, chance):
    """A broken copy of a file."""
    data = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        if data:
            chance.choice(_MUTATIONS)(data, chance)
    if chance.random() < 0.8:  # Else readers would look no further.
        _mend_checksums(data)
    return bytes(data)


def _flip(data, chance):
    data[chance.randrange(len(data))] ^= 1 << chance.randrange(8)


def _cut(data, chance):
    del data[chance.randrange(len(data)) :]


def _splice(data, chance):
    """Copies a piece of the file over or into another place."""
    start, size = chance.randrange(len(data)), chance.randrange(1, 64)
    piece, at = data[start : start + size], chance.randrange(len(data))
    data[at : at + chance.choice((0, len(piece)))] = piece


def _edge_number(data, chance):
    """An extreme number somewhere, most often where structure is: ahead."""
    size = chance.choice((1, 2, 4))
    if len(data) <= size:
        return
    reach = chance.choice((64, 512, len(data)))
    at = chance.randrange(min(reach, len(data) - size))
    number = chance.choice(_EDGES) % (1 << 8 * size)
    data[at : at + size] = number.to_bytes(
        size, chance.choice(("big", "little"))
    )


def _entry(data, chance):
    """Breaks a tag of a TIFF or of an EXIF block wherever it lies."""
    heads = [m.start() for m in re.finditer(b"II\\*\0|MM\0\\*", bytes(data))]
    at = chance.choice(heads) if heads else 0
    tags = list(_tags(bytes(data[at:])))
    if not heads or not tags:
        _edge_number(data, chance)
        return
    order = "little" if data[at : at + 2] == b"II" else "big"
    start, _ = chance.choice(tags)
    offset, size = chance.choice(((0, 2), (2, 2), (4, 4), (8, 4), (8, 2)))
    number = chance.choice((*_EDGES, *range(2, 14), len(data), 256, 259, 34665))
    start += at + offset
    data[start : start + size] = (number % (1 << 8 * size)).to_bytes(
        size, order
    )


def _length(data, chance):
    """Makes a segment, chunk or box claim another length than it has."""
    parts = _parts(bytes(data))
    if not parts:
        _flip(data, chance)
        return
    start, _ = chance.choice(parts)
    start += 2 * (data[:2] == b"\xff\xd8") + 4 * (data[:4] == b"RIFF")
    size = 2 if data[:2] == b"\xff\xd8" else 4
    order = "little" if data[:4] == b"RIFF" else "big"
    old = int.from_bytes(data[start : start + size], order)
    number = chance.choice((*_EDGES, old - 1, old + 1, old * 2, len(data)))
    data[start : start + size] = (number % (1 << 8 * size)).to_bytes(
        size, order
    )


def _part(data, chance):
    """Drops, doubles, swaps, empties or resizes one part of the file."""
    parts = _parts(bytes(data))
    if len(parts) < 2:
        _flip(data, chance)
        return
    start, end = chance.choice(parts)
    what = chance.choice(("drop", "double", "swap", "noise", "grow"))
    body = bytes(data[start:end])
    if what == "drop":
        data[start:end] = b""
    elif what == "double":
        data[start:start] = body
    elif what == "noise":
        data[start:end] = chance.randbytes(len(body))
    elif what == "grow":
        data[end:end] = body[-min(len(body), 16) :] * chance.choice((1, 99))
    else:
        other, last = chance.choice(parts)
        data[start:end] = data[other:last]


def _parts(data):
    """(start, end) of the parts that the file's format is made of."""
    if data[:2] == b"\xff\xd8":
        return list(_segments(data))
    if data[:4] == b"\x89PNG":
        return list(_chunks(data))
    if data[:4] == b"RIFF":
        return list(_riff(data))
    if data[4:8] == b"ftyp":
        return list(_boxes(data, 0, len(data)))
    if data[:2] in (b"II", b"MM"):
        return list(_tags(data))
    return [(i, i + 4) for i in range(0, min(len(data), 64), 4)]


def _segments(data):
    at = 2
    while at + 4 <= len(data) and data[at] == 0xFF and data[at + 1] != 0xDA:
        end = at + 2 + struct.unpack_from(">H", data, at + 2)[0]
        yield at, end
        at = end


def _chunks(data):
    at = 8
    while at + 8 <= len(data):
        end = at + 12 + struct.unpack_from(">I", data, at)[0]
        yield at, end
        at = end


def _riff(data):
    at = 12
    while at + 8 <= len(data):
        size = struct.unpack_from("<I", data, at + 4)[0]
        yield at, at + 8 + size + size % 2
        at += 8 + size + size % 2


def _boxes(data, at, end):
    while at + 8 <= end:
        size, kind = struct.unpack_from(">I4s", data, at)
        if size < 8:
            return
        yield at, at + size
        inner = {b"meta": 12, b"iprp": 8, b"ipco": 8}.get(kind)
        if inner:
            yield from _boxes(data, at + inner, min(at + size, end))
        at += size


def _tags(data):
    order = "<" if data[:2] == b"II" else ">"
    big = 43 in data[2:4]
    first, count, size = ("Q", "Q", 20) if big else ("I", "H", 12)
    try:
        (at,) = struct.unpack_from(order + first, data, 8 if big else 4)
        (number,) = struct.unpack_from(order + count, data, at)
    except (struct.error, OverflowError):  # Far outside the file.
        return
    at += struct.calcsize(order + count)
    for n in range(min(number, 100)):
        yield at + size * n, at + size * (n + 1)


def _mend_checksums(data):
    """Right checksums for a PNG, behind which readers look."""
    if data[:4] != b"\x89PNG":
        return
    for start, end in list(_chunks(bytes(data))):
        if end <= len(data) and end - start >= 12:
            crc = zlib.crc32(data[start + 4 : end - 4])
            data[end - 4 : end] = struct.pack(">I", crc)


def _profile(data, chance):
    """A number inside an ICC profile, found by its signature."""
    at = data.find(b"acsp")
    if at < 36:
        _edge_number(data, chance)
        return
    place = at - 36 + chance.randrange(128, 480)
    if place + 4 <= len(data):
        data[place : place + 4] = struct.pack(">I", chance.choice(_EDGES))


def _packet(data, chance):
    """Changes XMP's words."""
    words = (b"tiff:Orientation", b"hdrgm:", b"Container", b"rdf:li", b'="')
    at = data.find(chance.choice(words))
    if at < 0:
        _flip(data, chance)
        return
    size = chance.randrange(1, 30)
    data[at : at + size] = chance.choice((b"", b"<", b"\0", b'"', b"9" * 40))


_MUTATIONS = (
    _flip, _flip, _cut, _splice, _edge_number, _edge_number, _part, _part,
    _part, _profile, _packet, _entry, _entry, _length,
)  # fmt: skip


def input_of(name, number):
    """The n-th broken copy of a corpus file."""
    data = (CORPUS / name).read_bytes()
    return mutated(data, random.Random(f"{name}:{number}"))


def fault_of(name, number, folder):
    """What is wrong with how the tool treats an input, or `None`."""
    from photo_fakes import Gain

    from tfexposure.photo import batch
    from tfexposure.photo.correcting import Settings
    from tfexposure.photo.io.photo import Limits

    suffix = pathlib.Path(name).suffix
    kinds = (None, None, "png", "jpeg", "tiff", "webp", "bmp")
    kind = random.Random(number).choice(kinds)
    source, target = folder / f"in{suffix}", folder / "out"
    source.write_bytes(input_of(name, number))
    target.unlink(missing_ok=True)
    limits = Limits(pixels=1_000_000, bytes=10_000_000)
    work = batch.Batch(
        Gain(0.7), Settings(force=True), batch.Output(kind), limits, workers=1
    )
    start = time.monotonic()
    [result] = work.run([(source, target)])
    if time.monotonic() - start > LIMIT:
        return f"took {time.monotonic() - start:.0f} s"
    left = {path.name for path in folder.iterdir()} - {source.name, "out"}
    if left:
        return f"left {left} behind"
    if result.error is None:
        return _fault_of_written(source, target, limits)
    if target.exists():
        return "failed, and wrote"
    if not result.error.isprintable() or str(source) not in result.error:
        return f"not one line that names the file: {result.error!r}"
    if _OF_PROGRAMS.search(result.error):
        return f"words about a program: {result.error}"
    return None


def _fault_of_written(source, target, limits):
    from tfexposure.errors import UserError
    from tfexposure.photo.io import decode

    try:
        sizes = [
            decode.read_photo(path, limits).pixels.array().shape[:2]
            for path in (source, target)
        ]
    except UserError as error:
        return f"wrote what it does not read: {error}"
    if sizes[0] != sizes[1]:
        return f"made {sizes[1]} pixels of {sizes[0]}"
    return None


def names():
    """Names of the corpus' files."""
    return sorted(path.name for path in CORPUS.iterdir())


def _faults(job):
    name, numbers = job
    with tempfile.TemporaryDirectory() as folder:
        found = [
            (f"{name}:{n}", fault_of(name, n, pathlib.Path(folder)))
            for n in numbers
        ]
    return [(where, fault) for where, fault in found if fault]


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--count", type=int, default=10_000)
    parser.add_argument("--seconds", type=float, default=1200)
    parser.add_argument("--only", help="corpus file:number")
    args = parser.parse_args()
    if args.only:
        name, number = args.only.rsplit(":", 1)
        print(_faults((name, [int(number)])) or "ok")
        return 0
    each, start, done, bad = -(-args.count // len(names())), time.time(), 0, 0
    jobs = [
        (name, range(first, min(first + 50, each)))
        for first in range(0, each, 50)
        for name in names()
    ]
    with ProcessPoolExecutor() as pool:
        for job, faults in zip(jobs, pool.map(_faults, jobs), strict=True):
            done += len(job[1])
            for where, fault in faults:
                bad += 1
                print(f"{where}: {fault}", flush=True)
            if time.time() - start > args.seconds:
                pool.shutdown(cancel_futures=True, wait=False)
                break
    print(f"{done} inputs of {len(names())} files, {bad} faults, "
          f"{time.time() - start:.0f} s")  # fmt: skip
    return int(bad > 0)


if __name__ == "__main__":
    sys.exit(main())
