"""Layers shared by the generator and the discriminator."""

import contextlib
import inspect

import keras
import numpy as np
from keras import ops

from tfexposure import replicas

register = keras.saving.register_keras_serializable("tfexposure")


@contextlib.contextmanager
def dtype_policy(policy):
    """Gives all layers that are made meanwhile a data type policy."""
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy(policy)
    try:
        yield
    finally:
        keras.config.set_dtype_policy(before)


def full_precision(layer):
    """Gives layers that are made meanwhile the data type of an outer one.

    Raises:
        ValueError: if its policy is mixed: curves and masks that are computed
            in 16 bits show steps.
    """
    policy = layer.dtype_policy
    if policy.compute_dtype != policy.variable_dtype:
        raise ValueError(
            f"{type(layer).__name__} computes in full precision. Received: "
            f"dtype={policy.name}"
        )
    return dtype_policy(policy)


@register
class SpectralNormalization(keras.layers.Wrapper):
    """Divides a layer's kernel by its largest singular value.

    A drop-in for `keras.layers.SpectralNormalization` that is right in a GAN
    loop. The kernel variable is never overwritten: the call uses
    `kernel / sigma`, and the gradient flows through sigma, as in Miyato et
    al. The power iteration advances only in `update()`, once per training
    step (see `update_spectral_norms`), so calls are pure functions of the
    weights, and training and inference agree.

    The kernel is seen as the matrix `reshape(kernel, (-1, kernel.shape[-1]))`,
    for transposed convolutions too (there it is the matrix of the adjoint
    convolution, which has the same norm). The vectors start at the exact
    singular vectors of the initial kernel.

    Args:
        layer: a layer with a `kernel`: a convolution, transposed or not, or
            `Dense`.
        power_iterations: int > 0, iterations per `update()`.

    Reference:
        Miyato et al., Spectral Normalization for Generative Adversarial
        Networks, algorithm 1; Le Jeune, section 3.1, eq. (6).
    """

    def __init__(self, layer, power_iterations=1, **kwargs):
        if power_iterations <= 0:
            raise ValueError(
                "`power_iterations` should be greater than zero. Received: "
                f"power_iterations={power_iterations}"
            )
        # The kernel and sigma stay in full precision; only the inner layer
        # follows a mixed policy. Without autocast=False its float32 kernel
        # would arrive here already rounded.
        kwargs["dtype"] = keras.config.floatx()
        super().__init__(layer, autocast=False, **kwargs)
        self.power_iterations = power_iterations

    @property
    def kernel(self):
        """The inner layer's unnormalised kernel variable."""
        return self.layer.kernel

    def build(self, input_shape):
        super().build(input_shape)
        if not hasattr(self.layer, "kernel"):
            raise ValueError(
                f"{type(self.layer).__name__} has no `kernel` to normalise"
            )
        rows = int(np.prod(self.kernel.shape[:-1]))
        columns = self.kernel.shape[-1]
        # One replica's vectors serve all: their copies can never drift apart.
        shared = dict(
            trainable=False, autocast=False, aggregation="only_first_replica"
        )
        self.u = self.add_weight(
            name="u",
            shape=(columns, 1),
            initializer=lambda *_, **__: self._singular_vectors()[0],
            **shared,
        )
        self.v = self.add_weight(
            name="v",
            shape=(rows, 1),
            initializer=lambda *_, **__: self._singular_vectors()[1],
            **shared,
        )

    def call(self, inputs):
        # Only the kernel is replaced. The other variables are re-mapped to
        # their current values, which under JAX are the caller's tracers.
        mapping = [
            (v, v.value) for v in self.layer.variables if v is not self.kernel
        ]
        mapping.append((self.kernel, self.normalized_kernel()))
        with keras.StatelessScope(state_mapping=mapping):
            return self.layer(inputs)

    def compute_output_shape(self, input_shape):
        return self.layer.compute_output_shape(input_shape)

    def sigma(self):
        """Returns the kernel's largest singular value, a scalar tensor.

        Differentiable in the kernel; `u` and `v` count as constants.
        """
        u, v = ops.stop_gradient(self.u.value), ops.stop_gradient(self.v.value)
        return ops.sum(v * ops.matmul(self._matrix(), u))

    def normalized_kernel(self):
        """Returns `kernel / sigma`: what the inner layer multiplies by."""
        return self.kernel.value / self.sigma()

    def update(self):
        """Advances the power iteration by `power_iterations`."""
        matrix = ops.stop_gradient(self._matrix())
        u = self.u.value
        for _ in range(self.power_iterations):
            v = _unit(ops.matmul(matrix, u))
            u = _unit(ops.matmul(ops.transpose(matrix), v))
        self.u.assign(u)
        self.v.assign(v)

    def get_config(self):
        return {
            **super().get_config(),
            "power_iterations": self.power_iterations,
        }

    @classmethod
    def from_config(cls, config):
        # Keras's own takes the layer out of the caller's dict.
        return cls(**_with_layer(config))

    def _matrix(self):
        return ops.reshape(self.kernel.value, (-1, self.kernel.shape[-1]))

    def _singular_vectors(self):
        matrix = ops.convert_to_numpy(self._matrix())
        exact = matrix.astype("float64")
        # Leading eigenvector of W'W: the long side of W is never decomposed.
        u = np.linalg.eigh(exact.T @ exact)[1][:, -1:]
        v = exact @ u
        v /= max(np.linalg.norm(v), 1e-12)
        return u.astype(matrix.dtype), v.astype(matrix.dtype)


