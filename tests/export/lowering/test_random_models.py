"""Models composed at random from the table of rules: every gradient against TensorFlow's."""

from __future__ import annotations

from collections import Counter
from random import Random

import keras
import numpy as np
import pytest
from finite_differences import slope_error
from hypothesis import Phase, given, settings
from hypothesis import strategies as st
from oracle import both
from random_models import MOVES, Recipe, draw_recipe

TOLERANCE = 1e-4
SLOPE_TOLERANCE = 1e-3
NEGLIGIBLE = 0.05
# An activation within rounding of a corner (ReLU, a second maximum) may fall on either side of it:
# that strikes one batch, a wrong rule all of them.
BATCHES = 3
CASES = 15
# To shrink a failure takes minutes; a recipe of six layers can be read as it is.
PHASES = (Phase.explicit, Phase.generate)


def errors(got: list[np.ndarray], want: list[np.ndarray]) -> list[float]:
    """Largest difference in each array, relative to its largest element.

    What is tiny beside the model's other gradients, as that of a bias in front of a normalization,
    which is 0 but for rounding, is held to their size.
    """
    largest = max(float(np.max(np.abs(w), initial=0)) for w in want)
    found: list[float] = []
    for g, w in zip(got, want, strict=True):
        assert g.shape == w.shape
        scale = max(float(np.max(np.abs(w), initial=0)), NEGLIGIBLE * largest, 1e-6)
        found.append(float(np.max(np.abs(g - w), initial=0)) / scale)
    return found


def started(index: int, variable: keras.Variable) -> np.ndarray:
    """A variable's value as a model would have it after some training.

    With biases of exactly 0, whatever a transposed convolution does not reach, or zeros pad, stands
    at the corner of the ReLU behind it, where a slope is half of either side's.
    """
    value = np.asarray(variable)
    if not variable.trainable or value.any():
        return value
    return np.random.default_rng(index).normal(scale=0.1, size=value.shape).astype(value.dtype)


def check(recipe: Recipe) -> None:
    keras.utils.set_random_seed(3)
    model = recipe.build()
    start = [started(i, v) for i, v in enumerate(model.variables)]
    trainable = [i for i, v in enumerate(model.variables) if v.trainable]
    found: list[tuple[float, float]] = []
    for seed in range(BATCHES):
        for variable, value in zip(model.variables, start, strict=True):
            variable.assign(value)
        rng = np.random.default_rng(seed)
        x = rng.normal(size=(recipe.batch, *recipe.input_shape)).astype(np.float32)
        got, want = both(model, x)
        dy = np.random.default_rng(1).normal(size=want[0].shape).astype(np.float32)
        gradients = dict(zip(trainable, got[1 : 1 + len(trainable)], strict=True))
        slopes = slope_error(recipe.build, start, x, dy, gradients)
        found.append((max(errors(got, want)), slopes))
        # What subtracts itself from itself lets nothing of its input through, and stands at every
        # corner at once, where there is no slope.
        cut_off = not np.ptp(np.asarray(want[0]), axis=0).any()
        if found[-1][0] <= TOLERANCE and (slopes <= SLOPE_TOLERANCE or cut_off):
            return
    raise AssertionError(f"{recipe}: errors against TensorFlow and against slopes: {found}")


# Seeds are drawn rather than each choice: hypothesis prefers small numbers and first elements, and
# would leave most of the moves out.
seeds = st.integers(0, 2**32 - 1)


@settings(max_examples=8, phases=PHASES)
@given(seeds)
def test_a_few_random_models(seed: int) -> None:
    check(draw_recipe(Random(seed)))  # noqa: S311


@pytest.mark.slow
def test_random_models() -> None:
    taken: Counter[str] = Counter()

    @settings(max_examples=CASES, phases=PHASES)
    @given(seeds)
    def every_case(seed: int) -> None:
        recipe = draw_recipe(Random(seed))  # noqa: S311
        taken.update(step.move for step in recipe.steps)
        check(recipe)

    every_case()
    # What so few cases left out; the draws reach every move in some of so many.
    for seed in range(200):
        recipe = draw_recipe(Random(seed))  # noqa: S311
        moves = {step.move for step in recipe.steps}
        if moves - set(taken):
            taken.update(moves)
            check(recipe)
    assert not set(MOVES) - set(taken), "the draws leave moves out"
