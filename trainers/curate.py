"""Sorts out over- and underexposed photos and writes a manifest.

    python trainers/curate.py --folder=photos --manifest=photos.jsonl

Training and evaluation then use the photos whose verdict is `keep`. Running
it again reads only what is new or has changed.
"""

import sys

from absl import app, flags

from tfexposure.data import curation
from tfexposure.errors import UserError

_FOLDER = flags.DEFINE_string("folder", None, "Folder of photos.")
_MANIFEST = flags.DEFINE_string(
    "manifest", None, "Manifest to write; <folder>/manifest.jsonl by default."
)
_BRIGHT_LEVEL = flags.DEFINE_integer(
    "bright_level",
    250,
    "A pixel whose largest channel reaches this 8-bit value is overexposed.",
    lower_bound=0,
    upper_bound=255,
)
_DARK_LEVEL = flags.DEFINE_integer(
    "dark_level",
    5,
    "A pixel whose largest channel is at most this is underexposed.",
    lower_bound=0,
    upper_bound=255,
)
_MAX_BRIGHT = flags.DEFINE_float(
    "max_bright",
    0.01,
    "Fraction of overexposed pixels that a kept photo may have.",
    lower_bound=0,
    upper_bound=1,
)
_MAX_DARK = flags.DEFINE_float(
    "max_dark",
    0.01,
    "Fraction of underexposed pixels that a kept photo may have.",
    lower_bound=0,
    upper_bound=1,
)
_WORKERS = flags.DEFINE_integer(
    "workers", None, "Threads; one per processor by default.", lower_bound=1
)
_MAX_UNREADABLE = flags.DEFINE_integer(
    "max_unreadable",
    100,
    "More unreadable photos than this are an error.",
    lower_bound=0,
)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {' '.join(argv[1:])}")
    if not _FOLDER.value:
        raise app.UsageError("--folder is needed: the folder of photos.")
    rules = curation.Rules(
        bright_level=_BRIGHT_LEVEL.value,
        dark_level=_DARK_LEVEL.value,
        max_bright=_MAX_BRIGHT.value,
        max_dark=_MAX_DARK.value,
    )
    try:
        summary = curation.curate(
            _FOLDER.value,
            manifest=_MANIFEST.value,
            rules=rules,
            workers=_WORKERS.value,
            max_unreadable=_MAX_UNREADABLE.value,
            progress=_show_progress,
        )
    except UserError as error:
        sys.exit(f"error: {error}")
    for id, reason in summary.unreadable:
        print(f"unreadable: {id}: {reason}")
    for verdict, count in summary.counts.items():
        print(f"{verdict:>12}: {count}")
    print(
        f"{summary.total} photos ({summary.read} read, {summary.reused} "
        f"unchanged) in {summary.seconds:.1f} s"
    )
    print(f"manifest: {summary.manifest}")


def _show_progress(done, total):
    print(f"{done}/{total} photos", file=sys.stderr)


def run():
    app.run(main)


if __name__ == "__main__":
    run()
