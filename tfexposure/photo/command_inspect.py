"""`tfexposure inspect PHOTO...`."""

import argparse
import json
import pathlib
import sys

from tfexposure.errors import UserError
from tfexposure.photo import jobs, overlay, results
from tfexposure.photo.command_correct import add_limits, check_side_file
from tfexposure.photo.correcting import judge_photo
from tfexposure.photo.io.decode import read_photo
from tfexposure.photo.io.photo import Limits
from tfexposure.runtime.opening import MODEL_KINDS, open_model

_EPILOG = """\
verdicts: "well exposed": nothing to do; "recoverable by
gain": too bright, hardly clipped; "needs invention": clipped regions have to
be made up; "a page or cut-out on white": not overexposed. The shift is
what the model guesses, and how far its guesses spread: docs/correct.md.
"""


def add_arguments(parser):
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("photos", metavar="PHOTO", nargs="+", help="photos or folders")
    add(
        "--overlay",
        metavar="PNG",
        help="write the photo in grey with clipped pixels in orange (some "
        "channels) and magenta (all); needs a single photo",
    )
    add("--json", action="store_true", help="print JSON, one list")
    add("--model", metavar="MODEL", help=f"who judges: {MODEL_KINDS}")
    add_limits(parser)


def main(args):
    limits = Limits(args.max_pixels, args.max_bytes)
    left_out = []
    paths = [path for name in args.photos for path in _expand(name, left_out)]
    if args.overlay and len(paths) != 1:
        raise UserError(
            f"--overlay={args.overlay}: needs a single photo, not {len(paths)}"
        )
    if args.overlay:
        places = {jobs.place_of(paths[0])}
        check_side_file("--overlay", args.overlay, places, (".png",))
    rows, failed, model = [], False, open_model(args.model)
    for path in paths:
        try:
            photo = read_photo(path, limits)
            found = judge_photo(photo, model)
            if args.overlay:
                overlay.write_overlay(photo, args.overlay)
        except UserError as error:
            if args.debug:
                raise
            print(f"tfexposure inspect: {error}", file=sys.stderr)
            failed = True
            continue
        rows.append(_facts(path, photo, found))
        photo.pixels.close()
        if not args.json:
            print(_line(rows[-1]))
    for result in left_out:
        line = result.error or f"{result.file}: {result.notes[0]}"
        print(f"tfexposure inspect: {line}", file=sys.stderr)
        failed = failed or bool(result.error)
    if args.json:
        print(json.dumps(rows, indent=2))
    return int(failed)


def _expand(name, left_out):
    path = pathlib.Path(name)
    if not path.is_dir():
        return [path]
    return jobs.photos_below(path, left_out=left_out)


def _facts(path, photo, found):
    height, width, _ = photo.pixels.shape
    names = ("grey",) if photo.colours == 1 else ("red", "green", "blue")
    return {
        "file": str(path),
        "format": photo.format,
        "width": width,
        "height": height,
        "bits": photo.pixels.dtype.itemsize * 8,
        "clipped": found.clipped,
        "clipped_channels": dict(
            zip(names, found.clipped_channels, strict=True)
        ),
        "stops": found.stops,
        "stops_spread": found.stops_spread,
        "tau": found.tau,
        "verdict": found.verdict,
        "notes": photo.notes,
    }


def _line(facts):
    channels = ", ".join(
        f"{name} {share:.2%}"
        for name, share in facts["clipped_channels"].items()
    )
    shift = results.shift(facts["stops"], facts["stops_spread"])
    return (
        f"{facts['file']}: {facts['verdict']}; {shift} "
        f"(tau {facts['tau']:.2f}); clipped {facts['clipped']:.2%} ({channels})"
    )
