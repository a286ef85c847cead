"""What a layer must know about the replicas it runs on.

The only module below `data` and `training` that touches TensorFlow, and only
while Keras runs on it: on JAX one program sees the whole batch.
"""

import keras


def _context():
    if keras.backend.backend() != "tensorflow":
        return None
    import tensorflow as tf

    context = tf.distribute.get_replica_context()
    if context is None or context.num_replicas_in_sync == 1:
        return None
    return context


def replica_id():
    """Returns this replica's number (int or int32 scalar), 0 if alone."""
    context = _context()
    return 0 if context is None else context.replica_id_in_sync_group


def mean_over_replicas(value):
    """Averages a tensor over all replicas; differentiable."""
    context = _context()
    return value if context is None else context.all_reduce("MEAN", value)
