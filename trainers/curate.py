"""Sorts out over- and underexposed photos and writes a manifest.

    python trainers/curate.py --folder=photos --manifest=photos.jsonl

Training and evaluation then use the photos whose verdict is `keep`. Running
it again reads only what is new or has changed.
"""

import sys

from absl import app, flags
from tfexposure.trainers import curation_flags

from tfexposure import scripts
from tfexposure.data import curation
from tfexposure.errors import UserError
from tfexposure.storage import shown

FLAGS = flags.FLAGS
curation_flags.define()
flags.adopt_module_key_flags(curation_flags)
flags.DEFINE_string(
    "manifest", None, "Manifest to write; <folder>/manifest.jsonl by default."
)
flags.DEFINE_integer(
    "workers", None, "Threads; one per processor by default.", lower_bound=1
)


def main(argv):
    if len(argv) > 1:
        raise app.UsageError(f"Unexpected arguments: {' '.join(argv[1:])}")
    if not FLAGS.folder:
        raise app.UsageError("--folder is needed: the folder of photos.")
    try:
        summary = curation.curate(
            FLAGS.folder,
            manifest=FLAGS.manifest,
            rules=curation_flags.rules(),
            workers=FLAGS.workers,
            max_unreadable=FLAGS.max_unreadable,
            progress=_show_progress,
        )
    except UserError as error:
        sys.exit(f"error: {error}")
    for id, reason in summary.unreadable:
        print(f"unreadable: {shown(id)}: {reason}")
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
    scripts.run(main)


if __name__ == "__main__":
    run()
