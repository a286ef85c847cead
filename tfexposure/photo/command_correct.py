"""`tfexposure correct IN [OUT]`."""

import argparse
import pathlib
import sys

from tfexposure.errors import (
    UsageError,
    UserError,
)
from tfexposure.photo import (
    batch,
    report,
    results,
)
from tfexposure.photo.correcting import (
    Settings,
    correct_photo,
)
from tfexposure.photo.io import formats
from tfexposure.photo.io.decode import read_photo
from tfexposure.photo.io.photo import (
    MAX_BYTES,
    MAX_PIXELS,
    Limits,
)
from tfexposure.photo.progress import Progress
from tfexposure.runtime.opening import (
    MODEL_KINDS,
    open_model,
)

_EPILOG = """\
exit status: 0 if every photo was corrected, left as it is or skipped; 1 if
one failed; 2 for wrong usage. The manual is docs/correct.md.

examples:
  tfexposure correct party.jpg
  tfexposure correct party.jpg party_fixed.jpg
  tfexposure correct party.jpg party_fixed.jpg --model=exports/saved_model
  tfexposure correct holiday/ fixed/ --report=fixed.html
  tfexposure correct - - < in.jpg > out.jpg
"""


def add_arguments(parser):
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add("input", metavar="IN", help="a photo, a folder, or - for stdin")
    add(
        "output",
        metavar="OUT",
        nargs="?",
        help="a photo, a folder, or - for stdout; default: IN with _corrected "
        "added to its name, for - stdout",
    )
    add(
        "--model",
        help=f"what restores: {MODEL_KINDS}; default: the natural model that "
        "ships with tfexposure (needs the extra lite)",
    )
    add_limits(parser)

    look = parser.add_argument_group("how much is changed").add_argument
    look(
        "--strength",
        type=float,
        default=1.0,
        help="0 (the input's pixels) to 1 (the full answer); default 1",
    )
    look(
        "--ev",
        type=float,
        default=0.0,
        help="stops to brighten (+) or darken (-) the answer; default 0",
    )
    look(
        "--stops",
        type=float,
        help="how far the photo is overexposed, 0 to 5; default: the model's "
        "guess",
    )
    look(
        "--highlights_only",
        action="store_true",
        help="change clipped regions and a soft border of 24 pixels alone",
    )
    look(
        "--force",
        action="store_true",
        help="correct photos that would be left alone, too",
    )
    look(
        "--mask",
        metavar="PNG",
        help="write how much of each pixel was invented rather than recovered",
    )
    look(
        "--tile",
        type=int,
        help="side of tiles in pixels, 0 for none; default: automatic",
    )

    files = parser.add_argument_group("files").add_argument
    files(
        "--format",
        choices=sorted(formats.FORMATS),
        help="format to write; default: OUT's suffix, else that of IN",
    )
    files(
        "--quality",
        type=int,
        help="1 to 100 for lossy formats; default: the tables of a JPEG, "
        "else 95",
    )
    files(
        "--subsampling",
        choices=("4:4:4", "4:2:2", "4:2:0"),
        help="colour resolution of JPEG; default: as IN",
    )
    files(
        "--metadata",
        choices=("keep", "strip"),
        default="keep",
        help="strip leaves pixels and ICC profile only",
    )
    files(
        "--overwrite",
        action="store_true",
        help="do photos again whose output exists; default: skip them",
    )
    files(
        "--in_place",
        action="store_true",
        help="let a photo take its own input's place",
    )

    reports = parser.add_argument_group("reports").add_argument
    reports("--report", metavar="HTML", help="before/after page of all photos")
    reports("--json", metavar="JSON", help="outcome of each photo")
    reports("--quiet", action="store_true", help="no progress and no table")


def add_limits(parser):
    add = parser.add_argument_group("limits").add_argument
    add(
        "--max_pixels",
        type=int,
        default=MAX_PIXELS,
        help=f"refuse larger pictures; default {MAX_PIXELS:,}",
    )
    add(
        "--max_bytes",
        type=int,
        default=MAX_BYTES,
        help=f"refuse larger files; default {MAX_BYTES:,}",
    )


def main(args):
    settings = Settings(
        args.strength,
        args.ev,
        args.highlights_only,
        args.force,
        args.tile,
        args.stops,
    )
    if args.quality is not None and not 1 <= args.quality <= 100:
        raise UsageError(
            f"--quality should lie in [1, 100]. Received: {args.quality}"
        )
    output = batch.Output(
        args.format,
        args.quality,
        args.subsampling,
        args.metadata,
        args.overwrite,
        args.in_place,
    )
    limits = Limits(args.max_pixels, args.max_bytes)
    if args.strength == 0:
        model = open_model  # Never called: nothing is restored.
    else:
        model = open_model(args.model)
    if args.output is None:
        args.output = "-"
        if args.input != "-":
            args.output = batch.default_target(args.input, output)
    if args.input == "-" or args.output == "-":
        return _correct_stream(args, model, settings, output, limits)
    return _correct_files(args, model, settings, output, limits)


def _correct_files(args, model, settings, output, limits):
    single = not pathlib.Path(args.input).is_dir()
    jobs = batch.find_jobs(args.input, args.output, output)
    if args.mask and not single:
        raise UserError(f"--mask={args.mask}: needs a single photo as IN")
    if single:
        output = batch.kind_of_target(jobs[0][1], output)
    progress = Progress(len(jobs), shown=False if args.quiet else None)
    page = report.Report() if args.report else None
    work = batch.Batch(
        model,
        settings,
        output,
        limits,
        progress,
        args.mask,
        on_photo=page and page.add,
        debug=args.debug,
    )
    done = work.run(jobs)
    progress.close()
    if page:
        page.write(args.report, done)
    return _conclude(args, done, table=not single)


def _conclude(args, done, table):
    for result in done:
        if result.error:
            print(f"tfexposure correct: {result.error}", file=sys.stderr)
        elif not args.quiet:
            for note in result.notes:
                print(f"note: {result.file}: {note}", file=sys.stderr)
    if not args.quiet:
        if table:
            print(results.table(done))
        elif not done[0].error:
            print(_sentence(done[0]))
    if args.json:
        results.write_json(args.json, done)
    return int(any(result.status == results.FAILED for result in done))


def _sentence(result):
    if result.status == results.SKIPPED:
        return f"{result.output} exists; --overwrite does it again"
    change = ""
    if result.status == results.UNCHANGED:
        change = " (copied as it is; --force corrects it all the same)"
    return (
        f"{result.output}: {result.verdict}, {result.stops:.1f} stops over, "
        f"clipped {result.clipped_before:.2%} -> "
        f"{result.clipped_after:.2%}{change}"
    )


def _correct_stream(args, model, settings, output, limits):
    """One photo from or to a pipe."""
    if args.report or args.json or args.mask:
        raise UserError("--report, --json and --mask need files, not -")
    if args.input == "-":
        data = sys.stdin.buffer.read(limits.bytes + 1)
        photo = read_photo(data, limits, name="standard input")
    else:
        photo = read_photo(args.input, limits)
    target = sys.stdout.buffer
    if args.output != "-":
        target = pathlib.Path(args.output)
        output = batch.kind_of_target(target, output)
        if target.exists() and not output.overwrite:
            raise UserError(f"{target}: exists; --overwrite replaces it")
    correction = correct_photo(photo, model, settings)
    batch.write_correction(photo, correction, target, output)
    return 0
