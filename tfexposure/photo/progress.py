"""A progress line with an estimate of the time left."""

import sys
import time


class Progress:
    """One line on a terminal, rewritten; silent where there is none.

    Args:
        total: photos to do.
        stream: where to write; standard error by default, since standard
            output may be a picture.
        shown: whether to write; `None` asks whether `stream` is a terminal.
    """

    def __init__(self, total, stream=None, shown=None):
        self._total = total
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty() if shown is None else shown
        self._start = time.monotonic()
        self._last = 0.0
        self._finished = 0
        self._name = ""

    def begin(self, name):
        """Says which photo is being corrected."""
        self._name = name
        self.inside(0.0)

    def inside(self, share):
        """Says how much of that photo is done, 0 to 1."""
        now = time.monotonic()
        if not self._shown or (now - self._last < 0.1 and share < 1):
            return
        self._last = now
        done = (self._finished + share) / max(self._total, 1)
        filled = round(24 * min(done, 1))
        bar = "#" * filled + "-" * (24 - filled)
        self._write(
            f"[{bar}] {self._finished}/{self._total} {self._eta(done)} "
            f"{share:4.0%} {self._name[-40:]}"
        )

    def end(self):
        """Counts the photo as finished."""
        self._finished += 1

    def close(self):
        """Wipes the line."""
        if self._shown:
            self._write("")
            self._stream.write("\r")

    def _eta(self, done):
        if done <= 0:
            return "ETA --:--"
        left = (time.monotonic() - self._start) * (1 - done) / done
        return f"ETA {int(left) // 60:02d}:{int(left) % 60:02d}"

    def _write(self, text):
        self._stream.write("\r" + text[:99].ljust(99))
        self._stream.flush()