def spectral_norms(model):
    """Returns all `SpectralNormalization` layers of `model`, in order."""
    return [
        layer
        for layer in model._flatten_layers()
        if isinstance(layer, SpectralNormalization)
    ]


def update_spectral_norms(model):
    """Advances every power iteration of `model`; call once per training step.

    Under `tf.distribute` call it in cross-replica context, before
    `strategy.run`.
    """
    for layer in spectral_norms(model):
        layer.update()


@keras.saving.register_keras_serializable("tfexposure")
class ReplicaSeedGenerator(keras.random.SeedGenerator):
    """A seed generator whose draws differ between replicas.

    Keras mirrors the state of a plain one, so that all replicas would draw
    the same noise. The replica's number goes into the first word of the seed;
    the second is the draw counter, where a replica's stream would only be a
    delayed copy of its neighbour's.
    """

    def next(self, ordered=True):
        seed = super().next(ordered=ordered)
        offset = ops.cast(replicas.replica_id() * 1_000_003, seed.dtype)
        return seed + ops.stack([offset, ops.zeros_like(offset)])


@register
class NoiseInjection(keras.layers.Layer):
    """Adds Gaussian noise, one sample for all channels, scaled per channel.

    The scales are learned and start at 0. While training, every call draws
    anew. At inference `draw` decides: `"mean"` adds nothing and `"fixed"` the
    same sample every time, so that the same photo gives the same picture;
    `"sample"` draws as in training.

    Args:
        seed: int, seed of the noise; layers of one network need different
            ones to draw different noise.

    Reference:
        Le Jeune, section 3.3, Fig. 3.
    """

    def __init__(self, seed=0, **kwargs):
        super().__init__(**kwargs)
        self.seed = seed
        self.seed_generator = ReplicaSeedGenerator(seed)

    def build(self, input_shape):
        self.scale = self.add_weight(
            name="scale", shape=(input_shape[-1],), initializer="zeros"
        )

    def call(self, inputs, training=False, draw="mean"):
        if draw not in ("mean", "fixed", "sample"):
            raise ValueError(
                "`draw` must be 'mean', 'fixed' or 'sample'. "
                f"Received: {draw!r}"
            )
        sample = training or draw == "sample"
        if not sample and draw == "mean":
            return inputs
        noise = keras.random.normal(
            (*ops.shape(inputs)[:-1], 1),
            dtype=self.compute_dtype,
            seed=self.seed_generator if sample else self.seed,
        )
        return inputs + noise * self.scale

    def get_config(self):
        return {**super().get_config(), "seed": self.seed}


def seed_noise(model, seed, step=0):
    """Sets the state of all noise of `model` as after `step` training steps.

    Keras leaves that state out of checkpoints. Every layer draws once per
    step, so seed and step determine it.

    Args:
        model: a network with `NoiseInjection` layers.
        seed: int, the run's seed.
        step: int, completed training steps.
    """
    for layer in model._flatten_layers():
        if isinstance(layer, NoiseInjection):
            state = layer.seed_generator.state
            # Multiplied so that no two (run seed, layer) pairs coincide.
            first = (seed * 10_007 + layer.seed) % 2**31
            state.assign(ops.cast([first, step], state.dtype))


@register
class BatchNormalization(keras.layers.BatchNormalization):
    """Batch normalisation over the batch of all replicas together.

    Keras's `synchronized=True` computes E[x^2] - E[x]^2, which loses every
    digit where the mean is large against the deviation; this one takes two
    passes, or TensorFlow's one operation for a batch that is not spread out.
    It also runs on JAX, where a batch is always seen whole.
    """

    def call(self, inputs, training=False, mask=None):
        fused = None
        if training and self.trainable and mask is None:
            dtype = keras.backend.result_type(inputs.dtype, "float32")
            fused = replicas.fused_batch_norm(
                ops.cast(inputs, dtype),
                ops.cast(self.gamma, dtype),
                ops.cast(self.beta, dtype),
                self.epsilon,
            )
        if fused is None:
            return super().call(inputs, training=training, mask=mask)
        outputs, mean, variance = fused
        for average, now in (
            (self.moving_mean, mean),
            (self.moving_variance, variance),
        ):
            average.assign(
                average * self.momentum + now * (1.0 - self.momentum)
            )
        return ops.cast(outputs, self.compute_dtype)

    def _moments(self, inputs, mask):
        if mask is not None:
            raise ValueError("masks are not supported by this layer")
        # Statistics in float32 at least, as Keras keeps them.
        dtype = keras.backend.result_type(inputs.dtype, "float32")
        x = ops.cast(inputs, dtype)
        axes = list(range(len(x.shape) - 1))
        mean = replicas.mean_over_replicas(ops.mean(x, axes))
        variance = ops.mean(ops.square(x - mean), axes)
        variance = replicas.mean_over_replicas(variance)
        return ops.cast(mean, inputs.dtype), ops.cast(variance, inputs.dtype)


