"""The training loop: any task, any backend."""

import contextlib
import dataclasses
import errno
import itertools
import json
import os
import socket
import time
import urllib.parse
from pathlib import Path

from absl import logging

from tfexposure.config import RunDir, parse_steps
from tfexposure.data import packed
from tfexposure.data.mixture import PhotoMixture
from tfexposure.data.packed import ArrayPhotos, Batches
from tfexposure.errors import Interrupted, UnreadablePhotos, UserError
from tfexposure.storage import read_json, shown, write_atomically
from tfexposure.training import validation
from tfexposure.training.checkpoints import Checkpoints
from tfexposure.training.monitor import Monitor
from tfexposure.training.record import (
    describe,
    same_photos,
    write_record,
)
from tfexposure.training.state import create_state
from tfexposure.training.stopping import Budget, Signals
from tfexposure.training.validation import Validation

BAD_BATCHES = "bad_batches.json"
UNREADABLE = "unreadable.json"
CHECKED = "checked.json"
# As many as a batch of the validation: one shape less to compile.
_GRID_PHOTOS = 8
# Why a disk takes no more, in the words that h5py and TensorFlow keep.
_FULL = tuple(
    os.strerror(number)
    for number in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS)
)


def train(config, run_dir, backend):
    """Trains until `config.train.steps`, or on from where the run stood.

    Args:
        config: `Config`, validated.
        run_dir: path of the run's folder; made if it does not exist.
        backend: of `backends.open_backend`.

    Returns:
        `TrainState` at the end.

    Raises:
        UserError: if data, weights or checkpoints are missing or unfit, the
            folder cannot be written to, or too many steps in a row had NaN or
            Inf.
        Interrupted: after SIGTERM or SIGINT; the state was saved.
    """
    try:
        while True:
            try:
                return _train(config, RunDir(run_dir), backend)
            except UnreadablePhotos as error:
                _leave_out(error.reasons, config, RunDir(run_dir))
    except (OSError, *backend.errors) as error:
        reason = next((why for why in _FULL if why in str(error)), None)
        if getattr(error, "filename", None) and Path(
            os.fsdecode(error.filename)
        ).is_relative_to(run_dir):
            reason = error.strerror
        if not reason:
            raise
        raise UserError(
            f"could not write to {run_dir}: {reason}. The same command goes "
            "on from the newest checkpoint."
        ) from error
    finally:
        backend.close()


def _leave_out(reasons, config, run_dir):
    """Notes photos that went bad, for this run's next starts.

    The step that met one may be half done, hence it is not simply repeated.

    Raises:
        UserError: if they are too many by now.
    """
    reasons = _gone_bad(run_dir) | reasons
    limit = config.data.max_unreadable
    named = "\n".join(f"{shown(f)}: {why}" for f, why in reasons.items())
    if len(reasons) > limit:
        raise UserError(
            f"{len(reasons)} photos have become unreadable, more than "
            f"data.max_unreadable={limit}:\n{named}"
        )
    path = run_dir.path / UNREADABLE
    write_atomically(path, json.dumps(reasons, indent=2) + "\n")
    logging.warning(
        "photos have become unreadable and are left out; the run goes on from "
        "its newest checkpoint. Without %s they are tried again:\n%s",
        path,
        named,
    )


def _gone_bad(run_dir):
    """Returns what `_leave_out` noted."""
    try:
        return read_json(run_dir.path / UNREADABLE, "remove it")
    except FileNotFoundError:
        return {}


def _checked(run_dir):
    """Returns which photos earlier starts found readable."""
    try:
        return read_json(run_dir.path / CHECKED, "all photos are tried again")
    except FileNotFoundError:
        return {}
    except UserError as error:
        logging.warning("%s", error)
        return {}


def _train(config, run_dir, backend):
    budget = Budget(config.train.minutes)
    # All that can be wrong with the input comes to light before any training.
    _check(config, backend)
    with backend.scope():
        state = create_state(config, backend.shares)
    photos = _open_photos(config, backend, state.task, run_dir)
    valid, valid_data = _open_validation(config, backend, state.task)
    data = {"train": describe(photos)}
    if valid:
        data["validation"] = valid_data
    with run_dir.locked() if backend.chief else contextlib.nullcontext():
        if backend.chief:
            run_dir.write_config(config, same_photos(run_dir, data))
            if checked := getattr(photos, "checked", None):
                write_atomically(run_dir.path / CHECKED, json.dumps(checked))
        checkpoints = Checkpoints(
            state,
            run_dir.checkpoints,
            config.train.keep_checkpoints,
            backend.chief,
            config.train.keep_every_hours,
        )
        restored = checkpoints.restore()
        start = int(state.step.numpy())
        backend.agree(
            {
                "settings": config.shared(),
                "photos": data["train"]["fingerprint"],
                f"steps done in {run_dir.path}": start,
            }
        )
        if backend.chief:
            write_record(run_dir, data, backend, start)
            where = f"resumed at step {start}" if restored else "new run"
            sizes = (f"{n.count_params():,}" for n in state.networks.values())
            print(
                f"{run_dir.path}: {where}; {backend.replicas} replica(s), "
                f"{' + '.join(sizes)} parameters, "
                f"{photos.count} photos from {photos.source}",
                flush=True,
            )
        monitor = Monitor(run_dir, config, start, backend)
        run = _Run(
            config, run_dir, backend, state, photos, checkpoints, monitor
        )
        run.validation = valid
        with contextlib.closing(monitor):
            if start < config.train.steps:
                step_function = backend.make_step(config, state)
                batches = backend.batches(photos, config, state.task, start)
                with Signals() as signals, contextlib.closing(run.profile):
                    run.go_on(step_function, batches, start, signals, budget)
    # No worker leaves while the chief still saves or validates.
    backend.any(False)
    return state


