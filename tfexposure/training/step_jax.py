"""Training on JAX: one compiled function from a state's values to the next.

The task's Python code, written for Keras variables, runs inside it on their
values (`keras.StatelessScope`). All local devices share a batch: it is split
over them, the state is on each, and XLA adds what must be added, so that the
result does not depend on their number.
"""

import contextlib
import itertools

import jax
import keras
import numpy as np
from jax import numpy as jnp
from jax.sharding import Mesh, NamedSharding, PartitionSpec

from tfexposure.config import choose_gpus, parse_devices
from tfexposure.data.packed import Batches
from tfexposure.layers import update_spectral_norms
from tfexposure.training.optimizers import learning_rate
from tfexposure.training.state import optimizer_variables


def find_devices(text):
    """Returns the local devices that `train.devices` names.

    Call it before anything else of JAX: it may divide the processor.

    Raises:
        UserError: if there is no such GPU.
    """
    kind, numbers = parse_devices(text)
    if kind == "cpu":
        jax.config.update("jax_platforms", "cpu")
        jax.config.update("jax_num_cpu_devices", numbers[0])
    found = jax.local_devices()
    if kind != "gpu":
        return found
    gpus = [each for each in found if each.platform == "gpu"]
    return choose_gpus(gpus, numbers)


class JaxBackend:
    """The local devices of JAX, with all that the loop asks of them.

    Attributes:
        name: `"jax"`.
        replicas: int, number of devices.
        shares: 1: losses see the whole batch, however it is split.
        chief: True, there is no other process.
        errors: exceptions that `explain` may know: none.
    """

    errors = ()
    name = "jax"
    chief = True
    shares = 1

    def __init__(self, devices=None):
        self._devices = devices or jax.local_devices()
        self.replicas = len(self._devices)
        mesh = Mesh(np.array(self._devices), ("batch",))
        self._split = NamedSharding(mesh, PartitionSpec("batch"))
        self.everywhere = NamedSharding(mesh, PartitionSpec())
        self._closing = contextlib.ExitStack()

    def scope(self):
        """Returns the context in which a state is created.

        On the host: a GPU would compile a function for every shape of weight.
        """
        return jax.default_device(jax.local_devices(backend="cpu")[0])

    def make_step(self, config, state):
        """Returns the `Step`; takes over the state's values when called."""
        return Step(config, state, self.everywhere)

    def publish(self, step):
        """Puts what `step` computed into the state's variables."""
        step.publish()

    def reload(self, step):
        """Lets `step` go on from the state's variables as they are now."""
        step.reload()

    def batches(self, photos, config, task, start):
        """Returns the iterator of batches, split over the devices.

        Where the task tells its crops by numbers (`Task.cut`), the photos lie
        on the devices, and nothing but numbers travels.
        """
        train = config.train
        made = Batches(
            photos,
            task.example,
            train.global_batch_size,
            train.seed,
            config.data.threads,
        )
        self._closing.callback(made.close)
        pool = {}
        if task.cut:
            pool = jax.device_put(photos.pool(), self.everywhere)
        return (self.put(made(step)) | pool for step in itertools.count(start))

    def put(self, batch):
        """Splits a batch of arrays over the devices."""
        return jax.device_put(batch, self._split)

    def predict(self, network):
        """Returns a function from images to the network's answer."""

        @jax.jit
        def call(trained, others, images):
            return network.stateless_call(
                trained, others, images, training=False
            )[0]

        def predict(images):
            values = [
                [variable.value for variable in group]
                for group in (
                    network.trainable_variables,
                    network.non_trainable_variables,
                )
            ]
            return call(*values, jax.device_put(images, self.everywhere))

        return predict

    def prepare(self, task):
        """Returns `task.prepare` as a function of NumPy arrays."""
        return jax.jit(task.prepare)

    def compile(self, function):
        """Returns a function of arrays, compiled."""
        return jax.jit(function)

    def any(self, flag):
        """Tells whether `flag` is set in any process: in this one."""
        return flag

    def agree(self, values):
        """Compares `values` with those of other processes: there are none."""

    def explain(self, error, photos, names):
        """Explains nothing; see `errors`."""

    def writer(self, run_dir, config, step):
        """Returns None: TensorBoard's files are written by TensorFlow."""
        return None

    def start_profile(self, folder):
        """Begins a profile, to be written into a folder for TensorBoard."""
        jax.profiler.start_trace(str(folder))

    def stop_profile(self):
        """Ends and writes it."""
        jax.profiler.stop_trace()

    def versions(self):
        """Returns the versions of what computes, as a dict."""
        return {"jax": jax.__version__}

    def devices(self):
        """Returns the names of the devices."""
        return [str(device) for device in self._devices]

    def memory(self):
        """Returns the peak memory of each device in bytes, by its number."""
        found = {}
        for device in self._devices:
            stats = device.memory_stats() or {}
            if "peak_bytes_in_use" in stats:
                found[device.id] = stats["peak_bytes_in_use"]
        return found

    def close(self):
        """Ends the threads that make batches."""
        self._closing.close()


