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


def fused_batch_norm(x, scale, offset, epsilon):
    """Normalises a batch in one operation, several times as fast.

    Args:
        x: (N, H, W, C).
        scale: (C,).
        offset: (C,).
        epsilon: float.

    Returns:
        Triple of the normalised batch, its mean and its variance, (C,); or
        None where no such operation fits: on other backends and data types,
        and where the batch is spread over replicas.
    """
    if keras.backend.backend() != "tensorflow" or _context() is not None:
        return None
    if len(x.shape) != 4 or x.dtype != "float32":
        return None
    import tensorflow as tf

    y, mean, variance = tf.compat.v1.nn.fused_batch_norm(
        x, scale, offset, epsilon=epsilon, is_training=True
    )
    # It divides by one less than the number of values.
    count = tf.cast(tf.reduce_prod(tf.shape(x)[:3]), variance.dtype)
    return y, mean, variance * (count - 1) / count
