"""Training on TensorFlow: the step, its batches, what TensorFlow alone does.

Both updates come from one forward pass of each network, on one device, several
(`MirroredStrategy`) or several machines (`MultiWorkerMirroredStrategy`).
"""

import contextlib
import functools
import hashlib
import re
import time

import numpy as np
import tensorflow as tf
from tensorflow.core.util import event_pb2

from tfexposure.data.packed import ArrayPhotos, Batches
from tfexposure.data.pipeline import training_stream
from tfexposure.data.sources import FilePhotos, unreadable
from tfexposure.errors import UnreadablePhotos, UserError
from tfexposure.layers import update_spectral_norms
from tfexposure.storage import shown
from tfexposure.training.optimizers import learning_rate
from tfexposure.training.strategies import is_chief

# What a worker sees when another one is gone.
# Seconds that the chief of several workers outlives them by.
_CHIEF_STAYS = 2
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError)


class TensorFlowBackend:
    """A tf.distribute strategy, with all that the loop asks of it.

    Attributes:
        name: of the strategy.
        strategy: tf.distribute.Strategy.
        replicas: int, how many share a step's batch.
        shares: the same: losses see one replica's part alone.
        chief: bool, whether this process writes the run's folder.
        errors: exceptions that `explain` may know.
    """

    errors = (tf.errors.OpError,)

    def __init__(self, strategy):
        self.strategy = strategy
        self.name = type(strategy).__name__
        self.replicas = self.shares = strategy.num_replicas_in_sync
        self.chief = is_chief(strategy)
        self.several_workers = strategy.extended._in_multi_worker_mode()
        self._closing = contextlib.ExitStack()

    def scope(self):
        """Returns the context in which a state is created."""
        return self.strategy.scope()

    def make_step(self, config, state):
        """Returns the function that trains; see `make_train_step`."""
        compiled = make_train_step(config, state, self.strategy)
        # A tensor: no other number is compiled anew.
        return lambda batches, count=1: compiled(batches, tf.constant(count))

    def publish(self, step):
        """Puts what `step` computed into the state's variables."""
        # They are updated in place.

    def reload(self, step):
        """Lets `step` go on from the state's variables as they are now."""

    def batches(self, photos, config, task, start):
        """Returns the iterator that the step takes its batches from."""
        size = config.train.global_batch_size

        def stream(context):
            # One stream per process, in batches of one replica, which are
            # dealt to the process's replicas in turn.
            share = size // context.num_input_pipelines
            batch = context.get_per_replica_batch_size(size)
            offset = share * context.input_pipeline_id
            if isinstance(photos, ArrayPhotos):
                made = Batches(
                    photos,
                    task.example,
                    size,
                    config.train.seed,
                    config.data.threads,
                    task.cut,
                )
                self._closing.callback(made.close)
                part = slice(offset, offset + share)
                return _array_stream(made, start, part, batch)
            return training_stream(
                photos,
                config.data,
                config.train.seed,
                batch,
                start,
                step_size=size,
                share=share,
                offset=offset,
            )

        return iter(self.strategy.distribute_datasets_from_function(stream))

    def predict(self, network):
        """Returns a function from images to the network's answer."""
        return lambda images: network(images, training=False)

    def prepare(self, task):
        """Returns `task.prepare` as a function of NumPy arrays."""
        return lambda batch: task.prepare(
            {name: tf.constant(values) for name, values in batch.items()}
        )

    def compile(self, function):
        """Returns a function of arrays, compiled."""
        return tf.function(function, reduce_retracing=True)

    def any(self, flag):
        """Tells whether `flag` is set in any worker; all must call it.

        Workers that stopped after different steps would wait for each other
        for ever, hence one tiny all-reduce per call where there are several.
        """
        if not self.several_workers:
            return flag
        with self._together():
            return bool(self._total(tf.constant(flag)) > 0)

    @contextlib.contextmanager
    def _together(self):
        try:
            yield
        except _LOST as error:
            raise _lost(error) from error

    @functools.cached_property
    def _total(self):
        @tf.function
        def total(flag):
            def add():
                context = tf.distribute.get_replica_context()
                return context.all_reduce("SUM", tf.cast(flag, tf.int32))

            totals = self.strategy.run(add)
            return self.strategy.experimental_local_results(totals)[0]

        return total

    def agree(self, values):
        """Makes sure that all workers start from the same; all must call it.

        Args:
            values: dict from what it is, in words, to a value. Of all workers
                the names are the same.

        Raises:
            UserError: if they do not, in every worker.
        """
        if not self.several_workers:
            return
        digests = [
            hashlib.sha256(repr(value).encode()).digest()[:8]
            for value in values.values()
        ]
        numbers = [int.from_bytes(d, "big", signed=True) for d in digests]
        with self._together():
            found = self._gather(tf.constant([numbers], tf.int64)).numpy()
        others = {
            name: np.flatnonzero(column != column[0])
            for name, column in zip(values, found.T, strict=True)
        }
        told = [
            f"{name} (replica {', '.join(map(str, places))})"
            for name, places in others.items()
            if len(places)
        ]
        if told:
            raise UserError(
                "workers differ from the first one in: "
                f"{'; '.join(told)}. Start the same command on every worker, "
                "with the same photos, and the run's folder on storage that "
                "they share"
            )

    @functools.cached_property
    def _gather(self):
        @tf.function
        def gather(row):
            def each():
                context = tf.distribute.get_replica_context()
                return context.all_gather(tf.identity(row), axis=0)

            rows = self.strategy.run(each)
            return self.strategy.experimental_local_results(rows)[0]

        return gather

    def explain(self, error, photos, names):
        """Raises a UserError if something outside made a step fail.

        Where photos of a folder or manifest did, and this is the only worker,
        it is an `UnreadablePhotos` that names all that there are now.

        Args:
            error: one of `errors`.
            photos: the training photos.
            names: function without arguments -> names of the photos that were
                about to be read.
        """
        if self.several_workers and isinstance(error, _LOST):
            raise _lost(error) from error
        if isinstance(photos, FilePhotos) and (bad := unreadable(names())):
            if not self.several_workers:  # All at once: each costs a restart.
                bad = unreadable(sorted(set(photos.files)))
            named = "\n".join(
                f"{shown(file)}: {why}" for file, why in bad.items()
            )
            message = f"photos have become unreadable:\n{named}"
            if self.several_workers:
                raise UserError(message) from error
            raise UnreadablePhotos(message, bad) from error

    def writer(self, run_dir, config, step):
        """Returns the TensorBoard writer of a run."""
        return TensorBoard(run_dir.logs, config, step)

    def start_profile(self, folder):
        """Begins a profile, to be written into a folder for TensorBoard."""
        tf.profiler.experimental.start(str(folder))

    def stop_profile(self):
        """Ends and writes it."""
        tf.profiler.experimental.stop()

    def versions(self):
        """Returns the versions of what computes, as a dict."""
        return {"tensorflow": tf.__version__}

    def devices(self):
        """Returns the names of the devices."""
        return [device.name for device in tf.config.list_logical_devices()]

    def close(self):
        """Ends the threads that make batches."""
        self._closing.close()
        if self.several_workers and self.chief:
            # The others report to its process, and complain if it goes first.
            time.sleep(_CHIEF_STAYS)

    def memory(self):
        """Returns the peak memory of each GPU in bytes, by its number."""
        return {
            gpu.name.split(":")[-1]: tf.config.experimental.get_memory_info(
                gpu.name
            )["peak"]
            for gpu in tf.config.list_logical_devices("GPU")
        }


