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
from tfexposure.trainers import curation_flags

from tfexposure import scripts
from tfexposure.errors import UserError

FLAGS = flags.FLAGS
curation_flags.define()
flags.adopt_module_key_flags(curation_flags)
flags.DEFINE_string("output", None, "Folder to write to.")
flags.DEFINE_integer("shards", 16, "Number of record files.", lower_bound=1)


def main(argv):
    for name in ("folder", "output"):
        if not FLAGS[name].value:
            raise app.UsageError(f"--{name} is needed.")
    counters = {}
    try:
        from tfexposure.data import beam

        beam.curate(
            FLAGS.folder,
            FLAGS.output,
            rules=curation_flags.rules(),
            shards=FLAGS.shards,
            max_unreadable=FLAGS.max_unreadable,
            options=argv[1:],
            counters=counters,
            log=lambda line: print(line, file=sys.stderr, flush=True),
        )
    except UserError as error:
        sys.exit(f"error: {error}")
    for name, count in sorted(counters.items()):
        print(f"{name:>12}: {count}")
    print(f"manifest and records: {FLAGS.output}")


def run():
    """Entry point of the script."""
    scripts.run(main)


if __name__ == "__main__":
    run()