class Step:
    """One training step as a pure function, and the values it goes on from.

    A call takes an iterator of batches, trains on so many of them and returns
    the results of the last, as scalars on the device: the losses,
    `grad_norm_<network>` (before clipping), and `finite`. Nothing waits for
    them. A step whose losses or gradients are not finite is undone as a whole.

    Between calls the values are here, not in the state's variables: call
    `publish` before those are read.

    Args:
        config: `Config`.
        state: `TrainState`.
        sharding: of the state's values.

    Attributes:
        flops: float, operations of a step on all devices together, once one
            was compiled; None if XLA does not tell.
    """

    def __init__(self, config, state, sharding):
        self.flops = None
        self._train, self._state = config.train, state
        self._variables = state.variables()
        frozen = [v for network in state.task.frozen for v in network.variables]
        self._frozen = {str(index): v for index, v in enumerate(frozen)}
        self._sharding = sharding
        self._values = self._frozen_values = None
        self._compiled = self._earlier = None
        # Compiled for itself: however photos are exposed, the step stays the
        # same, and comes from JAX's cache of compiled functions.
        self._prepare = jax.jit(state.task.prepare)
        self._trained = _names(
            self._variables,
            {
                name: network.trainable_variables
                for name, network in state.networks.items()
            },
        )
        self._optimizers = {
            name: [
                f"{name}_optimizer/{key}"
                for key in _in_order(optimizer, state.networks[name])
            ]
            for name, optimizer in state.task.optimizers.items()
        }

    def __call__(self, batches, count=1):
        for _ in range(count):
            results = self._advance(next(batches))
        # One step may run while the next one is prepared, but no more.
        jax.block_until_ready(self._earlier)
        self._earlier = results
        return results

    def reload(self):
        """Takes over the state's variables anew, after they were assigned."""
        self._values = None

    def publish(self):
        """Assigns the present values to the state's variables."""
        if self._values is not None:
            for name, variable in self._variables.items():
                variable.assign(self._values[name])

    def _advance(self, batch):
        arguments = self._arguments(batch)
        if self._compiled is None:
            lowered = self._lower(arguments)
            # Counted before XLA hands convolutions to libraries, whose
            # operations it does not count.
            self.flops = (lowered.cost_analysis() or {}).get("flops")
            self._compiled = lowered.compile()
        self._values, results = self._compiled(*arguments)
        return results

    def lower(self, batch):
        """Returns the step as JAX hands it to XLA (`jax.stages.Lowered`)."""
        return self._lower(self._arguments(batch))

    def _arguments(self, batch):
        if self._values is None:
            self._values = self._take(self._variables)
            self._frozen_values = self._take(self._frozen)
        if not {"overexposed", "target"} <= batch.keys():
            batch = self._prepare(batch)
        return self._values, self._frozen_values, batch

    def _lower(self, arguments):
        # The old values' memory becomes the new ones'.
        function = jax.jit(
            self._step,
            donate_argnums=0,
            out_shardings=(self._sharding, self._sharding),
        )
        return function.lower(*arguments)

    def _take(self, variables):
        # A copy: the step gives the memory away.
        return {
            name: jax.device_put(np.array(variable.value), self._sharding)
            for name, variable in variables.items()
        }

    def _run(self, function, values, frozen):
        """Runs Keras code on values; returns its answer, and values after."""
        mapping = [
            *((self._variables[name], value) for name, value in values.items()),
            *((self._frozen[name], value) for name, value in frozen.items()),
        ]
        with keras.StatelessScope(state_mapping=mapping) as scope:
            answer = function()
            after = {
                name: scope.get_current_value(self._variables[name])
                for name in values
            }
        return answer, after

    def _gradients(self, values, frozen, batch):
        """Runs all networks once.

        Returns:
            Pair of losses and, by network, gradients, which the loss scale
            multiplies; and the values after.
        """
        task, scale = self._state.task, values["loss_scale"]

        def losses_of(trained):
            losses, after = self._run(
                lambda: task.losses(batch), values | trained, frozen
            )
            means = {name: jnp.mean(loss) for name, loss in losses.items()}
            own = {
                n: means[n] * scale.astype(means[n].dtype)
                for n in task.networks
            }
            return own, (means, after)

        trained = {
            name: values[name]
            for names in self._trained.values()
            for name in names
        }
        own, back, (results, after) = jax.vjp(losses_of, trained, has_aux=True)
        gradients = {}
        for network, names in self._trained.items():
            seed = {
                n: jnp.full_like(loss, n == network) for n, loss in own.items()
            }
            (all_of_them,) = back(seed)
            gradients[network] = [all_of_them[name] for name in names]
        return (results, gradients), dict(after)

    def _step(self, values, frozen, batch):
        state, train, task = self._state, self._train, self._state.task
        before = values

        def update_norms():
            for network in (*state.networks.values(), state.averaged):
                update_spectral_norms(network)

        _, values = self._run(update_norms, values, frozen)
        scale = values["loss_scale"]

        def part(values, batch):
            return self._gradients(values, frozen, batch)

        if train.accumulate == 1:
            (results, sums), values = part(values, batch)
        else:
            (results, sums), values = _accumulate(
                part, values, batch, train.accumulate
            )
        gradients = {}
        for network, found in sums.items():
            found = [g * (1 / scale).astype(g.dtype) for g in found]
            norm = jnp.sqrt(sum(jnp.sum(jnp.square(g)) for g in found))
            results[f"grad_norm_{network}"] = norm
            if train.clip_norm:
                factor = train.clip_norm / jnp.maximum(norm, train.clip_norm)
                found = [g * factor for g in found]
            gradients[network] = found
        finite = jnp.all(
            jnp.stack([jnp.isfinite(value) for value in results.values()])
        )
        waiting, values = values, dict(values)
        for network, names in self._trained.items():
            slots = self._optimizers[network]
            rate = f"{network}_optimizer/learning_rate"
            values[rate] = learning_rate(
                train,
                values[f"{network}_optimizer/iteration"]
                * state.waits(network, train),
                values["decay_steps"],
                network,
            ).astype(values[rate].dtype)
            weights, others = task.optimizers[network].stateless_apply(
                [values[name] for name in slots],
                gradients[network],
                [values[name] for name in names],
            )
            values |= zip(names, weights, strict=True)
            values |= zip(slots, others, strict=True)
        _, values = self._run(lambda: state.average(train.ema), values, frozen)
        if train.discriminator_steps > 1:
            due, values_then = self._run(
                lambda: state.product_due(train), values, frozen
            )
            own = (f"{task.product}/", f"{task.product}_opt", "averaged/")
            values = {
                name: jnp.where(due, value, waiting[name])
                if name.startswith(own)
                else value
                for name, value in values_then.items()
            }
        values = {
            name: jnp.where(finite, value, before[name])
            for name, value in values.items()
        }
        _, values = self._run(
            lambda: state.count(finite, train.precision == "float16"),
            values,
            frozen,
        )
        results["finite"] = finite.astype(results[task.product].dtype)
        return values, results