def _lost(error):
    lost = re.search(r"from (/job:\w+/\S*task:\d+)", error.message)
    return UserError(
        f"lost another worker{', ' + lost[1] if lost else ''}. "
        "Restart the same command on every worker: the run goes on "
        "from its newest checkpoint."
    )


class TensorBoard:
    """Writes scalars, images and hyperparameters for TensorBoard.

    Args:
        folder: of the event files.
        config: `Config`.
        step: int, steps done before this start.
    """

    def __init__(self, folder, config, step):
        from tensorboard.plugins.hparams import api

        for file in folder.glob("*.tfevents.*"):
            _forget_after(file, step)
        self._writer = tf.summary.create_file_writer(str(folder))
        with self._writer.as_default(step):
            api.hparams(
                {
                    path: str(value) if isinstance(value, tuple) else value
                    for path, value in config.flat().items()
                }
            )

    def scalars(self, values, step):
        """Writes a dict of numbers."""
        with self._writer.as_default(step):
            for name, value in values.items():
                tf.summary.scalar(name, float(value))

    def image(self, name, pixels, step):
        """Writes one picture, uint8 (H, W, 3)."""
        with self._writer.as_default(step):
            tf.summary.image(name, pixels[None])

    def flush(self):
        """Writes to disk what is still buffered."""
        self._writer.flush()

    def close(self):
        """Flushes, and ends."""
        self._writer.close()


