"""One training step on one device; every test starts from the same state."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import training_support as support

from tfexposure import layers
from tfexposure.training import state as state_module
from tfexposure.training.state import create_state
from tfexposure.training.step_tensorflow import make_train_step

pytestmark = pytest.mark.tf_only


class Trainer:
    """A state and its traced step."""

    def __init__(self, generator=None, discriminator=None, **train):
        self.config = support.tiny_config(
            train=train,
            generator=generator or {},
            discriminator=discriminator or {},
        )
        self.state = create_state(self.config)
        self.step = make_train_step(
            self.config, self.state, tf.distribute.get_strategy()
        )
        self._variables = self.variables()
        self._start = [v.numpy() for v in self._variables]

    def variables(self):
        return list(self.state.variables().values())

    def reset(self):
        for variable, value in zip(self._variables, self._start, strict=True):
            variable.assign(value)
        return self

    def run(self, *batches):
        """Trains on batches; returns the results of each."""
        stacked = {
            k: np.concatenate([b[k] for b in batches]) for k in batches[0]
        }
        size = len(batches[0]["target"])
        iterator = iter(
            tf.data.Dataset.from_tensor_slices(stacked).batch(
                size, drop_remainder=True
            )
        )
        results = []
        for _ in batches:
            values = self.step(iterator)
            results.append({k: float(v) for k, v in values.items()})
        return results


@pytest.fixture(scope="module")
def shared_trainer():
    support.trace_quickly()
    return Trainer(ema=0.9, discriminator_learning_rate=1e-4)


@pytest.fixture
def trainer(shared_trainer):
    return shared_trainer.reset()


@pytest.fixture
def batch():
    return support.random_batch(4)


def weights(network):
    return [w.numpy() for w in network.weights]


def test_each_network_follows_its_own_loss_only(trainer, batch):
    """Against two plain updates, each with forward passes of its own."""
    state, config = trainer.state, trainer.config
    networks = tuple(state.networks.values())
    generator, discriminator = create_state(config).networks.values()
    for copy, network in zip((generator, discriminator), networks, strict=True):
        copy.set_weights(network.get_weights())
        layers.update_spectral_norms(copy)

    def forward():
        layers.seed_noise(generator, 0, 0)
        restored = generator(batch["overexposed"], training=True)
        pairs = (
            np.concatenate([batch["overexposed"]] * 2),
            tf.concat([batch["target"], restored], 0),
        )
        logits = discriminator(pairs, training=True)
        return restored, logits[:4], logits[4:]

    with tf.GradientTape() as tape:
        restored, _, fake = forward()
        content = tf.reduce_mean(tf.abs(batch["target"] - restored))
        generator_loss = tf.reduce_mean(fake**2) / 2 + 50 * content
    generator_gradients = tape.gradient(
        generator_loss, [v.value for v in generator.trainable_variables]
    )
    with tf.GradientTape() as tape:
        _, real, fake = forward()
        discriminator_loss = (
            tf.reduce_mean(real**2) + tf.reduce_mean((1 - fake) ** 2)
        ) / 2
    discriminator_gradients = tape.gradient(
        discriminator_loss, [v.value for v in discriminator.trainable_variables]
    )
    for network, gradients, rate in (
        (generator, generator_gradients, 2e-4),
        (discriminator, discriminator_gradients, 1e-4),
    ):
        optimizer = keras.optimizers.Adam(rate, beta_1=0.5)
        optimizer.apply(gradients, network.trainable_variables)

    (results,) = trainer.run(batch)
    assert results["finite"] == 1
    assert results["generator"] == pytest.approx(float(generator_loss), 1e-5)
    assert results["content"] == pytest.approx(float(content), 1e-5)
    assert results["discriminator"] == pytest.approx(
        float(discriminator_loss), 1e-5
    )
    assert results["grad_norm_generator"] == pytest.approx(
        float(tf.linalg.global_norm(generator_gradients)), 1e-4
    )
    for network, copy in zip(networks, (generator, discriminator), strict=True):
        moved = 0
        for mine, theirs in zip(
            network.trainable_variables, copy.trainable_variables, strict=True
        ):
            # Adam divides gradients near rounding error by themselves.
            difference = np.abs(mine.numpy() - theirs.numpy())
            assert np.mean(difference > 1e-6) < 0.01, mine.path
            moved += np.sum(difference < 1e-6)
        assert moved > 1000


def test_training_lowers_the_content_loss(trainer, batch):
    results = trainer.run(*[batch] * 25)
    assert results[-1]["content"] < 0.95 * results[0]["content"]
    assert all(0 <= r["accuracy"] <= 1 for r in results)
    assert int(trainer.state.step) == 25


def test_equal_starts_give_equal_traces(trainer, batch):
    first = trainer.run(batch, batch)
    trainer.reset()
    assert trainer.run(batch, batch) == first


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_step_that_is_not_finite_is_undone(trainer, batch, value):
    trainer.run(batch)
    state = trainer.state
    before = [v.numpy() for v in trainer.variables()]
    counters = {"step", "bad_steps", "undone_steps", "good_steps"}
    broken = {k: v.copy() for k, v in batch.items()}
    broken["target"][1, 2, 3, 0] = value
    (results,) = trainer.run(broken)
    assert results["finite"] == 0
    expected = {"step": 2, "bad_steps": 1, "undone_steps": 1, "good_steps": 0}
    assert {n: int(getattr(state, n)) for n in counters} == expected
    skipped = {id(getattr(state, name)) for name in counters}
    for variable, old in zip(trainer.variables(), before, strict=True):
        if id(variable) not in skipped:
            np.testing.assert_array_equal(variable.numpy(), old)
    (results,) = trainer.run(batch)
    assert results["finite"] == 1
    assert int(state.bad_steps) == 0
    assert int(state.undone_steps) == 1


def test_averaged_weights_follow_the_live_ones(trainer, batch):
    start = weights(trainer.state.averaged)
    trainer.run(batch)
    # At the first step the average's momentum is 1/10.
    live = trainer.state.networks["generator"].trainable_variables
    averaged = trainer.state.averaged.trainable_variables
    first = {
        w.path.split("/", 1)[1]: s
        for w, s in zip(trainer.state.averaged.weights, start, strict=True)
    }
    for mean, now in zip(averaged, live, strict=True):
        old = first[mean.path.split("/", 1)[1]]
        np.testing.assert_allclose(
            mean.numpy(), 0.1 * old + 0.9 * now.numpy(), atol=1e-6
        )


def test_spectral_norms_of_the_average_are_its_own(trainer, batch):
    trainer.run(*[batch] * 8)
    for layer in layers.spectral_norms(trainer.state.averaged):
        kernel = layer.kernel.numpy()
        exact = np.linalg.svd(kernel.reshape(-1, kernel.shape[-1]))[1][0]
        assert float(layer.sigma()) == pytest.approx(exact, rel=0.02)


def test_float16_scales_its_losses(monkeypatch, batch):
    support.trace_quickly()
    monkeypatch.setattr(state_module, "GOOD_STEPS", 3)
    trainer = Trainer(precision="float16")
    state = trainer.state
    state.loss_scale.assign(2.0**30)
    scales = []
    for _ in range(24):
        (results,) = trainer.run(batch)
        scales.append(float(state.loss_scale))
    halvings = int(state.undone_steps)
    assert scales[0] == 2.0**29
    assert halvings >= 5
    # It grows again after three good steps, to where it overflows.
    assert any(b == 2 * a for a, b in zip(scales, scales[1:], strict=False))
    assert results["content"] < 0.5
    master = state.networks["generator"].trainable_variables[0]
    assert master.dtype == "float32"
    # A good step's norm is that of the unscaled gradient.
    assert 1 < results["grad_norm_generator"] < 1e3 or not results["finite"]
    assert all(
        np.isfinite(w).all() for w in weights(state.networks["generator"])
    )


@pytest.mark.parametrize("precision", ["float32", "bfloat16"])
def test_what_is_computed_in_which_type(precision):
    """Convolutions follow the policy; power iterations never do."""
    support.trace_quickly()
    trainer = Trainer(precision=precision)
    batches = tf.data.Dataset.from_tensors(support.random_batch(4))
    graph = trainer.step.get_concrete_function(iter(batches)).graph
    defined = graph.as_graph_def()
    nodes = list(defined.node)
    for function in defined.library.function:
        nodes.extend(function.node_def)
    types = {
        kind: {
            tf.dtypes.as_dtype(node.attr["T"].type).name
            for node in nodes
            if node.op.startswith(kind)
        }
        for kind in ("Conv2D", "MatMul")
    }
    assert types == {"Conv2D": {precision}, "MatMul": {"float32"}}
    for name, variable in trainer.state.variables().items():
        assert "float16" not in str(variable.dtype), name


def test_bfloat16_learns_as_float32_does(batch):
    """Of 60 steps, the mean of the last 20 stays within one percent."""
    other = support.random_batch(4, seed=1)
    found = {}
    for precision in ("float32", "bfloat16"):
        trainer = Trainer(precision=precision)
        results = trainer.run(*[batch, other] * 30)
        found[precision] = np.mean([r["content"] for r in results[-20:]])
    assert found["bfloat16"] == pytest.approx(found["float32"], rel=0.01)


def test_several_steps_per_call_equal_single_steps(trainer, batch):
    other = support.random_batch(4, seed=1)
    single = trainer.run(batch, other, batch)[-1]
    final = weights(trainer.state.networks["generator"])
    several = Trainer(
        ema=0.9, discriminator_learning_rate=1e-4, steps_per_call=3
    )
    stacked = {k: np.concatenate([batch[k], other[k], batch[k]]) for k in batch}
    iterator = iter(tf.data.Dataset.from_tensor_slices(stacked).batch(4, True))
    several.step(iterator, tf.constant(2))
    values = several.step(iterator, tf.constant(1))
    assert int(several.state.step) == 3
    results = {k: float(v) for k, v in values.items()}
    assert results == pytest.approx(single, rel=1e-4)
    for mine, theirs in zip(
        weights(several.state.networks["generator"]), final, strict=True
    ):
        np.testing.assert_allclose(mine, theirs, atol=5e-5)


@pytest.fixture
def double_batches():
    """Three batches in float64, which is Keras's type of floats meanwhile."""
    # The policy of layers follows the type only until one was asked for.
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield [
        {k: v.astype("float64") for k, v in batch.items()}
        for batch in (support.random_batch(4, seed=i) for i in range(3))
    ]
    keras.config.set_floatx("float32")
    keras.config.set_dtype_policy("float32")


