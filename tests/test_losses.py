"""Losses against hand-computed numbers; 1 means fake, 0 real."""

import math

import numpy as np
import pytest
from keras import ops

from tfexposure import losses


def logits(*values):
    return np.array(values, "float32").reshape(len(values), 1, 1, 1)


def numpy(tensor):
    return ops.convert_to_numpy(tensor)


def test_least_squares_discriminator():
    # 1/2 * 0.5^2 + 1/2 * (1 - 0.2)^2 = 0.125 + 0.32
    result = losses.least_squares_discriminator_loss(logits(0.5), logits(0.2))
    assert numpy(result) == pytest.approx([0.445])


def test_a_perfect_discriminator_says_0_for_real_and_1_for_fake():
    perfect = losses.least_squares_discriminator_loss(logits(0), logits(1))
    reverse = losses.least_squares_discriminator_loss(logits(1), logits(0))
    assert numpy(perfect) == [0] and numpy(reverse) == [1]


def test_least_squares_generator_wants_0():
    result = losses.least_squares_generator_loss(logits(0, 1, -2))
    np.testing.assert_allclose(numpy(result), [0, 0.5, 2])


def test_patches_are_averaged_per_example():
    real = np.array([[[[1.0], [3.0]]], [[[0.0], [0.0]]]], "float32")
    fake = np.ones_like(real)
    result = losses.least_squares_discriminator_loss(real, fake)
    np.testing.assert_allclose(numpy(result), [0.5 * (1 + 9) / 2, 0])


def test_minimax_equals_the_cross_entropy():
    # D's probability of "real" is sigmoid(-logit).
    real, fake = 0.3, -0.7
    p_real, p_fake = 1 / (1 + math.exp(real)), 1 / (1 + math.exp(fake))
    result = losses.minimax_discriminator_loss(logits(real), logits(fake))
    expected = -math.log(p_real) - math.log(1 - p_fake)
    assert numpy(result) == pytest.approx([expected])
    result = losses.minimax_generator_loss(logits(fake))
    assert numpy(result) == pytest.approx([math.log(1 - p_fake)])
    result = losses.non_saturating_generator_loss(logits(fake))
    assert numpy(result) == pytest.approx([-math.log(p_fake)])


@pytest.mark.parametrize("name", sorted(losses.ADVERSARIAL))
def test_both_sides_pull_in_opposite_directions(name):
    discriminator, generator = losses.ADVERSARIAL[name]
    low, high = logits(0.2), logits(0.4)
    real = logits(0)
    # A higher logit for the fake pleases the discriminator, not the generator.
    assert numpy(discriminator(real, high)) < numpy(discriminator(real, low))
    assert numpy(generator(high)) > numpy(generator(low))


def test_content_loss_is_the_mean_absolute_difference():
    target = np.zeros((2, 2, 2, 3), "float32")
    restored = np.full_like(target, 0.25)
    restored[1] = -0.5
    result = losses.content_loss(target, restored)
    np.testing.assert_allclose(numpy(result), [0.25, 0.5])
