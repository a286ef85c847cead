"""The training loop, on one device, several, or several machines."""

import errno
import json
import os
import re

import tensorflow as tf

from tfexposure.config import (
    RunDir,
)
from tfexposure.data.pipeline import training_stream
from tfexposure.data.sources import (
    FilePhotos,
    open_photos,
    unreadable,
)
from tfexposure.errors import (
    Interrupted,
    UserError,
)
from tfexposure.layers import seed_noise
from tfexposure.paper.objective import load_features
from tfexposure.storage import shown, write_atomically
from tfexposure.training.checkpoints import Checkpoints
from tfexposure.training.monitor import Monitor
from tfexposure.training.record import write_record
from tfexposure.training.state import create_state
from tfexposure.training.step import make_train_step
from tfexposure.training.stopping import Signals
from tfexposure.training.strategies import is_chief
from tfexposure.training.validation import Validation

BAD_BATCHES = "bad_batches.json"
_GRID_PHOTOS = 4
# What a worker sees when another one is gone.
_LOST = (tf.errors.UnavailableError, tf.errors.AbortedError)
# Why a disk takes no more, in the words that h5py and TensorFlow keep.
_FULL = tuple(
    os.strerror(number)
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
)


def train(config, run_dir, strategy):
    """Trains until `config.train.steps`, or on from where the run stood.

    Args:
        config: `Config`, validated.
        run_dir: path of the run's folder; made if it does not exist.
        strategy: tf.distribute.Strategy.

    Returns:
        `TrainState` at the end.

    Raises:
        UserError: if data, weights or checkpoints are missing or unfit, the
            folder cannot be written to, or too many steps in a row had NaN or
            Inf.
        Interrupted: after SIGTERM or SIGINT; the state was saved.
    """
    try:
        return _train(config, RunDir(run_dir), strategy)
    except (OSError, tf.errors.OpError) as error:
        reason = next((why for why in _FULL if why in str(error)), None)
        if not reason:
            raise
        raise UserError(
            f"could not write to {run_dir}: {reason}. The same command goes "
            "on from the newest checkpoint."
        ) from error


def _train(config, run_dir, strategy):
    train = config.train
    chief = is_chief(strategy)
    # All that can be wrong with the input comes to light before any training.
    _check(config, strategy)
    data = config.data
    photos = open_photos(
        data.source, data.split, data.max_unreadable, data.cache
    )
    validation = Validation.open(config)
    with strategy.scope():
        features = load_features(config.loss)
        state = create_state(config)
    step_function = make_train_step(config, state, strategy, features)
    if chief:
        run_dir.write_config(config)
    checkpoints = Checkpoints(
        state, run_dir.checkpoints, train.keep_checkpoints, chief
    )
    restored = checkpoints.restore()
    start = int(state.step.numpy())
    seed_noise(state.generator, train.seed, start)
    if chief:
        write_record(
            run_dir, photos, validation and validation.photos, strategy, start
        )
        where = f"resumed at step {start}" if restored else "new run"
        print(
            f"{run_dir.path}: {where}; "
            f"{strategy.num_replicas_in_sync} replica(s), "
            f"{state.generator.count_params():,} + "
            f"{state.discriminator.count_params():,} parameters, "
            f"{photos.count} photos from {photos.source}",
            flush=True,
        )
    monitor = Monitor(run_dir, config, start, chief)
    run = _Run(config, run_dir, state, photos, checkpoints, monitor)
    run.validation = validation if chief else None
    if start < train.steps:
        batches = iter(_distributed(photos, config, strategy, start))
        with Signals(strategy) as signals:
            run.go_on(step_function, batches, start, signals)
    monitor.close()
    return state


