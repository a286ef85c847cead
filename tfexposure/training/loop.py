"""The training loop, on one device, several, or several machines."""

import signal

from tfexposure.config import RunDir
from tfexposure.data.pipeline import Photos, training_stream
from tfexposure.errors import Interrupted, UserError
from tfexposure.layers import seed_noise
from tfexposure.training.checkpoints import Checkpoints
from tfexposure.training.monitor import Monitor
from tfexposure.training.state import create_state
from tfexposure.training.step import load_features, make_train_step
from tfexposure.training.validation import Validation

_GRID_PHOTOS = 4


def train(config, run_dir, strategy):
    """Trains until `config.train.steps`, or on from where the run stood.

    Args:
        config: `Config`, validated.
        run_dir: path of the run's folder; made if it does not exist.
        strategy: tf.distribute.Strategy.

    Returns:
        `TrainState` at the end.

    Raises:
        UserError: if data, weights or checkpoints are missing or unfit, a
            checkpoint cannot be written, or too many steps in a row had NaN
            or Inf.
        Interrupted: after SIGTERM or SIGINT; the state was saved.
    """
    run_dir = RunDir(run_dir)
    train = config.train
    chief = _is_chief(strategy)
    # All that can be wrong with the input comes to light before any training.
    photos = Photos.open(
        config.data.source, config.data.split, config.data.max_unreadable
    )
    validation = Validation.open(config)
    _check_batch(train, strategy)
    with strategy.scope():
        features = load_features(config.loss)
        state = create_state(config)
    if chief:
        run_dir.write_config(config)
    checkpoints = Checkpoints(
        state, run_dir.checkpoints, train.keep_checkpoints, chief
    )
    restored = checkpoints.restore()
    start = int(state.step.numpy())
    seed_noise(state.generator, train.seed, start)
    if chief:
        where = f"resumed at step {start}" if restored else "new run"
        print(
            f"{run_dir.path}: {where}; "
            f"{strategy.num_replicas_in_sync} replica(s), "
            f"{state.generator.count_params():,} + "
            f"{state.discriminator.count_params():,} parameters, "
            f"photos from {photos.source}",
            flush=True,
        )
    batches = iter(_distributed(photos, config, strategy, start))
    grid = next(
        iter(training_stream(photos, config.data, train.seed, _GRID_PHOTOS))
    )
    step_function = make_train_step(config, state, strategy, features)
    monitor = Monitor(run_dir, config, start, chief)

    step = start
    with _Signals() as signals:
        while step < train.steps:
            results = step_function(batches)
            before, step = step, step + train.steps_per_call
            last = step >= train.steps

            def due(every, before=before, step=step, last=last):
                return last or before // every < step // every

            if due(min(train.log_every, train.max_bad_steps)):
                _check_finite(state, config, photos, step)
            if due(train.log_every):
                monitor.progress(state, results, step)
            if due(train.sample_every):
                monitor.samples(state.averaged, grid, step)
            if due(train.checkpoint_every) or signals.received:
                checkpoints.save()
            if chief and validation and due(train.validate_every):
                monitor.validated(
                    validation.run(state.averaged, run_dir, step), step
                )
            if signals.received:
                raise Interrupted(
                    f"{signals.received} after step {step}; saved. The same "
                    "command goes on from here."
                )
    monitor.close()
    return state


def _distributed(photos, config, strategy, start):
    size = config.train.global_batch_size

    def stream(context):
        # One stream per process, in batches of one replica, which are dealt
        # to the process's replicas in turn.
        share = size // context.num_input_pipelines
        return training_stream(
            photos,
            config.data,
            config.train.seed,
            context.get_per_replica_batch_size(size),
            start,
            step_size=size,
            share=share,
            offset=share * context.input_pipeline_id,
        )

    return strategy.distribute_datasets_from_function(stream)


class _Signals:
    """Notes SIGTERM and SIGINT instead of dying in the middle of a step."""

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


def _check_finite(state, config, photos, step):
    bad = int(state.bad_steps.numpy())
    train = config.train
    if bad < train.max_bad_steps:
        return
    size = train.global_batch_size
    names = [
        photos.name_at(position, train.seed)
        for position in range((step - 1) * size, step * size)
    ]
    raise UserError(
        f"the last {bad} steps up to {step} gave NaN or Inf and were undone "
        f"(train.max_bad_steps={train.max_bad_steps}). A lower "
        "train.learning_rate or train.clip_norm may help. The last batch: "
        + ", ".join(names)
    )


def _check_batch(train, strategy):
    replicas = strategy.num_replicas_in_sync
    if train.global_batch_size % replicas:
        raise UserError(
            f"train.global_batch_size={train.global_batch_size} must be a "
            f"multiple of the {replicas} replicas"
        )


def _is_chief(strategy):
    resolver = strategy.cluster_resolver
    if resolver is None or not resolver.task_type:
        return True
    return resolver.task_type == "chief" or (
        resolver.task_type == "worker"
        and resolver.task_id == 0
        and "chief" not in resolver.cluster_spec().jobs
    )