def _forget_after(file, step):
    """Drops the events of later steps, which a killed process did not save."""
    kept, whole = [], True
    try:
        for record in tf.data.TFRecordDataset(str(file)).as_numpy_iterator():
            event = event_pb2.Event.FromString(record)
            if event.step <= step:
                kept.append(record)
            else:
                whole = False
    except tf.errors.DataLossError:
        whole = False  # Torn by the kill.
    if whole:
        return
    # A name that TensorBoard does not read.
    temporary = file.with_name(f".{file.name.replace('tfevents', 'old')}")
    with tf.io.TFRecordWriter(str(temporary)) as writer:
        for record in kept:
            writer.write(record)
    temporary.replace(file)


def _array_stream(batches, start, part, size):
    """Streams a part of every step's batch, in batches of one replica.

    Args:
        batches: `Batches`.
        start: int, steps already done.
        part: slice of a step's batch that this process takes.
        size: int, examples per replica.

    Returns:
        tf.data.Dataset of dicts of (size, ...).
    """

    def generate():
        step = start
        while True:
            made = batches(step, part)
            for first in range(0, part.stop - part.start, size):
                rows = slice(first, first + size)
                yield {name: values[rows] for name, values in made.items()}
            step += 1

    one = slice(part.start, part.start + 1)
    signature = {
        name: tf.TensorSpec((size, *values.shape[1:]), values.dtype)
        for name, values in batches.make(start, one).items()
    }
    return tf.data.Dataset.from_generator(
        generate, output_signature=signature
    ).prefetch(tf.data.AUTOTUNE)