class _Run:
    """The loop and what falls due in it."""

    def __init__(self, config, run_dir, state, photos, checkpoints, monitor):
        self.config = config
        self.run_dir = run_dir
        self.state = state
        self.photos = photos
        self.checkpoints = checkpoints
        self.monitor = monitor
        self.validation = None

    def go_on(self, step_function, batches, step, signals):
        train = self.config.train
        grid = self._grid()
        first = True
        while step < train.steps:
            try:
                results = step_function(batches)
            except tf.errors.OpError as error:
                self._explain(error, signals)
                raise
            before, step = step, int(self.state.step.numpy())
            stopped = signals.should_stop()
            last = stopped or step >= train.steps

            def due(every, before=before, step=step, last=last):
                return last or before // every < step // every

            if due(min(train.log_every, train.max_bad_steps)):
                self._check_finite(step)
            if due(train.log_every):
                self.monitor.progress(self.state, results, step)
            elif first:
                # Compilation is not part of the training's pace.
                self.monitor.restart_clock(step)
            first = False
            if due(train.checkpoint_every):
                # Before pictures and metrics, which take time and may fail.
                self.checkpoints.save()
                self.monitor.flush()
            if stopped:
                raise Interrupted(
                    f"{signals.received or 'signal to another worker'} after "
                    f"step {step}; saved. The same command goes on from here."
                )
            if due(train.sample_every):
                self.monitor.samples(self.state.averaged, grid, step)
            if self.validation and due(train.validate_every):
                metrics = self.validation.run(
                    self.state.averaged, self.run_dir, step
                )
                self.monitor.validated(metrics, step)

    def _grid(self):
        """Fixed photos to look at: of the validation, if there are any."""
        if self.validation:
            return self.validation.grid(_GRID_PHOTOS)
        data, seed = self.config.data, self.config.train.seed
        return next(
            iter(training_stream(self.photos, data, seed, _GRID_PHOTOS))
        )

    def _names(self, first, last):
        """Names of the photos of the steps from `first` to before `last`."""
        size = self.config.train.global_batch_size
        positions = list(range(first * size, last * size))
        return self.photos.names(positions, self.config.train.seed)

    def _check_finite(self, step):
        bad = int(self.state.bad_steps.numpy())
        train = self.config.train
        if bad < train.max_bad_steps:
            return
        batches = [
            {"step": n + 1, "photos": self._names(n, n + 1)}
            for n in range(step - bad, step)
        ]
        path = self.run_dir.path / BAD_BATCHES
        write_atomically(path, json.dumps(batches, indent=2) + "\n")
        raise UserError(
            f"the last {bad} steps up to {step} gave NaN or Inf and were "
            f"undone (train.max_bad_steps={train.max_bad_steps}). A lower "
            "train.learning_rate or train.clip_norm may help. The photos of "
            f"these steps are listed in {path}"
        )

    def _explain(self, error, signals):
        """Raises a UserError if something outside made the step fail."""
        if signals.several_workers and isinstance(error, _LOST):
            lost = re.search(r"from (/job:\w+/\S*task:\d+)", error.message)
            raise UserError(
                f"lost another worker{', ' + lost[1] if lost else ''}. "
                "Restart the same command on every worker: the run goes on "
                "from its newest checkpoint."
            ) from error
        if not isinstance(self.photos, FilePhotos):
            return
        step = int(self.state.step.numpy())
        ahead = step + self.config.train.steps_per_call + 16
        bad = unreadable(sorted(set(self._names(step, ahead))))
        if bad:
            named = "\n".join(
                f"{shown(file)}: {why}" for file, why in bad.items()
            )
            raise UserError(
                f"photos have become unreadable, after step {step}:\n{named}"
            ) from error


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


def _check(config, strategy):
    train = config.train
    replicas = strategy.num_replicas_in_sync
    if train.global_batch_size % replicas:
        raise UserError(
            f"train.global_batch_size={train.global_batch_size} must be a "
            f"multiple of the {replicas} replicas"
        )
    if train.deterministic and config.data.service:
        raise UserError(
            "train.deterministic and data.service exclude each other: a "
            "tf.data service hands out photos in no fixed order"
        )
    if config.data.cache != "none" and config.data.service:
        raise UserError(
            "data.cache and data.service exclude each other: photos are read "
            "by the service's workers, not here"
        )
