"""A run's state in one file, and the step that advances it on any backend.

`Trainer` holds Keras variables: the network, its average (EMA), the optimiser,
the draws of dropout. Under TensorFlow they are updated in place by a traced
function; under JAX the same Python code runs inside a pure, compiled function
from the variables' values to their next values.
"""

import io
import json
import random

import keras
import numpy as np

from tfexposure.config import write_atomically
from tfexposure.errors import UserError


def seed_weights(seed):
    """Makes the weights that are drawn next the same in every run.

    Keras draws the seeds of its initialisers from `random`. Its own
    `set_random_seed` would import TensorFlow, under JAX too.
    """
    random.seed(seed)


class Trainer:
    """One network, its optimiser and its running average.

    Args:
        model: built keras.Model.
        optimizer: keras.optimizers.Optimizer.
        prepare: function of the batch's arrays -> dict of tensors; holds no
            weights.
        terms: function (model, prepared) -> dict of scalars with `loss`.
        ema: float in [0, 1), the share of the average kept at each step;
            ramped up from 0, so that the first steps are forgotten.
    """

    def __init__(self, model, optimizer, prepare, terms, ema=0.999):
        self.model, self.optimizer = model, optimizer
        self.prepare, self.terms = prepare, terms
        self.ema = ema
        optimizer.build(model.trainable_variables)
        self.averages = [np.array(value) for value in model.trainable_variables]
        self.step = 0
        backend = keras.backend.backend()
        if backend not in ("tensorflow", "jax"):
            raise UserError(f"no training on the Keras backend {backend!r}")
        make = {"tensorflow": _tensorflow_step, "jax": _jax_step}[backend]
        self._advance = make(self)

    def advance(self, batch):
        """Takes one step; returns the terms as device scalars."""
        terms = self._advance(batch)
        self.step += 1
        return terms

    def average(self):
        """Folds the present weights into the average."""
        # Every 10 steps: 0.999 ** 10 = 0.99 per fold, at a tenth of the cost.
        keep = min(self.ema**10, self.step / (self.step + 100.0))
        for kept, value in zip(
            self.averages, self.model.trainable_variables, strict=True
        ):
            kept *= keep
            kept += (1 - keep) * np.asarray(value)

    def swap(self):
        """Exchanges the live weights and their average."""
        live = [np.array(value) for value in self.model.trainable_variables]
        for value, kept in zip(
            self.model.trainable_variables, self.averages, strict=True
        ):
            value.assign(kept)
        self.averages = live

    def save(self, path, notes):
        """Writes everything that the next step depends on, atomically.

        Args:
            path: of the `.npz`.
            notes: JSON-able dict kept with it.
        """
        arrays = {
            f"model/{index}": np.asarray(value)
            for index, value in enumerate(self.model.variables)
        }
        arrays |= {
            f"optimizer/{index}": np.asarray(value)
            for index, value in enumerate(self.optimizer.variables)
        }
        arrays |= {
            f"average/{index}": value
            for index, value in enumerate(self.averages)
        }
        notes = {**notes, "step": self.step}
        arrays["notes"] = np.array(json.dumps(notes))
        buffer = io.BytesIO()
        np.savez(buffer, **arrays)
        write_atomically(path, buffer.getvalue())

    def load(self, path):
        """Restores what `save` wrote; returns the notes.

        Raises:
            UserError: if the file does not fit this network.
        """
        with np.load(path) as arrays:
            for name, variables in (
                ("model", self.model.variables),
                ("optimizer", self.optimizer.variables),
            ):
                count = sum(key.startswith(f"{name}/") for key in arrays)
                if count != len(variables):
                    raise UserError(
                        f"{path}: {count} {name} arrays, expected "
                        f"{len(variables)}: another network's state"
                    )
                for index, variable in enumerate(variables):
                    value = arrays[f"{name}/{index}"]
                    if value.shape != tuple(variable.shape):
                        raise UserError(
                            f"{path}: {variable.path} has shape "
                            f"{value.shape}, expected {variable.shape}"
                        )
                    variable.assign(value)
            self.averages = [
                arrays[f"average/{index}"].copy()
                for index in range(len(self.averages))
            ]
            notes = json.loads(str(arrays["notes"]))
        self.step = notes["step"]
        return notes


def _tensorflow_step(trainer):
    import tensorflow as tf

    variables = trainer.model.trainable_variables
    # On a CPU, XLA is five times faster at the many small operations of the
    # recipe, and half as fast at convolutions.
    prepare = tf.function(trainer.prepare, jit_compile=True, autograph=False)

    @tf.function(autograph=False)
    def update(batch):
        with tf.GradientTape() as tape:
            terms = trainer.terms(trainer.model, batch)
        gradients = tape.gradient(terms["loss"], variables)
        trainer.optimizer.apply(gradients, variables)
        return terms

    def advance(batch):
        batch = {name: tf.constant(array) for name, array in batch.items()}
        return update(prepare(batch))

    return advance


def _jax_step(trainer):
    import jax

    model, optimizer = trainer.model, trainer.optimizer
    trained = model.trainable_variables
    known = {id(variable) for variable in trained}
    others = [v for v in model.variables if id(v) not in known]

    def loss_of(trained_values, other_values, batch):
        mapping = [*zip(trained, trained_values, strict=True)]
        mapping += zip(others, other_values, strict=True)
        with keras.StatelessScope(state_mapping=mapping) as scope:
            terms = trainer.terms(model, trainer.prepare(batch))
        after = [
            value if (value := scope.get_current_value(v)) is not None else old
            for v, old in zip(others, other_values, strict=True)
        ]
        return terms["loss"], (terms, after)

    @jax.jit
    def pure(trained_values, other_values, optimizer_values, batch):
        (_, (terms, other_values)), gradients = jax.value_and_grad(
            loss_of, has_aux=True
        )(trained_values, other_values, batch)
        trained_values, optimizer_values = optimizer.stateless_apply(
            optimizer_values, gradients, trained_values
        )
        return trained_values, other_values, optimizer_values, terms

    groups = trained, others, optimizer.variables

    def advance(batch):
        values = [[v.value for v in group] for group in groups]
        *values, terms = pure(*values, batch)
        for group, after in zip(groups, values, strict=True):
            for variable, value in zip(group, after, strict=True):
                variable.assign(value)
        return terms

    return advance


def make_predict(model):
    """Compiles `model(images)` for inference; follows the weights' changes.

    Returns:
        Function from float32 (N, H, W, 3) to a NumPy array of that shape.
    """
    if keras.backend.backend() == "tensorflow":
        import tensorflow as tf

        call = tf.function(
            lambda images: model(images, training=False), autograph=False
        )
        return lambda images: call(tf.constant(images)).numpy()

    import jax

    @jax.jit
    def call(trained, others, images):
        return model.stateless_call(trained, others, images, training=False)[0]

    def predict(images):
        values = [
            [variable.value for variable in group]
            for group in (
                model.trainable_variables,
                model.non_trainable_variables,
            )
        ]
        return np.asarray(call(*values, images))

    return predict
