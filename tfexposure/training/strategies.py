"""Which devices a run uses."""

import os

import tensorflow as tf


def prepare(train):
    """Sets process-wide options; call it before anything else of TensorFlow.

    Args:
        train: `TrainConfig`.
    """
    for gpu in tf.config.list_physical_devices("GPU"):
        tf.config.experimental.set_memory_growth(gpu, True)
    if train.threads:
        tf.config.threading.set_intra_op_parallelism_threads(train.threads)
        tf.config.threading.set_inter_op_parallelism_threads(train.threads)
    # Grappler's remapper fails on noise before a LeakyReLU: it says so in red
    # and changes nothing, at every start.
    tf.config.optimizer.set_experimental_options({"remapping": False})
    if train.deterministic:
        tf.config.experimental.enable_op_determinism()


def strategy():
    """Returns the strategy for the devices at hand.

    `TF_CONFIG` set: `MultiWorkerMirroredStrategy`, the same command on every
    worker. Several GPUs: `MirroredStrategy`. Otherwise the default one, which
    adds nothing.
    """
    if os.environ.get("TF_CONFIG"):
        return tf.distribute.MultiWorkerMirroredStrategy()
    if len(tf.config.list_logical_devices("GPU")) > 1:
        return tf.distribute.MirroredStrategy()
    return tf.distribute.get_strategy()


def is_chief(strategy):
    """Tells whether this process is the one that writes the run's folder."""
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    return resolver.task_type == "chief" or (
        resolver.task_type == "worker"
        and resolver.task_id == 0
        and "chief" not in resolver.cluster_spec().jobs
    )
