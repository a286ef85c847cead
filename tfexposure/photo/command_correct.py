"""`tfexposure correct IN... [--output=OUT]`."""

import argparse
import os
import pathlib
import sys

from tfexposure.errors import UsageError, UserError
from tfexposure.photo import batch, jobs, report, results
from tfexposure.photo.correcting import Settings, correct_photo
from tfexposure.photo.io import files, formats
from tfexposure.photo.io.decode import read_photo
from tfexposure.photo.io.photo import Limits
from tfexposure.photo.progress import Progress
from tfexposure.runtime.opening import MODEL_KINDS, open_model

_EPILOG = """\
exit status: 0 if every photo was corrected, left as it is or skipped; 1 if
one failed; 2 for wrong usage. The manual is docs/correct.md.

examples:
  tfexposure correct party.jpg
  tfexposure correct party.jpg party_fixed.jpg
  tfexposure correct party.jpg party_fixed.jpg --model=exports/saved_model
  tfexposure correct *.jpg --output=fixed/
  tfexposure correct *.jpg --in_place
  tfexposure correct holiday/ fixed/ --report=fixed.html
  tfexposure correct - - < in.jpg > out.jpg
"""


def add_arguments(parser):
    parser.epilog = _EPILOG
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    add = parser.add_argument
    add(
        "inputs",
        metavar="IN",
        nargs="+",
        help="photos, folders, or - for stdin; after a single IN one more "
        "word is OUT: a folder, a photo not there yet, or - for stdout",
    )
    add(
        "--output",
        metavar="OUT",
        help="where the answer goes: a folder; for a single photo also a file "
        "or -; default: IN with _corrected added to its name, for - stdout",
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
        help="let each photo take its own input's place",
    )

    reports = parser.add_argument_group("reports").add_argument
    reports("--report", metavar="HTML", help="before/after page of all photos")
    reports("--json", metavar="JSON", help="outcome of each photo")
    reports("--quiet", action="store_true", help="no progress and no table")


