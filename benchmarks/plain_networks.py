"""The paper's networks and step, written as TensorFlow's pix2pix tutorial does.

Stock Keras layers throughout; one call of the discriminator for originals and
another for reconstructions; a gradient tape per network. What a reader of the
tutorial would write, and the yardstick of `train_step.py`.
"""

import keras
import tensorflow as tf

from tfexposure.paper.discriminator import PRESETS as DISCRIMINATOR_PRESETS
from tfexposure.paper.generator import PRESETS as GENERATOR_PRESETS


class Noise(keras.layers.Layer):
    """One Gaussian sample for all channels, scaled per channel."""

    def build(self, input_shape):
        self.scale = self.add_weight(
            shape=(input_shape[-1],), initializer="zeros"
        )

    def call(self, inputs, training=False):
        if not training:
            return inputs
        shape = tf.concat([tf.shape(inputs)[:3], [1]], 0)
        noise = tf.random.normal(shape, dtype=inputs.dtype)
        return inputs + noise * self.scale


def _convolution(x, layer, filters, kernel, strides, bias):
    convolution = layer(
        filters,
        kernel,
        strides=strides,
        padding="same",
        use_bias=bias,
        kernel_initializer=keras.initializers.RandomNormal(0.0, 0.02),
    )
    return keras.layers.SpectralNormalization(convolution)(x)


def generator(filters, size):
    """Returns the U-Net of field of view 140 for photos of one size."""
    counts, bottleneck, pool = GENERATOR_PRESETS[140]

    def block(x, width, slope, layer=keras.layers.Conv2D, kernel=3, strides=1):
        nonlocal first
        x = _convolution(x, layer, width, kernel, strides, bias=first)
        x = Noise()(x)
        if not first:
            x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
        first = False
        if slope:
            return keras.layers.LeakyReLU(negative_slope=slope)(x)
        return keras.layers.ReLU()(x)

    first = True
    widths = [filters * factor for factor in (1, 2, 4, 8)]
    inputs = x = keras.Input((size, size, 3))
    skips = []
    for width, count in zip(widths, counts, strict=True):
        for _ in range(count):
            x = block(x, width, 0.2)
        skips.append(x)
        x = keras.layers.MaxPooling2D(pool, strides=2, padding="same")(x)
    for _ in range(bottleneck):
        x = block(x, widths[-1], 0.2)
    for width, count in zip(reversed(widths), reversed(counts), strict=True):
        x = block(x, width, 0, keras.layers.Conv2DTranspose, 2, 2)
        x = keras.layers.Concatenate()([x, skips.pop()])
        for _ in range(count):
            x = block(x, width, 0)
    x = _convolution(x, keras.layers.Conv2D, 3, 1, 1, bias=True)
    return keras.Model(inputs, keras.layers.Activation("sigmoid")(x))


def discriminator(filters, size):
    """Returns the PatchGAN of field of view 70 for photos of one size."""
    overexposed = keras.Input((size, size, 3))
    candidate = keras.Input((size, size, 3))
    x = keras.layers.Concatenate()([overexposed, candidate])
    kernels = DISCRIMINATOR_PRESETS[70]
    for index, kernel in enumerate(kernels):
        last = index == len(kernels) - 1
        width = 1 if last else filters * min(2**index, 8)
        plain = index == 0 or last
        x = _convolution(x, keras.layers.Conv2D, width, kernel, 2, bias=plain)
        if not plain:
            x = keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5)(x)
        if not last:
            x = keras.layers.LeakyReLU(negative_slope=0.2)(x)
    return keras.Model([overexposed, candidate], x)


def make_train_step(networks, features):
    """Returns the compiled step from a batch to its two losses.

    Args:
        networks: pair of generator and discriminator.
        features: VGG-19 of `tfexposure.perceptual`, or None.
    """
    generator, discriminator = networks
    optimizers = [keras.optimizers.Adam(2e-4, beta_1=0.5) for _ in networks]

    @tf.function
    def train_step(overexposed, target):
        with tf.GradientTape() as gen_tape, tf.GradientTape() as disc_tape:
            restored = generator(overexposed, training=True)
            real = discriminator([overexposed, target], training=True)
            fake = discriminator([overexposed, restored], training=True)
            gen_loss = tf.reduce_mean(tf.square(fake)) / 2
            gen_loss += 50 * tf.reduce_mean(tf.abs(target - restored))
            if features is not None:
                for a, b in zip(
                    features(target), features(restored), strict=True
                ):
                    gen_loss += 100 / 255 * tf.reduce_mean(tf.abs(a - b))
            disc_loss = tf.reduce_mean(tf.square(real)) / 2
            disc_loss += tf.reduce_mean(tf.square(1 - fake)) / 2
        for network, optimizer, loss, tape in zip(
            networks,
            optimizers,
            (gen_loss, disc_loss),
            (gen_tape, disc_tape),
            strict=True,
        ):
            gradients = tape.gradient(loss, network.trainable_variables)
            optimizer.apply_gradients(
                zip(gradients, network.trainable_variables, strict=True)
            )
        return gen_loss, disc_loss

    return train_step