def make_train_step(config, state, strategy):
    """Returns the compiled function that trains on some batches.

    Per-example losses are summed and divided by the global batch size, and
    gradients summed over replicas: the result does not depend on their
    number. Scalar losses are means over a replica's part of the batch. A step
    whose losses or gradients are not finite is undone as a whole and counted
    in `state.bad_steps`.

    Args:
        config: `Config`.
        state: `TrainState`.
        strategy: tf.distribute.Strategy the state lives in.

    Returns:
        Function of an iterator of batches and of the number of steps, a
        scalar tensor (`train.steps_per_call`; 1 if that is 1), to a dict of
        float32 scalars, of the last step: the losses,
        `grad_norm_<network>` (before clipping), and `finite`.

    Raises:
        UserError: if several replicas are to be compiled with XLA.
    """
    train, task = config.train, state.task
    networks, optimizers = task.networks, task.optimizers
    replicas = strategy.num_replicas_in_sync
    prepare = task.prepare
    if replicas == 1:
        # On a CPU, XLA is several times faster at many small operations, and
        # half as fast at convolutions.
        prepare = tf.function(prepare, jit_compile=True, autograph=False)

    def mean(losses):
        if losses.shape.rank:
            return tf.reduce_sum(losses) / train.global_batch_size
        return losses / (replicas * train.accumulate)

    def losses_and_gradients(batch):
        with tf.GradientTape(persistent=True) as tape:
            means = {
                name: mean(loss) for name, loss in task.losses(batch).items()
            }
            loss_scale = state.loss_scale.value
            scaled = {
                name: means[name] * tf.cast(loss_scale, means[name].dtype)
                for name in networks
            }
        gradients = {
            name: tape.gradient(
                scaled[name],
                [v.value for v in network.trainable_variables],
                unconnected_gradients="zero",
            )
            for name, network in networks.items()
        }
        del tape
        return means, gradients

    def accumulated(batch):
        total, parts = None, train.accumulate
        for first in range(parts):
            # One after the other, or they would not spare any memory.
            with tf.control_dependencies(tf.nest.flatten(total or ())):
                part = {name: v[first::parts] for name, v in batch.items()}
                found = losses_and_gradients(part)
            total = (
                tf.nest.map_structure(tf.add, total, found) if total else found
            )
        return total

    def replica_step(batch):
        if "photos" in batch:
            batch = prepare(batch)
        several = train.accumulate > 1
        found = (accumulated if several else losses_and_gradients)(batch)
        loss_scale = state.loss_scale.value
        context = tf.distribute.get_replica_context()
        means, gradients = context.all_reduce("SUM", found)
        norms = {}
        for name in networks:
            scale = tf.cast(1 / loss_scale, gradients[name][0].dtype)
            unscaled = [gradient * scale for gradient in gradients[name]]
            norm = tf.linalg.global_norm(unscaled)
            if train.clip_norm:
                # After the sum over replicas: each one's own gradient says
                # little about the length of the whole.
                unscaled, _ = tf.clip_by_global_norm(
                    unscaled, train.clip_norm, use_norm=norm
                )
            gradients[name] = unscaled
            norms[f"grad_norm_{name}"] = norm
        results = means | norms
        results["finite"] = tf.cast(
            tf.reduce_all(
                [tf.math.is_finite(value) for value in results.values()]
            ),
            results[task.product].dtype,
        )
        return results, gradients

    def replica_update(gradients, names):
        for name in names:
            optimizer = optimizers[name]
            optimizer.learning_rate.assign(
                learning_rate(
                    train,
                    optimizer.iterations.value * state.waits(name, train),
                    state.decay_steps.value,
                    name,
                )
            )
            trained = networks[name].trainable_variables
            optimizer.apply(gradients[name], trained)
        if task.product in names:
            state.average(train.ema)

    def step(batch):
        # A forward pass moves the batch statistics, so undoing a step means
        # to put those back; weights are not touched until all is finite.
        all_networks = (*networks.values(), state.averaged)
        statistics = [
            variable.value
            for network in all_networks
            for variable in network.non_trainable_variables
        ]
        before = [tf.identity(variable) for variable in statistics]
        for network in all_networks:
            update_spectral_norms(network)
        results, gradients = strategy.run(replica_step, args=(batch,))
        results = {
            name: strategy.experimental_local_results(value)[0]
            for name, value in results.items()
        }

        def update(names):
            # A branch is a graph of its own, which does not know that it
            # stands outside the replicas.
            with strategy.scope():
                strategy.run(
                    lambda gradients: replica_update(gradients, names),
                    args=(gradients,),
                )

        def apply():
            if train.discriminator_steps == 1:
                update([*networks])
                return
            others = [name for name in networks if name != task.product]
            tf.cond(
                state.product_due(train),
                lambda: update([*networks]),
                lambda: update(others),
            )

        def undo():
            for variable, value in zip(statistics, before, strict=True):
                variable.assign(value)

        finite = results["finite"] > 0
        tf.cond(finite, apply, undo)
        state.count(finite, train.precision == "float16")
        return results

    if train.jit_compile:
        if strategy.num_replicas_in_sync > 1:
            raise UserError(
                "train.jit_compile works on one device only, not on "
                f"{strategy.num_replicas_in_sync} replicas"
            )
        # The batch is fetched outside: XLA knows no iterators.
        step = tf.function(step, jit_compile=True, autograph=False)
    else:
        # Its control flow is explicit; conversion would only take time.
        step = tf.autograph.experimental.do_not_convert(step)

    @tf.function
    def train_steps(iterator, count=train.steps_per_call):
        if train.steps_per_call == 1:
            return step(next(iterator))
        # The loop must know the results' names; a trace of its own tells them.
        traced = tf.function(step).get_concrete_function(iterator.element_spec)
        results = dict.fromkeys(traced.structured_outputs, 0.0)
        for _ in tf.range(count):
            results = step(next(iterator))
        return results

    return train_steps
