"""Curates photos by the million and packs the kept ones into TFRecords.

    python trainers/curate_beam.py --folder=photos --output=records
    python trainers/curate_beam.py --folder=gs://in --output=gs://out \\
        --shards=512 -- --runner=DataflowRunner --project=...

What follows `--` goes to Apache Beam. Train with
`--data.source=tfrecord:records`. Running it again after an interruption goes on
where it stopped. Needs `pip install "tfexposure[beam]"`, and no TensorFlow.
"""

import sys

from absl import app, flags

from tfexposure.data import curation
from tfexposure.errors import UserError

_FOLDER = flags.DEFINE_string("folder", None, "Folder of photos.")
_OUTPUT = flags.DEFINE_string("output", None, "Folder to write to.")
_SHARDS = flags.DEFINE_integer(
    "shards", 16, "Number of record files.", lower_bound=1
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
_MAX_UNREADABLE = flags.DEFINE_integer(
    "max_unreadable",
    100,
    "More unreadable photos than this are an error.",
    lower_bound=0,
)


def main(argv):
    for flag in (_FOLDER, _OUTPUT):
        if not flag.value:
            raise app.UsageError(f"--{flag.name} is needed.")
    counters = {}
    try:
        from tfexposure.data import beam

        beam.curate(
            _FOLDER.value,
            _OUTPUT.value,
            rules=curation.Rules(
                bright_level=_BRIGHT_LEVEL.value,
                dark_level=_DARK_LEVEL.value,
                max_bright=_MAX_BRIGHT.value,
                max_dark=_MAX_DARK.value,
            ),
            shards=_SHARDS.value,
            max_unreadable=_MAX_UNREADABLE.value,
            options=argv[1:],
            counters=counters,
            log=lambda line: print(line, file=sys.stderr, flush=True),
        )
    except UserError as error:
        sys.exit(f"error: {error}")
    for name, count in sorted(counters.items()):
        print(f"{name:>12}: {count}")
    print(f"manifest and records: {_OUTPUT.value}")


def run():
    """Entry point of the script."""
    app.run(main)


if __name__ == "__main__":
    run()
