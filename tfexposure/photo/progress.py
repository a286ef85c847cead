"""A progress line with an estimate of the time left."""

import sys
import threading
import time


class Progress:
    """One line on a terminal, rewritten; silent where there is none.

    Several photos may be in hand at once, each in a thread of its own.

    Args:
        total: photos to do.
        stream: where to write; standard error by default, since standard
            output may be a picture.
        shown: whether to write; `None` asks whether `stream` is a terminal.
    """

    def __init__(self, total, stream=None, shown=None):
        self.total = total
        self._stream = stream or sys.stderr
        self._shown = self._stream.isatty() if shown is None else shown
        self._start = time.monotonic()
        self._last = 0.0
        self._finished = 0
        self._shares = {}
        self._lock = threading.Lock()

    def inside(self, name, share):
        """Says how much of a photo is done, 0 to 1."""
        with self._lock:
            self._shares[name] = share
            now = time.monotonic()
            if self._shown and (now - self._last >= 0.1 or share == 1):
                self._last = now
                self._write(self._line(name, share))

    def end(self, name):
        """Counts a photo as finished."""
        with self._lock:
            self._shares.pop(name, None)
            self._finished += 1

    def close(self):
        """Wipes the line."""
        if self._shown:
            self._write("")
        if self._shown:
            self._stream.write("\r")

    def _line(self, name, share):
        done = self._finished + sum(self._shares.values())
        done = min(done / max(self.total, 1), 1)
        filled = round(24 * done)
        bar = "#" * filled + "-" * (24 - filled)
        eta = "--:--"
        if done > 0:
            left = (time.monotonic() - self._start) * (1 - done) / done
            eta = f"{int(left) // 60:02d}:{int(left) % 60:02d}"
        return (
            f"[{bar}] {self._finished}/{self.total} ETA {eta} {share:4.0%} "
            f"{name[-40:]}"
        )

    def _write(self, text):
        try:
            self._stream.write("\r" + text[:99].ljust(99))
            self._stream.flush()
        except (OSError, ValueError):
            self._shown = False  # The terminal is gone; the photos are not.
