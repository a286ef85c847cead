"""Stopping on a signal, or when the time is up."""

import math
import os
import signal
import time


class Signals:
    """Notes SIGTERM and SIGINT instead of dying in the middle of a step.

    Use it as a context manager.

    Attributes:
        received: name of the signal, or None.
    """

    def __init__(self):
        self.received = None

    def __enter__(self):
        self._old = {
            number: signal.signal(number, self._note)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        return self

    def __exit__(self, *_):
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def _note(self, number, _):
        self.received = signal.Signals(number).name


class Budget:
    """Wall time that a process may take, all of it counted.

    Args:
        minutes: float from the start of the process; 0: no limit.
    """

    def __init__(self, minutes):
        self.minutes = minutes
        self._end = process_start() + 60 * minutes
        self._longest = {}

    def measure(self, name, seconds):
        """Notes how long something took that the end must leave time for."""
        self._longest[name] = max(seconds, self._longest.get(name, 0.0))

    def left(self):
        """Returns the seconds left for steps; infinite without a limit."""
        if not self.minutes:
            return math.inf
        # What ends a run may take a little longer than it ever did.
        reserve = 1.25 * sum(self._longest.values())
        return self._end - time.monotonic() - reserve

    def spent(self):
        """Tells whether only the time for a proper end is left."""
        return self.left() <= 0


def process_start():
    """Returns when this process began, on the clock of `time.monotonic`."""
    try:
        with open("/proc/self/stat", encoding="ascii") as file:
            ticks = int(file.read().rsplit(")", 1)[1].split()[19])
        age = time.clock_gettime(time.CLOCK_BOOTTIME) - ticks / os.sysconf(
            "SC_CLK_TCK"
        )
    except (OSError, ValueError, AttributeError, IndexError):
        age = time.process_time()  # Of no such system: at least that.
    return time.monotonic() - age