class _Run:
    """The loop and what falls due in it."""

    def __init__(
        self, config, run_dir, backend, state, photos, checkpoints, monitor
    ):
        self.config = config
        self.run_dir = run_dir
        self.backend = backend
        self.state = state
        self.photos = photos
        self.checkpoints = checkpoints
        self.monitor = monitor
        self.validation = None
        steps = parse_steps(config.train.profile) if backend.chief else None
        self.profile = _Profile(steps, backend, run_dir.logs)
        self.predict = backend.predict(state.averaged)

    def go_on(self, step_function, batches, step, signals, budget):
        train, backend = self.config.train, self.backend
        with self._explained(0, _GRID_PHOTOS):
            grid = self._grid()
        first = True
        # Also where a run was stopped before that was settled.
        undecided = int(self.state.decay_steps.numpy()) >= train.steps
        wanted = train.decay_steps == -1 and undecided
        pace = _Pace(budget) if wanted else None
        while step < train.steps:
            self.profile.reached(step)
            began = time.monotonic()
            count = min(train.steps_per_call, train.steps - step)
            with self._explained(step, step + count + 16):
                results = step_function(batches, count)
            before, step = step, step + count
            stopped = backend.any(signals.received is not None)
            spent = budget.minutes and backend.any(budget.spent())
            last = stopped or spent or step >= train.steps

            def due(every, before=before, step=step, last=last):
                return last or before // every < step // every

            checking = due(min(train.log_every, train.max_bad_steps))
            if any(map(due, self._intervals())) or checking:
                backend.publish(step_function)
            if checking:
                self._check_finite(step)
            if due(train.log_every):
                self.monitor.progress(
                    self.state,
                    results,
                    step,
                    getattr(step_function, "flops", None),
                    budget.left(),
                )
            elif first:
                # Compilation is not part of the training's pace.
                self.monitor.restart_clock(step)
            if first:
                first = False
                if pace:
                    pace.start(step)
            else:
                budget.measure("step", time.monotonic() - began)
                if pace and (steps := pace.decay_steps(step)):
                    self._decay_over(min(steps, train.steps), step_function)
                    pace = None
            if due(train.checkpoint_every):
                # Before pictures and metrics, which take time and may fail.
                with _Measured(budget, "save"):
                    self.checkpoints.save()
                    self.monitor.flush()
            if stopped:
                backend.any(False)  # The chief may still be saving.
                raise Interrupted(
                    f"{signals.received or 'signal to another worker'} after "
                    f"step {step}; saved. The same command goes on from here."
                )
            if due(train.sample_every):
                with _Measured(budget, "samples"):
                    self.monitor.samples(self.predict, grid, step)
            if self.validation and due(train.validate_every):
                with _Measured(budget, "validation"):
                    metrics = self.validation.run(
                        self.state.averaged, self.predict, self.run_dir, step
                    )
                self.monitor.validated(metrics, step)
            if spent:
                self._say(
                    f"{train.minutes:g} minutes are over: stopped at", step
                )
                return

    @contextlib.contextmanager
    def _explained(self, first, last):
        """Has the backend explain errors where photos of steps are read."""
        try:
            yield
        except self.backend.errors as error:
            self.backend.explain(
                error, self.photos, lambda: self._names(first, last)
            )
            raise

    def _decay_over(self, steps, step_function):
        self.backend.publish(step_function)
        self.state.decay_steps.assign(steps)
        self.backend.reload(step_function)
        if self.backend.chief:
            print(f"the learning rate falls over {steps} steps", flush=True)

    def _intervals(self):
        train = self.config.train
        return (
            train.log_every,
            train.checkpoint_every,
            train.sample_every,
            train.validate_every,
        )

    def _say(self, words, step):
        if self.backend.chief:
            print(
                f"{words} step {step}; saved. The same command goes on from "
                "here.",
                flush=True,
            )

    def _grid(self):
        """Fixed photos to look at: of the validation, if there are any."""
        if self.validation:
            return self.validation.grid(_GRID_PHOTOS)
        stream = _pairs(self.photos, self.config, self.backend, self.state.task)
        return next(iter(stream(_GRID_PHOTOS, self.config.train.seed)))

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


