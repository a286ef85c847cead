"""Which devices a run uses."""

import json
import os

import tensorflow as tf

from tfexposure.config import choose_gpus, parse_devices
from tfexposure.errors import UserError


def prepare(train):
    """Sets process-wide options; call it before anything else of TensorFlow.

    Args:
        train: `TrainConfig`.

    Raises:
        UserError: if the machine lacks a GPU that `train.devices` names.
    """
    kind, numbers = parse_devices(train.devices)
    if kind != "all":
        gpus = tf.config.list_physical_devices("GPU")
        gpus = choose_gpus(gpus, numbers) if kind == "gpu" else []
        tf.config.set_visible_devices(gpus, "GPU")
    if kind == "cpu":
        (processor,) = tf.config.list_physical_devices("CPU")
        parts = [tf.config.LogicalDeviceConfiguration()] * numbers[0]
        tf.config.set_logical_device_configuration(processor, parts)
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
    """Returns the strategy for the devices that `prepare` left visible.

    `TF_CONFIG` set, or one of several tasks of a SLURM step:
    `MultiWorkerMirroredStrategy`, the same command on every worker. Several
    GPUs or parts of the processor: `MirroredStrategy`. Otherwise the default
    one, which adds nothing.

    Raises:
        UserError: if `TF_CONFIG` does not describe this worker.
    """
    if os.environ.get("TF_CONFIG"):
        check_cluster(os.environ["TF_CONFIG"])
        return tf.distribute.MultiWorkerMirroredStrategy()
    if int(os.environ.get("SLURM_STEP_NUM_TASKS", 1)) > 1:
        return tf.distribute.MultiWorkerMirroredStrategy(slurm_cluster())
    devices = [
        tf.config.list_logical_devices(kind)
        for kind in ("GPU", "CPU")
        if tf.config.list_logical_devices(kind)
    ][0]
    if len(devices) > 1:
        return tf.distribute.MirroredStrategy([each.name for each in devices])
    return tf.distribute.get_strategy()


def slurm_cluster():
    """Returns the resolver of a SLURM step: a worker a task.

    Which GPUs a task sees is SLURM's to say (`--gpus-per-task`).
    """
    # The resolver counts tasks by GPUs, also where there are none.
    return tf.distribute.cluster_resolver.SlurmClusterResolver(
        gpus_per_node=int(os.environ["SLURM_STEP_NUM_TASKS"]),
        gpus_per_task=1,
        auto_set_gpu=False,
    )


def check_cluster(text):
    """Checks a value of `TF_CONFIG`.

    Raises:
        UserError: if it is not JSON, lists no workers, or this one is not
            among them.
    """
    try:
        values = json.loads(text)
        task = values["task"]
        values["cluster"][task["type"]][task["index"]].rsplit(":", 1)[1]
        if task["index"] < 0:
            raise IndexError
    except (ValueError, LookupError, TypeError, AttributeError) as error:
        raise UserError(
            'TF_CONFIG should be {"cluster": {"worker": ["host:port", ...]}, '
            '"task": {"type": "worker", "index": 0}}, with an index for every '
            f"worker, not {text}"
        ) from error


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
