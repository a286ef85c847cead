"""Streams of photos that can only be read one after the other."""

import tensorflow as tf

# Examples held while shuffling; they are still encoded, some 20 kB each.
_BUFFER = 4096


def shuffled_epochs(records, count, seed, start):
    """Repeats a dataset for ever, every epoch in another order.

    What comes at a position depends on the seed alone, so that a run can go
    on anywhere: whole epochs are skipped at no cost, the rest of one by
    reading it without decoding.

    Args:
        records: function from an epoch's number (int64 tensor) to the
            tf.data.Dataset of its examples, in an order of its own.
        count: int, examples per epoch.
        seed: int.
        start: int, first position.

    Returns:
        tf.data.Dataset of (position, example), from position `start` on.
    """
    first, skip = divmod(start, count)

    def epoch_stream(epoch):
        # Of this function's graph alone: makes the order independent of the
        # process's seed. If that were 0, TensorFlow would ask whether the
        # tensor below is 0, too, which a graph cannot answer.
        tf.random.set_seed(1)
        examples = records(epoch).shuffle(
            min(_BUFFER, count),
            seed=seed * 1_000_003 + epoch,
            reshuffle_each_iteration=False,
        )
        positions = tf.data.Dataset.range(epoch * count, (epoch + 1) * count)
        return tf.data.Dataset.zip((positions, examples)).skip(
            tf.where(tf.equal(epoch, first), tf.cast(skip, tf.int64), 0)
        )

    return tf.data.Dataset.range(first, tf.int64.max).flat_map(epoch_stream)


def examples_at(stream, positions):
    """Returns the examples at some positions of a (position, example) stream.

    Args:
        stream: function from a first position to the stream from there on.
        positions: non-empty list of int.
    """
    wanted, found = set(positions), {}
    for position, example in stream(min(wanted)):
        if int(position) in wanted:
            found[int(position)] = example
        if len(found) == len(wanted):
            return [found[position] for position in positions]
    raise AssertionError("the stream ended")
