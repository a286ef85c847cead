"""The loop: batches in, weights out, within a budget of minutes."""

import json
import time
from pathlib import Path

import keras
import numpy as np

from tfexposure.training.device import validation
from tfexposure.training.device.state import make_predict


def train(
    trainer,
    batches,
    run_dir,
    steps,
    minutes,
    sets=None,
    validate_minutes=5.0,
    save_minutes=3.0,
    flops_per_step=None,
    peak=None,
    log=print,
):
    """Trains until `steps` or the budget is reached; resumes by itself.

    The folder holds `state.npz` (everything, for the next call), `log.jsonl`,
    and the network's weights as `live`, `average` and `best.weights.h5`.

    Args:
        trainer: state.Trainer.
        batches: function from the step to a dict of arrays.
        run_dir: folder of the run.
        steps: int, last step.
        minutes: float, budget of wall time of this call, start-up excluded.
        sets: validation sets, or None.
        validate_minutes: time between validations.
        save_minutes: time between saves of the state.
        flops_per_step: float, for the printed share of the peak.
        peak: float, the device's peak in FLOP/s.
        log: function of a line of text.

    Returns:
        The last validation's figures, or None.
    """
    run_dir = Path(run_dir)
    run_dir.mkdir(parents=True, exist_ok=True)
    state = run_dir / "state.npz"
    notes = {"best": -np.inf}
    if state.exists():
        notes = trainer.load(state)
        log(f"resumes at step {trainer.step}, best {notes['best']:.3f}")
    clock = _Clock(minutes)
    predict = None
    figures = None
    while True:
        over = trainer.step >= steps or clock.spent()
        if sets is not None and (over or clock.due("check", validate_minutes)):
            if predict is None:
                predict = make_predict(trainer.model)
            figures = _validate(trainer, predict, sets, run_dir, notes, log)
        if over or clock.due("save", save_minutes):
            trainer.save(state, notes)
            trainer.model.save_weights(run_dir / "live.weights.h5")
        if over:
            return figures
        terms = trainer.advance(batches(trainer.step))
        if trainer.step % 10 == 0:
            trainer.average()
        clock.count(batches.batch_size)
        if clock.due("log", 0.5):
            _report(trainer, terms, clock, run_dir, flops_per_step, peak, log)


class _Clock:
    """Wall time since the first step, and what is due."""

    def __init__(self, minutes):
        self.budget = 60 * minutes
        self.begin = self.mark = time.monotonic()
        self.images = self.steps = 0
        self.last = {}

    def spent(self):
        return time.monotonic() - self.begin >= self.budget

    def due(self, name, minutes):
        now = time.monotonic()
        if now - self.last.setdefault(name, now) < 60 * minutes:
            return False
        self.last[name] = now
        return True

    def count(self, images):
        self.images += images
        self.steps += 1

    def rates(self):
        """Images and steps per second since the last call."""
        seconds = max(time.monotonic() - self.mark, 1e-9)
        rates = self.images / seconds, self.steps / seconds
        self.mark = time.monotonic()
        self.images = self.steps = 0
        return rates


def _report(trainer, terms, clock, run_dir, flops_per_step, peak, log):
    terms = {name: round(float(value), 5) for name, value in terms.items()}
    images, steps = clock.rates()
    line = f"step {trainer.step}: {images:.1f} images/s"
    if flops_per_step:
        rate = flops_per_step * steps
        line += f", {rate / 1e9:.1f} GFLOP/s"
        if peak:
            line += f" ({rate / peak:.1%} of the peak)"
    log(line + " " + " ".join(f"{k}={v:.4f}" for k, v in terms.items()))
    _append(run_dir, {"step": trainer.step, "images_per_s": images, **terms})


def _validate(trainer, predict, sets, run_dir, notes, log):
    trainer.swap()
    figures = validation.evaluate(predict, sets)
    total = validation.score(figures)
    trainer.model.save_weights(run_dir / "average.weights.h5")
    if total > notes["best"]:
        notes["best"], notes["best_step"] = total, trainer.step
        trainer.model.save_weights(run_dir / "best.weights.h5")
    trainer.swap()
    log(f"step {trainer.step}: validation {total:.3f}")
    for name in sets:
        log(
            f"  {name}: "
            + " ".join(
                f"{key.split('/')[1]}={value:.3f}"
                for key, value in figures.items()
                if key.split("/")[0] == name
            )
        )
    _append(run_dir, {"step": trainer.step, "score": total, **figures})
    return figures


def _append(run_dir, record):
    record = {"backend": keras.backend.backend(), **record}
    with open(run_dir / "log.jsonl", "a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")
