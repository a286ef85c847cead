"""Models without a network, for tests of what surrounds it."""

import numpy as np

from tfexposure.runtime.model import Model


class Gain(Model):
    """Multiplies by a number; counts its calls."""

    halo = 0
    stride = 1

    def __init__(self, gain=0.7):
        self.gain = np.float32(gain)
        self.sizes = []

    def restore(self, image, thumbnail=None):
        self.sizes.append(image.shape)
        return image * self.gain


class Blur(Model):
    """Means over a square, zero-padded like a convolution, after pooling.

    Values depend on the picture's border, on pixels `halo` away and on where
    the pooling grid falls: wrong tiles cannot go unnoticed.
    """

    stride = 4
    halo = 12

    def __init__(self, fixed_size=None):
        self.fixed_size = fixed_size

    def restore(self, image, thumbnail=None):
        height, width, _ = image.shape
        assert height % 4 == 0 and width % 4 == 0
        if self.fixed_size:
            assert (height, width) == self.fixed_size
        pooled = image.reshape(height // 4, 4, width // 4, 4, 3).max((1, 3))
        padded = np.pad(pooled, ((2, 2), (2, 2), (0, 0)))
        total = sum(
            padded[i : i + height // 4, j : j + width // 4]
            for i in range(5)
            for j in range(5)
        )
        return (total / 25).repeat(4, 0).repeat(4, 1).astype(np.float32)


class Toning(Model):
    """Answers with the mean of the thumbnail: the same for every tile."""

    halo = 0
    stride = 1
    thumbnail = 8

    def restore(self, image, thumbnail=None):
        assert thumbnail.shape == (8, 8, 3) and thumbnail.dtype == np.float32
        return image * 0 + thumbnail.mean((0, 1))