@register
class ConvBlock(keras.layers.Layer):
    """Convolution -> noise -> normalisation -> activation.

    Args:
        layer: the convolution, `Conv2D` or `Conv2DTranspose`, without bias
            where `norm` follows (it would cancel).
        spectral: bool, whether to wrap the convolution in
            `SpectralNormalization`.
        noise_seed: int or None, seed of the injected noise; None for none.
        norm: `"batch"`, `"instance"` or `"none"`.
        activation: `"relu"`, `"leaky_relu"` (slope 0.2) or None.
    """

    def __init__(
        self,
        layer,
        spectral=True,
        noise_seed=None,
        norm="batch",
        activation=None,
        **kwargs,
    ):
        super().__init__(**kwargs)
        self.layer = layer
        self.spectral = spectral
        self.convolution = (
            SpectralNormalization(layer, name=f"sn_{layer.name}")
            if spectral
            else layer
        )
        self.noise_seed = noise_seed
        self.noise = None if noise_seed is None else NoiseInjection(noise_seed)
        self.norm = norm
        self.normalization = _normalization(norm)
        self.activation = activation

    def build(self, input_shape):
        self.convolution.build(input_shape)
        shape = self.convolution.compute_output_shape(input_shape)
        for layer in (self.noise, self.normalization):
            if layer is not None:
                layer.build(shape)

    def call(self, inputs, training=False, draw="mean"):
        x = self.convolution(inputs)
        if self.noise is not None:
            x = self.noise(x, training=training, draw=draw)
        if self.norm == "batch":
            x = self.normalization(x, training=training)
        elif self.normalization is not None:
            x = self.normalization(x)
        if self.activation == "relu":
            x = ops.relu(x)
        elif self.activation == "leaky_relu":
            x = ops.leaky_relu(x, negative_slope=0.2)
        return x

    def compute_output_shape(self, input_shape):
        return self.convolution.compute_output_shape(input_shape)

    def get_config(self):
        return {
            **super().get_config(),
            "layer": keras.saving.serialize_keras_object(self.layer),
            "spectral": self.spectral,
            "noise_seed": self.noise_seed,
            "norm": self.norm,
            "activation": self.activation,
        }

    @classmethod
    def from_config(cls, config):
        return cls(**_with_layer(config))


def build_chain(blocks, channels):
    """Builds blocks one after the other; returns the channels they end with."""
    for block in blocks:
        block.build((None, None, None, channels))
        channels = block.layer.filters
    return channels


def constructor_arguments(layer):
    """Returns what a layer was built with, without name, dtype and the like.

    Args:
        layer: keras.Layer that keeps every argument as an attribute.

    Returns:
        dict by name of the constructor's own arguments; lists for tuples, as
        JSON has them.
    """
    own = inspect.signature(type(layer)).parameters.values()
    found = {
        each.name: getattr(layer, each.name)
        for each in own
        if each.kind is each.POSITIONAL_OR_KEYWORD
    }
    return {
        name: list(value) if isinstance(value, tuple) else value
        for name, value in found.items()
    }


def pad_to_multiple(images, multiple):
    """Pads bottom and right by mirrored pixels up to a multiple.

    Works for every size from 1 x 1, where reflections repeat as often as
    needed, unlike `pad(mode="reflect")`, which asks for pad < size.

    Args:
        images: (N, H, W, C).
        multiple: int, divisor of the padded height and width.

    Returns:
        (N, H', W', C) with H' and W' the next multiples.
    """
    channels = images.shape[-1]
    for axis in (1, 2):
        size = images.shape[axis]
        if size is not None and size % multiple == 0:
            continue
        if size is None:
            size = ops.shape(images)[axis]
        # Rounded up without a negative number: ONNX divides towards 0.
        padded = (size + multiple - 1) // multiple * multiple
        period = ops.maximum(2 * (size - 1), 1)
        index = ops.arange(padded, dtype="int32") % period
        index = ops.where(index < size, index, period - index)
        images = ops.take(images, index, axis=axis)
    # A dynamic gather may forget the channel count, which the convolutions
    # and the TFLite converter need.
    shape = ops.shape(images)
    return ops.reshape(images, (*shape[:3], channels))


def _with_layer(config):
    """Returns a config with its layer made of its own config."""
    layer = keras.saving.deserialize_keras_object(config["layer"])
    return {**config, "layer": layer}


def _normalization(name):
    if name == "batch":
        return BatchNormalization(momentum=0.9, epsilon=1e-5)
    if name == "instance":
        return keras.layers.GroupNormalization(groups=-1, epsilon=1e-5)
    if name == "none":
        return None
    raise ValueError(
        f"`norm` must be 'batch', 'instance' or 'none'. Received: {name!r}"
    )


def _unit(vector):
    return vector / ops.maximum(ops.norm(vector), 1e-12)
