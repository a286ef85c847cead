"""What became of each photo: the table and the JSON report."""

import dataclasses
import json
import shutil

from tfexposure.photo.io import files
from tfexposure.storage import shown

CORRECTED, UNCHANGED = "corrected", "unchanged"
SKIPPED, FAILED = "skipped", "failed"


@dataclasses.dataclass
class Result:
    """What became of one photo; a row of the table and of the JSON report."""

    file: str
    output: str | None
    status: str
    verdict: str | None = None
    clipped_before: float | None = None
    clipped_after: float | None = None
    tau: float | None = None
    stops: float | None = None
    stops_spread: float | None = None
    seconds: float = 0.0
    error: str | None = None
    notes: list = dataclasses.field(default_factory=list)

    def tell(self, correction):
        """Takes over what a `Correction` says of its photo."""
        self.verdict = correction.before.verdict
        self.clipped_before = correction.before.clipped
        self.clipped_after = correction.after.clipped
        self.tau = correction.before.tau
        self.stops = correction.before.stops
        self.stops_spread = correction.before.stops_spread
        self.status = CORRECTED if correction.changed else UNCHANGED


def write_json(path, results):
    """Writes the results as a JSON list, atomically."""
    rows = [dataclasses.asdict(result) for result in results]
    with files.atomic_file(path) as file:
        file.write(json.dumps(rows, indent=2).encode() + b"\n")


def shift(stops, spread):
    """Stops as text, and how sure they are; '' where nobody said them."""
    if stops is None:
        return ""
    sure = f" ± {spread:.1f}" if spread else ""
    return f"{stops:.1f}{sure} stops over"


def table(results):
    """The results as lines of text, no wider than the terminal likes."""
    width = min(max(shutil.get_terminal_size().columns - 52, 20), 60)
    lines = [
        f"{'photo':{width}} {'status':9} {'clipped before/after':>20} "
        f"{'tau':>5} {'s':>6}"
    ]
    for result in results:
        name = shown(result.file)
        if len(name) > width:
            name = "..." + name[3 - width :]
        shares = ""
        if result.clipped_before is not None:
            shares = (
                f"{result.clipped_before:7.2%} / {result.clipped_after:7.2%}"
            )
        tau = "" if result.tau is None else f"{result.tau:.2f}"
        lines.append(
            f"{name:{width}} {result.status:9} {shares:>20} {tau:>5} "
            f"{result.seconds:6.1f}"
        )
    counts = {}
    for result in results:
        counts[result.status] = counts.get(result.status, 0) + 1
    lines.append(
        f"{len(results)} photos: "
        + ", ".join(f"{n} {status}" for status, n in sorted(counts.items()))
    )
    return "\n".join(lines)