class _Profile:
    """Has the backend write a profile of the steps that are asked for."""

    def __init__(self, steps, backend, folder):
        first_and_last: tuple[int, int] = steps or (0, 0)
        self._first, self._last = first_and_last
        self._backend, self._folder = backend, folder
        self._running = False

    def reached(self, step):
        """Begins or ends it where so many steps are done."""
        wanted = self._first <= step < self._last
        if wanted and not self._running:
            self._backend.start_profile(self._folder)
        elif self._running and not wanted:
            self._backend.stop_profile()
        self._running = wanted

    def close(self):
        """Ends it where the run ends before."""
        self.reached(self._last)


class _Pace:
    """Foretells how many steps a budget allows."""

    # Validation and checkpoints take their share of what is left.
    _SHARE = 0.95

    def __init__(self, budget):
        self._budget = budget

    def start(self, step):
        """Measures from here on: compilation is over."""
        self._step, self._began = step, time.monotonic()
        self._until = min(60, 0.1 * self._budget.left())

    def decay_steps(self, step):
        """Returns all steps there will be, or None while it is too early."""
        passed = time.monotonic() - self._began
        if passed < self._until:
            return None
        seconds = passed / (step - self._step)
        return step + int(self._SHARE * self._budget.left() / seconds)


class _Measured:
    """Tells a budget how long its block took."""

    def __init__(self, budget, name):
        self._budget, self._name = budget, name

    def __enter__(self):
        self._began = time.monotonic()

    def __exit__(self, *_):
        self._budget.measure(self._name, time.monotonic() - self._began)


def _in_memory(config, backend, source):
    """Tells whether photos are read into memory and cut by NumPy."""
    return (
        config.task == "blind"
        or backend.name == "jax"
        or packed.is_packed(source)
    )


def _open_photos(config, backend, task, run_dir):
    data = config.data
    if list(task.shares) != ["train"]:
        return PhotoMixture(
            data.source,
            task.shares,
            task.short_side,
            data.pairs,
            data.max_unreadable,
        )
    if _in_memory(config, backend, data.source):
        return ArrayPhotos.open(
            data.source, "train", task.short_side, data.max_unreadable
        )
    from tfexposure.data.sources import open_photos

    return open_photos(
        data.source,
        data.split,
        data.max_unreadable,
        data.cache,
        _gone_bad(run_dir),
        checked=_checked(run_dir),
    )


def _open_validation(config, backend, task):
    """Returns the chief's `Validation` and what its photos are, or None."""
    data, source = config.data, config.data.validation_source
    if not source or not backend.chief:
        return None, None
    if packed.is_packed(source):
        about = packed.describe(source)
        sets = validation.load_sets(source)
    else:
        if _in_memory(config, backend, source):
            photos = ArrayPhotos.open(
                source,
                short_side=task.short_side,
                max_unreadable=data.max_unreadable,
            )
        else:
            from tfexposure.data.sources import open_photos

            # All are read at once: none is met unready later.
            photos = open_photos(
                source,
                data.validation_split,
                data.max_unreadable,
                trusted=False,
            )
        stream = _pairs(photos, config, backend, task)
        # Seed 0 whatever the run's: runs are compared on the same crops.
        sets = validation.crop_sets(lambda size: stream(size, 0), photos)
        about = describe(photos)
    scored = Validation(
        sets, config.train.best_metric, task.product, backend.compile
    )
    return scored, about


def _pairs(photos, config, backend, task):
    """Returns a function (batch size, seed) -> endless batches of pairs."""
    if isinstance(photos, ArrayPhotos):
        prepare = backend.prepare(task)

        def stream(size, seed):
            made = Batches(photos, task.example, size, seed, 1, task.cut)
            return (prepare(made.make(step)) for step in itertools.count())

        return stream

    from tfexposure.data.pipeline import training_stream

    data = dataclasses.replace(config.data, flip=False, service="")
    return lambda size, seed: training_stream(photos, data, seed, size)


def _check(config, backend):
    train = config.train
    if train.global_batch_size % (backend.replicas * train.accumulate):
        parts = f" times train.accumulate={train.accumulate}"
        raise UserError(
            f"train.global_batch_size={train.global_batch_size} must be a "
            f"multiple of the {backend.replicas} replicas"
            + (parts if train.accumulate > 1 else "")
        )
    if not config.data.source:
        raise UserError("data.source names no photos to train on")
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
    if config.data.service:
        _reach(config.data.service)


def _reach(service):
    """Connects to a tf.data service, which would wait for it for ever.

    Raises:
        UserError: if nobody answers there within ten seconds.
    """
    address = urllib.parse.urlsplit(service)
    try:
        host, port = address.hostname, address.port
        if not host or not port:
            raise ValueError("expected grpc://host:port")
        socket.create_connection((host, port), timeout=10).close()
    except (OSError, ValueError) as error:
        raise UserError(f"data.service={service}: {error}") from error
