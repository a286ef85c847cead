"""Stopping on a signal, all workers after the same step."""

import signal

import tensorflow as tf


class Signals:
    """Notes SIGTERM and SIGINT instead of dying in the middle of a step.

    Use it as a context manager.

    Args:
        strategy: tf.distribute.Strategy.
    """

    def __init__(self, strategy):
        self.received = None
        self.several_workers = strategy.extended._in_multi_worker_mode()
        self._strategy = strategy

    def __enter__(self):
        self._old = {
            number: signal.signal(number, self._note)
            for number in (signal.SIGTERM, signal.SIGINT)
        }
        return self

    def __exit__(self, *_):
        for number, handler in self._old.items():
            signal.signal(number, handler)

    def should_stop(self):
        """Tells whether any worker got a signal; call it after every step.

        Workers that stopped after different steps would wait for each other
        for ever, hence one tiny all-reduce per call where there are several.
        """
        if not self.several_workers:
            return self.received is not None
        return bool(self._any(tf.constant(self.received is not None)) > 0)

    @tf.function
    def _any(self, flag):
        def total():
            context = tf.distribute.get_replica_context()
            return context.all_reduce("SUM", tf.cast(flag, tf.int32))

        totals = self._strategy.run(total)
        return self._strategy.experimental_local_results(totals)[0]

    def _note(self, number, _):
        self.received = signal.Signals(number).name