def weights_moved(trainer, batch):
    """Trains one step; returns the names of networks whose weights moved."""
    state = trainer.state
    networks = state.networks | {"averaged": state.averaged}
    before = {
        name: [v.numpy() for v in network.trainable_variables]
        for name, network in networks.items()
    }
    trainer.run(batch)
    return {
        name
        for name, network in networks.items()
        if any(
            (v.numpy() != old).any()
            for v, old in zip(
                network.trainable_variables, before[name], strict=True
            )
        )
    }


def test_parts_of_a_batch_equal_the_whole(double_batches):
    support.trace_quickly()
    # Batch normalisation takes its statistics of each part.
    plain = {"norm": "none", "spectral_normalization": False}
    whole, parts = (
        Trainer(
            plain | {"noise": "none"},
            plain,
            accumulate=count,
            discriminator_steps=2,
            schedule="linear",
            decay_steps=2,
            clip_norm=1.0,
            precision="float64",
        )
        for count in (1, 2)
    )
    # The generator waits for every other step of the discriminator.
    first, second, _ = double_batches
    assert weights_moved(whole, first) == {"discriminator"}
    everyone = {"generator", "discriminator", "averaged"}
    assert weights_moved(whole, second) == everyone
    batches = [*double_batches, first]
    expected, found = (each.reset().run(*batches) for each in (whole, parts))
    # Of the third step on, whichever network's.
    rates = [o.learning_rate for o in whole.state.task.optimizers.values()]
    assert [float(rate) for rate in rates] == [0, 0]
    for one, other in zip(expected, found, strict=True):
        assert other == pytest.approx(one, rel=1e-9)
    for one, other in zip(whole.variables(), parts.variables(), strict=True):
        np.testing.assert_allclose(
            other.numpy(), one.numpy(), rtol=1e-7, atol=1e-9, err_msg=one.name
        )


def test_xla_computes_the_same(double_batches):
    support.trace_quickly()
    # XLA draws noise with another generator. The discriminator's spectral
    # norms are enough to compile.
    simple = {"noise": "none", "spectral_normalization": False}
    plain, compiled = (
        Trainer(simple, jit_compile=jit, precision="float64")
        for jit in (False, True)
    )
    expected, found = (each.run(*double_batches) for each in (plain, compiled))
    # Adam divides small gradients by themselves: of those that are nothing but
    # the machine's rounding errors, it makes whole steps in float32. Those of
    # float64, 1e-16, vanish beside Adam's epsilon of 1e-7.
    for one, other in zip(expected, found, strict=True):
        assert other == pytest.approx(one, rel=1e-7)
    assert len({result["content"] for result in found}) == 3
    for one, other in zip(plain.variables(), compiled.variables(), strict=True):
        np.testing.assert_allclose(
            other.numpy(), one.numpy(), rtol=1e-7, atol=1e-9, err_msg=one.name
        )
    graph = compiled.step.get_concrete_function(
        iter(tf.data.Dataset.from_tensors(double_batches[0]))
    ).graph
    called = graph.as_graph_def().library.function
    assert any(f.attr["_XlaMustCompile"].b for f in called)
