"""A run's state in one file, and the step that advances it on any backend.

`Trainer` holds Keras variables: networks, optimisers, the draws of dropout and
noise. Under TensorFlow they are updated in place by a traced function; under
JAX the same Python code runs inside a pure, compiled function from the
variables' values to their next values.
"""

import io
import json
import random

import keras
import numpy as np

from tfexposure.errors import UserError
from tfexposure.layers import update_spectral_norms
from tfexposure.storage import write_atomically


def seed_weights(seed):
    """Makes the weights that are drawn next the same in every run.

    Keras draws the seeds of its initialisers from `random`. Its own
    `set_random_seed` would import TensorFlow, under JAX too.
    """
    random.seed(seed)


class Trainer:
    """Networks, their optimisers, and the first one's running average.

    Args:
        players: dict: name of a loss -> (built keras.Model, optimiser). Each
            network descends its own loss, all from one forward pass. The first
            network is the product; a discriminator may follow.
        prepare: function of the batch's arrays -> dict of tensors; holds no
            weights.
        terms: function of what `prepare` gave -> dict of scalars, in it every
            player's loss.
        frozen: further networks that `terms` uses and nobody trains.
        ema: float in [0, 1), the share of the average kept at each step;
            ramped up from 0, so that the first steps are forgotten.
    """

    def __init__(self, players, prepare, terms, frozen=(), ema=0.999):
        self.players = players
        self.prepare, self.terms = prepare, terms
        self.frozen, self.ema = frozen, ema
        for network, optimizer in players.values():
            optimizer.build(network.trainable_variables)
        self.model = next(iter(players.values()))[0]
        self.forget_average()
        self.step = 0
        backend = keras.backend.backend()
        if backend not in ("tensorflow", "jax"):
            raise UserError(f"no training on the Keras backend {backend!r}")
        make = {"tensorflow": _tensorflow_step, "jax": _jax_step}[backend]
        self._advance = make(self)

    def variables(self):
        """Yields (name, Keras variables) of all that the next step needs."""
        for name, (network, optimizer) in self.players.items():
            yield f"model-{name}", network.variables
            yield f"optimizer-{name}", optimizer.variables

    def advance(self, batch):
        """Takes one step; returns the terms as device scalars."""
        terms = self._advance(batch)
        self.step += 1
        return terms

    def forget_average(self):
        """Begins the average anew, with the present weights."""
        self.averages = [
            np.array(value) for value in self.model.trainable_variables
        ]

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
            f"{name}/{index}": np.asarray(value)
            for name, variables in self.variables()
            for index, value in enumerate(variables)
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
            for name, variables in self.variables():
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

    # On a CPU, XLA is five times faster at the many small operations of the
    # recipe, and half as fast at convolutions.
    prepare = tf.function(trainer.prepare, jit_compile=True, autograph=False)
    players = trainer.players

    @tf.function(autograph=False)
    def update(batch):
        for network, _ in players.values():
            update_spectral_norms(network)
        with tf.GradientTape(persistent=True) as tape:
            terms = trainer.terms(batch)
        gradients = {
            name: tape.gradient(terms[name], network.trainable_variables)
            for name, (network, _) in players.items()
        }
        del tape
        for name, (network, optimizer) in players.items():
            optimizer.apply(gradients[name], network.trainable_variables)
        return terms

    def advance(batch):
        batch = {name: tf.constant(array) for name, array in batch.items()}
        return update(prepare(batch))

    return advance


def _jax_step(trainer):
    import jax

    players = trainer.players
    trained = {
        name: net.trainable_variables for name, (net, _) in players.items()
    }
    known = {id(v) for variables in trained.values() for v in variables}
    moving = [
        variable
        for network, _ in players.values()
        for variable in network.variables
        if id(variable) not in known
    ]
    fixed = [v for network in trainer.frozen for v in network.variables]
    optimizers = {name: opt for name, (_, opt) in players.items()}

    def stateless(function, values, moving_values, fixed_values):
        mapping = [*zip(moving, moving_values, strict=True)]
        mapping += zip(fixed, fixed_values, strict=True)
        for name, variables in trained.items():
            mapping += zip(variables, values[name], strict=True)
        with keras.StatelessScope(state_mapping=mapping) as scope:
            answer = function()
        after = [scope.get_current_value(variable) for variable in moving]
        return answer, [
            old if new is None else new
            for new, old in zip(after, moving_values, strict=True)
        ]

    def update_norms():
        for network, _ in players.values():
            update_spectral_norms(network)

    @jax.jit
    def pure(values, moving_values, optimizer_values, fixed_values, batch):
        batch = trainer.prepare(batch)
        _, moving_values = stateless(
            update_norms, values, moving_values, fixed_values
        )

        def losses_of(values):
            terms, after = stateless(
                lambda: trainer.terms(batch),
                values,
                moving_values,
                fixed_values,
            )
            return {name: terms[name] for name in players}, (terms, after)

        losses, back, (terms, moving_values) = jax.vjp(
            losses_of, values, has_aux=True
        )
        values, optimizer_values = dict(values), dict(optimizer_values)
        gradients = {
            name: back(
                {
                    other: jax.numpy.full_like(loss, other == name)
                    for other, loss in losses.items()
                }
            )[0][name]
            for name in players
        }
        for name, optimizer in optimizers.items():
            values[name], optimizer_values[name] = optimizer.stateless_apply(
                optimizer_values[name], gradients[name], values[name]
            )
        return values, moving_values, optimizer_values, terms

    def values_of(variables):
        return [variable.value for variable in variables]

    def assign(variables, values):
        for variable, value in zip(variables, values, strict=True):
            variable.assign(value)

    def advance(batch):
        values, moving_values, optimizer_values, terms = pure(
            {name: values_of(group) for name, group in trained.items()},
            values_of(moving),
            {n: values_of(opt.variables) for n, opt in optimizers.items()},
            values_of(fixed),
            batch,
        )
        assign(moving, moving_values)
        for name, optimizer in optimizers.items():
            assign(trained[name], values[name])
            assign(optimizer.variables, optimizer_values[name])
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
