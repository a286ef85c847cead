"""One training step: both updates from one generator forward pass."""

import tensorflow as tf

from tfexposure.errors import UserError
from tfexposure.layers import (
    spectral_norms,
    update_spectral_norms,
)
from tfexposure.paper.objective import compute_losses

# After this many good steps a float16 run doubles its loss scale.
GOOD_STEPS = 2000


def make_train_step(config, state, strategy, features=None):
    """Returns the compiled function that trains on `steps_per_call` batches.

    Per-example losses are summed and divided by the global batch size, and
    gradients summed over replicas: the result does not depend on their
    number. A step whose losses or gradients are not finite is undone as a
    whole and counted in `state.bad_steps`.

    Args:
        config: `Config`.
        state: `TrainState`.
        strategy: tf.distribute.Strategy the state lives in.
        features: model of `objective.load_features`, or None.

    Returns:
        Function from an iterator of batches to a dict of float32 scalars, of
        the last step: the losses, `accuracy`, `grad_norm_generator`,
        `grad_norm_discriminator` (before clipping), and `finite`.

    Raises:
        UserError: if several replicas are to be compiled with XLA.
    """
    train = config.train
    networks = {
        "generator": (state.generator, state.generator_optimizer),
        "discriminator": (state.discriminator, state.discriminator_optimizer),
    }

    def replica_step(batch):
        with tf.GradientTape(persistent=True) as tape:
            losses = compute_losses(
                config.loss,
                state.generator,
                state.discriminator,
                features,
                batch,
            )
            sums = {
                name: tf.reduce_sum(loss) / train.global_batch_size
                for name, loss in losses.items()
            }
            scaled = {
                name: sums[name] * tf.cast(state.loss_scale, sums[name].dtype)
                for name in networks
            }
        gradients = {
            name: tape.gradient(
                scaled[name],
                [v.value for v in network.trainable_variables],
                unconnected_gradients="zero",
            )
            for name, (network, _) in networks.items()
        }
        del tape
        context = tf.distribute.get_replica_context()
        sums, gradients = context.all_reduce("SUM", (sums, gradients))
        norms = {}
        for name in networks:
            scale = tf.cast(1 / state.loss_scale, gradients[name][0].dtype)
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
        results = sums | norms
        results["finite"] = tf.cast(
            tf.reduce_all(
                [tf.math.is_finite(value) for value in results.values()]
            ),
            results["generator"].dtype,
        )
        return results, gradients

    def replica_update(gradients):
        for name, (network, optimizer) in networks.items():
            optimizer.apply(gradients[name], network.trainable_variables)
        _average(state, train.ema)

    def step(batch):
        # A forward pass moves the batch statistics, so undoing a step means
        # to put those back; weights are not touched until all is finite.
        all_networks = (state.generator, state.discriminator, state.averaged)
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

        def apply():
            # A branch is a graph of its own, which does not know that it
            # stands outside the replicas.
            with strategy.scope():
                strategy.run(replica_update, args=(gradients,))
            state.bad_steps.assign(0)

        def undo():
            for variable, value in zip(statistics, before, strict=True):
                variable.assign(value)
            state.bad_steps.assign_add(1)
            state.undone_steps.assign_add(1)

        finite = results["finite"] > 0
        tf.cond(finite, apply, undo)
        if train.precision == "float16":
            _adjust_loss_scale(state, finite)
        state.step.assign_add(1)
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
    def train_steps(iterator):
        if train.steps_per_call == 1:
            return step(next(iterator))
        results = {name: 0.0 for name in result_names(config)}
        for _ in tf.range(train.steps_per_call):
            results = step(next(iterator))
        return results

    return train_steps


def result_names(config):
    """Returns the names of what a training step reports."""
    names = ["discriminator", "adversarial", "content", "accuracy"]
    if config.loss.perceptual_weight:
        names.append("perceptual")
    return [
        *names,
        "generator",
        "grad_norm_generator",
        "grad_norm_discriminator",
        "finite",
    ]


def _average(state, momentum):
    """Moves the averaged generator towards the live one."""
    step = tf.cast(state.step, tf.float32)
    # A young average forgets its start quickly.
    momentum = tf.minimum(momentum, (1 + step) / (10 + step))
    spectral = {
        id(variable)
        for layer in spectral_norms(state.averaged)
        for variable in (layer.u, layer.v)
    }
    for average, live in zip(
        state.averaged.weights, state.generator.weights, strict=True
    ):
        # The vectors of spectral norms iterate on the averaged kernels.
        if id(average) not in spectral:
            rest = tf.cast(1 - momentum, average.dtype)
            average.assign_add(rest * (live.value - average.value))


def _adjust_loss_scale(state, finite):
    """Halves the scale after a bad step, doubles it after many good ones."""
    grow = finite & (state.good_steps + 1 >= GOOD_STEPS)
    scale = tf.where(finite, state.loss_scale, state.loss_scale / 2)
    state.loss_scale.assign(tf.where(grow, scale * 2, tf.maximum(scale, 1.0)))
    state.good_steps.assign(tf.where(finite & ~grow, state.good_steps + 1, 0))