def add_limits(parser, limits=Limits()):  # noqa: B008
    """Adds the flags of `Limits`, with these for defaults."""
    add = parser.add_argument_group("limits").add_argument
    add(
        "--max_pixels",
        type=int,
        default=limits.pixels,
        help=f"refuse larger pictures; default {limits.pixels:,}",
    )
    add(
        "--max_bytes",
        type=int,
        default=limits.bytes,
        help=f"refuse larger files; default {limits.bytes:,}",
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
    sources, target = _sources_and_target(args)
    if "-" in (sources[0], target):
        return _correct_stream(
            args, sources[0], target, model, settings, output, limits
        )
    return _correct_files(
        args, sources, target, model, settings, output, limits
    )


def _sources_and_target(args):
    """Tells IN from OUT among the words given, or refuses to guess.

    Returns:
        (list of IN, OUT or `None` for beside each IN).

    Raises:
        ValueError: if a word may be either, or they do not go together.
    """
    words, target = args.inputs, args.output
    if args.in_place and target is not None:
        raise UsageError("--in_place takes no --output")
    if args.in_place and args.format:
        raise UsageError("--in_place keeps formats; it takes no --format")
    if target is None and not args.in_place and len(words) > 1:
        if len(words) == 2 and _is_output(*words):
            words, target = words[:1], words[1]
        elif len(words) > 2 and pathlib.Path(words[-1]).is_dir():
            raise UsageError(
                f"{words[-1]}: is it one more folder of photos, or the folder "
                f"to write to? For the latter say --output={words[-1]}"
            )
    if words == ["-"] and target is None and not args.in_place:
        target = "-"
    if "-" in words and (len(words) > 1 or args.in_place):
        raise UsageError("- (standard input) goes with no other IN")
    if target == "-" and len(words) > 1:
        raise UsageError("- (standard output) takes a single photo")
    return words, target


def _is_output(first, second):
    """Whether the second of two words is OUT; refuses what may be a photo."""
    here = pathlib.Path(second)
    if "-" in (first, second) or here.is_dir() or not os.path.lexists(second):
        return True
    if jobs.same_file(first, second):
        return True  # `find_jobs` refuses it.
    raise UsageError(
        f"{second}: exists; is it a second photo, or the place of what {first} "
        f"becomes? For both photos say --in_place or --output=FOLDER; to write "
        f"there say --output={second} --overwrite"
    )


def _correct_files(args, sources, target, model, settings, output, limits):
    left_out = []
    found = jobs.find_jobs(sources, target, output, left_out)
    single = len(sources) == 1 and not pathlib.Path(sources[0]).is_dir()
    if args.mask and not single:
        raise UserError(f"--mask={args.mask}: needs a single photo as IN")
    if single:
        jobs.check_source(found[0][0])
    named = target is not None or found[0][1].suffix in formats.SUFFIXES
    if single and not output.in_place and named:
        output = jobs.kind_of_target(found[0][1], output)
    _check_side_files(args, found)
    progress = Progress(len(found), shown=False if args.quiet else None)
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
    done = work.run(found) + left_out
    progress.close()
    if page:
        page.write(args.report, done)
    return _conclude(args, done, table=not single)


def _check_side_files(args, found):
    """Refuses reports that would replace a photo or cannot be written."""
    photos = {jobs.place_of(path) for job in found for path in job}
    for flag in ("mask", "report", "json"):
        path = getattr(args, flag)
        if path:
            check_side_file(
                f"--{flag}", path, photos, (".png",) if flag == "mask" else ()
            )


def check_side_file(flag, path, photos, suffixes):
    """Refuses a report or mask in a photo's place, before any work.

    Args:
        flag: what the user calls it, such as `"--mask"`.
        path: the file to write.
        photos: places (`jobs.place_of`) of the photos in hand.
        suffixes: suffixes of photos that it may have.

    Raises:
        ValueError: if it would replace a photo.
        UserError: if it cannot be written.
    """
    if jobs.place_of(path) in photos:
        raise UsageError(f"{flag}={path}: would replace a photo")
    suffix = pathlib.Path(path).suffix.lower()
    if suffix in formats.SUFFIXES and suffix not in suffixes:
        raise UsageError(f"{flag}={path}: has the suffix of a photo, {suffix}")
    files.check_writable(path)


def _conclude(args, done, table):
    for result in done:
        if result.error:
            print(f"tfexposure correct: {result.error}", file=sys.stderr)
        elif not args.quiet:
            _print_notes(result.file, result.notes)
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
        how = "left" if result.file == result.output else "copied"
        change = f" ({how} as it is; --force corrects it all the same)"
    facts = [
        result.verdict,
        results.shift(result.stops, result.stops_spread),
        f"clipped {result.clipped_before:.2%} -> {result.clipped_after:.2%}",
    ]
    return f"{result.output}: {', '.join(filter(None, facts))}{change}"


def _correct_stream(args, source, target, model, settings, output, limits):
    """One photo from or to a pipe."""
    if args.report or args.json or args.mask:
        raise UserError("--report, --json and --mask need files, not -")
    if source == "-" and sys.stdin is None:
        raise UserError("standard input is closed")
    if target == "-" and sys.stdout is None:
        raise UserError("standard output is closed")
    if source == "-":
        data = sys.stdin.buffer.read(limits.bytes + 1)
        photo = read_photo(data, limits, name="standard input")
    else:
        photo = read_photo(source, limits)
    if target == "-":
        target = sys.stdout.buffer
    else:
        target = pathlib.Path(target)
        output = jobs.kind_of_target(target, output)
        if target.exists() and not output.overwrite:
            raise UserError(f"{target}: exists; --overwrite replaces it")
    correction = correct_photo(photo, model, settings)
    batch.write_correction(photo, correction, target, output)
    if not args.quiet:
        _print_notes(photo.name, photo.notes)
    return 0


def _print_notes(name, notes):
    for note in notes:
        print(f"note: {name}: {note}", file=sys.stderr)
