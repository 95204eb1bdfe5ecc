"""Every optimizer, with everything that Keras puts around one, against Keras' own updates."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfplus.errors import ExportError, UsageError
from tfplus.model_file.state_ranges import KINDS, kind_of
from tfplus_export.optimizers import Adam, Adjusted, Clip, Optimizer, RmsProp, Sgd
from tfplus_export.optimizers.choice import Choice, choose
from tfplus_export.optimizers.compiled import from_keras

SHAPES = {"shared/a/kernel": (3, 2), "shared/a/bias": (2,), "shared/b/kernel": (2, 1, 2, 3)}
RULES: dict[str, Optimizer] = {
    "sgd": Sgd(0.1),
    "momentum": Sgd(0.05, 0.9),
    "nesterov": Sgd(0.02, 0.8, True),
    "adam": Adam(0.01),
    "adam-betas": Adam(0.02, 0.8, 0.9, 1e-3),
    "amsgrad": Adam(0.02, 0.5, 0.7, amsgrad=True),
    "rmsprop": RmsProp(0.01),
    "rmsprop-momentum": RmsProp(0.02, 0.8, 0.7, 1e-3),
    "rmsprop-centered": RmsProp(0.02, 0.8, 0.0, 1e-3, True),
    "rmsprop-both": RmsProp(0.02, 0.8, 0.5, 1e-3, True),
}
# Gradients below have elements of about 1, and a norm of 2 to 4 each.
AROUND: dict[str, dict[str, Any]] = {
    "plain": {},
    "decay": {"weight_decay": 0.3},
    "undecayed": {"weight_decay": 0.3, "undecayed": frozenset({"shared/a/bias"})},
    "value": {"clip": Clip("clipvalue", 0.5)},
    "norm": {"clip": Clip("clipnorm", 1.5)},
    "global": {"clip": Clip("global_clipnorm", 2.0)},
    "loose": {"clip": Clip("global_clipnorm", 1e3)},
    "both": {"clip": Clip("clipnorm", 1.0), "weight_decay": 0.1},
}


@pytest.fixture(autouse=True)
def _seeded() -> None:
    """Nothing here is random: what the other tests of exports do before each is left out."""


@pytest.mark.parametrize("rule", RULES)
def test_what_it_keeps_has_a_range_on_devices(rule: str) -> None:
    assert {kind_of(name) for name in RULES[rule].state(SHAPES)} <= KINDS.keys()


@pytest.mark.parametrize("rule", RULES)
def test_what_divides_by_the_size_of_gradients_declares_its_second_moments(rule: str) -> None:
    """From zeros such an optimizer makes the same step of any gradient: noise would move as far."""
    optimizer = RULES[rule]
    weights = {n: tf.zeros(s) for n, s in SHAPES.items()}
    state = {n: tf.constant(v) for n, v in optimizer.state(SHAPES).items()}
    factor = optimizer.factor(state)
    moved: list[float] = []
    for scale in (1.0, 1000.0):
        gradients = {n: tf.constant(scale * g) for n, g in gradients_of(0).items()}
        scaled = {n: g if factor is None else g * factor for n, g in gradients.items()}
        changed, _ = optimizer.apply(weights, scaled, state)
        moved.append(float(np.abs(changed["shared/a/kernel"]).mean()))
    divides = moved[1] < 2 * moved[0]
    assert divides == bool(optimizer.second_moments())
    kept = {kind_of(name) for name in optimizer.state(SHAPES)}
    assert optimizer.second_moments().keys() <= kept


def gradients_of(step: int) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(step)
    found = {n: rng.normal(size=s).astype(np.float32) for n, s in SHAPES.items()}
    if step == 2:
        # A norm of zero divides nothing.
        found["shared/a/bias"][:] = 0
    return found


@pytest.mark.parametrize(
    ("rule", "around"),
    [
        pytest.param(r, a, marks=() if r == "sgd" or a == "plain" else pytest.mark.slow)
        for r in RULES
        for a in AROUND
    ],
)
def test_updates_equal_keras(rule: str, around: str) -> None:
    optimizer = Adjusted(RULES[rule], **AROUND[around])
    rng = np.random.default_rng(99)
    weights = {n: tf.constant(rng.normal(size=s), tf.float32) for n, s in SHAPES.items()}
    state = {n: tf.constant(v) for n, v in optimizer.state(SHAPES).items()}
    variables = {n: keras.Variable(v) for n, v in weights.items()}
    reference = optimizer.keras(variables)
    reference.build(list(variables.values()))
    for step in range(6):
        gradients = gradients_of(step)
        reference.apply_gradients(zip(gradients.values(), variables.values(), strict=True))
        factor = optimizer.factor(state)
        scaled = {n: g if factor is None else g * factor for n, g in gradients.items()}
        new_weights, new_state = optimizer.apply(weights, scaled, state)
        assert set(new_weights) == set(SHAPES)
        assert {n for n in state if n != "optimizer/learning_rate"} == set(new_state)
        weights, state = weights | new_weights, state | new_state
        for name, want in variables.items():
            np.testing.assert_allclose(weights[name], want.numpy(), rtol=3e-5, atol=1e-6)
    kept = optimizer.keras_state(reference, list(SHAPES))
    assert {n: v.shape for n, v in kept.items()} == {n: v.shape for n, v in state.items()}
    for name, want in kept.items():
        np.testing.assert_allclose(state[name], want, rtol=1e-5, atol=1e-6, err_msg=name)


def test_a_weight_without_a_gradient_is_left_alone() -> None:
    optimizer = Adjusted(Adam(), Clip("global_clipnorm", 1.0), 0.1)
    weights = {n: tf.ones(s) for n, s in SHAPES.items()}
    state = {n: tf.constant(v) for n, v in optimizer.state(SHAPES).items()}
    name = "shared/a/kernel"
    changed, kept = optimizer.apply(weights, {name: tf.ones(SHAPES[name])}, state)
    assert set(changed) == {name}
    assert {n for n in kept if not n.endswith("power")} == {
        f"optimizer/{kind}/{name}" for kind in ("mean", "square")
    }


def test_a_variance_that_rounds_below_zero_counts_as_zero() -> None:
    optimizer = RmsProp(0.1, 0.9, epsilon=1e-12, centered=True)
    weights, gradients = {"w": tf.ones([1])}, {"w": tf.fill([1], 3.7)}
    state = {n: tf.constant(v) for n, v in optimizer.state({"w": (1,)}).items()}
    for _ in range(300):
        changed, kept = optimizer.apply(weights, gradients, state)
        weights, state = weights | changed, state | kept
        assert np.isfinite(weights["w"]).all()


@pytest.mark.parametrize(
    ("compiled", "want"),
    [
        (keras.optimizers.SGD, Sgd()),
        (lambda: keras.optimizers.SGD(0.25, 0.5, True), Sgd(0.25, 0.5, True)),
        (keras.optimizers.Adam, Adam()),
        (lambda: keras.optimizers.Adam(0.5, 0.1, 0.2, 0.3, True), Adam(0.5, 0.1, 0.2, 0.3, True)),
        (keras.optimizers.AdamW, Adjusted(Adam(), None, 0.004)),
        (keras.optimizers.RMSprop, RmsProp()),
        (
            lambda: keras.optimizers.RMSprop(0.5, 0.1, 0.2, 0.3, True, weight_decay=0.4),
            Adjusted(RmsProp(0.5, 0.1, 0.2, 0.3, True), None, 0.4),
        ),
        (
            lambda: keras.optimizers.SGD(clipvalue=2.0),
            Adjusted(Sgd(), Clip("clipvalue", 2.0)),
        ),
        (
            lambda: keras.optimizers.Adam(global_clipnorm=2.0, weight_decay=0.5),
            Adjusted(Adam(), Clip("global_clipnorm", 2.0), 0.5),
        ),
    ],
)
def test_a_compiled_optimizer_is_read(
    compiled: Callable[[], keras.optimizers.Optimizer], want: Optimizer
) -> None:
    got = from_keras(compiled())
    described = got.describe()
    # Keras keeps its numbers in float32.
    assert described.pop("learning_rate") == pytest.approx(want.learning_rate, rel=1e-7)
    assert described == {k: v for k, v in want.describe().items() if k != "learning_rate"}
    assert type(got) is type(want)


def test_what_is_excluded_from_weight_decay_stays_so() -> None:
    variables = {n: keras.Variable(np.ones(s), name=n.split("/")[-1]) for n, s in SHAPES.items()}
    optimizer = keras.optimizers.AdamW()
    optimizer.exclude_from_weight_decay([variables["shared/b/kernel"]], ["bias"])
    read = from_keras(optimizer, variables)
    assert isinstance(read, Adjusted)
    assert read.undecayed == {"shared/b/kernel", "shared/a/bias"}
    assert read.describe()["name"] == "adamw"
    assert read.describe()["undecayed"] == ["shared/a/bias", "shared/b/kernel"]


class Own(keras.optimizers.Adam):
    pass


@pytest.mark.parametrize(
    ("optimizer", "named"),
    [
        (lambda: keras.optimizers.Lion(), "Lion"),
        (lambda: Own(), "Own"),
        (lambda: keras.optimizers.Adam(use_ema=True), "use_ema"),
        (lambda: keras.optimizers.SGD(loss_scale_factor=2.0), "loss_scale_factor"),
        (lambda: keras.optimizers.SGD(gradient_accumulation_steps=2), "gradient_accumulation"),
        (
            lambda: keras.optimizers.SGD(keras.optimizers.schedules.ExponentialDecay(0.1, 9, 0.5)),
            "schedule",
        ),
    ],
)
def test_an_optimizer_without_a_rule_is_named(
    optimizer: Callable[[], keras.optimizers.Optimizer], named: str
) -> None:
    with pytest.raises(ExportError, match=f"{named}.*choose another with --optimizer"):
        from_keras(optimizer())


@pytest.mark.parametrize(
    ("choice", "compiled", "want"),
    [
        (Choice(), None, Sgd()),
        (Choice(), Adam(0.5), Adam(0.5)),
        (Choice("adamw", 0.1), Sgd(0.3, 0.4), Adjusted(Adam(0.1), None, 0.004)),
        (Choice("adamw", weight_decay=0.0), None, Adam()),
        (Choice("rmsprop", momentum=0.5), None, RmsProp(momentum=0.5)),
        (Choice(learning_rate=0.1), Adjusted(Adam(), None, 0.2), Adjusted(Adam(0.1), None, 0.2)),
        (Choice(momentum=0.1, nesterov=True), None, Sgd(0.01, 0.1, True)),
        (
            Choice(clip=Clip("clipnorm", 1.0)),
            Adjusted(Sgd(), Clip("clipvalue", 2.0), 0.1, frozenset("a")),
            Adjusted(Sgd(), Clip("clipnorm", 1.0), 0.1, frozenset("a")),
        ),
    ],
)
def test_a_choice_changes_what_it_names(
    choice: Choice, compiled: Optimizer | None, want: Optimizer
) -> None:
    assert choice.optimizer(compiled) == want


def test_a_choice_that_does_not_apply_is_refused() -> None:
    with pytest.raises(UsageError, match="--momentum does not apply to the optimizer adam"):
        Choice(momentum=0.5).optimizer(Adjusted(Adam(), None, 0.1))
    with pytest.raises(UsageError, match="--nesterov does not apply to the optimizer rmsprop"):
        Choice("rmsprop", nesterov=True).optimizer(None)


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_a_number_that_is_not_finite_is_refused(number: float) -> None:
    with pytest.raises(UsageError, match=r"--learning-rate .*finite"):
        choose(None, number, None, False, None, {})
    with pytest.raises(UsageError, match=r"--clip-norm .*finite"):
        choose(None, None, None, False, None, {"clipnorm": number})