def _accumulate(part, values, batch, count):
    """Averages what `part` finds of the parts of a batch, taken in turn.

    Args:
        part: function (values, batch) -> (what it finds, values after).
        values: dict of the first one's values.
        batch: dict of (N, ...), N a multiple of `count`.
        count: int, number of parts.
    """
    # Every so many rows: each device has the same share of every part.
    batch = {
        name: jnp.moveaxis(v.reshape(-1, count, *v.shape[1:]), 1, 0)
        for name, v in batch.items()
    }
    first = {name: v[0] for name, v in batch.items()}
    shapes, _ = jax.eval_shape(part, values, first)
    zeros = jax.tree.map(lambda s: jnp.zeros(s.shape, s.dtype), shapes)

    def add(carry, rows):
        total, values = carry
        found, values = part(values, rows)
        return (jax.tree.map(jnp.add, total, found), values), None

    (total, values), _ = jax.lax.scan(add, (zeros, values), batch)
    return jax.tree.map(lambda t: t / count, total), values


def _names(variables, groups):
    """Maps groups of Keras variables to their names."""
    names = {id(variable): name for name, variable in variables.items()}
    return {
        group: [names[id(variable)] for variable in members]
        for group, members in groups.items()
    }


def _in_order(optimizer, network):
    """Returns the names of an optimiser's variables, in its own order."""
    names = {
        id(variable): name
        for name, variable in optimizer_variables(optimizer, network).items()
    }
    return [names[id(variable)] for variable in optimizer.variables]
