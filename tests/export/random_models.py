"""Random models out of the layers that have rules: recipes first, so that a failure can be read."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import keras
from keras import layers, ops

Shape = tuple[int, ...]
MOST_ELEMENTS = 4096


@dataclass(frozen=True)
class Step:
    """One layer of a recipe: which move, with what, on the outputs of which earlier steps."""

    move: str
    arguments: dict[str, Any]
    inputs: tuple[int, ...]


@dataclass(frozen=True)
class Recipe:
    """A model as data; step i makes tensor i + 1, tensor 0 is the input."""

    input_shape: Shape
    batch: int
    steps: tuple[Step, ...]

    def build(self) -> keras.Model:
        """Makes the model, in the precision that Keras is set to."""
        tensors: list[Any] = [keras.Input(self.input_shape)]
        for step in self.steps:
            tensors.append(apply(step, tensors))
        return keras.Model(tensors[0], tensors[-1])


@dataclass(frozen=True)
class Move:
    """A kind of layer that a recipe may have.

    Attributes:
      ranks: of tensors that it takes, batch included.
      arguments: draws its arguments for a tensor's shape without the batch; None if it has none
        that fit.
      make: arguments → what is called with one tensor, or with a list of them.
      operands: how many tensors of one shape it takes.
    """

    ranks: tuple[int, ...]
    arguments: Callable[[Random, Shape], dict[str, Any] | None]
    make: Callable[..., Callable[[Any], Any]]
    operands: int = 1


def apply(step: Step, tensors: list[Any]) -> Any:
    """Calls the layer of a step."""
    made = MOVES[step.move].make(**step.arguments)
    chosen = [tensors[i] for i in step.inputs]
    return made(chosen[0] if len(chosen) == 1 else chosen)


def plain(_rng: Random, _shape: Shape) -> dict[str, Any]:
    return {}


def drawn(**choices: Any) -> Callable[[Random, Shape], dict[str, Any]]:
    """Arguments that do not depend on the shape: name → strategy."""
    return lambda draw, shape: {name: draw(choice) for name, choice in choices.items()}


def _window(rng: Random, shape: Shape) -> dict[str, Any] | None:
    return {
        "kernel_size": (rng.randint(1, min(3, shape[0])), rng.randint(1, shape[1])),
        "strides": rng.randint(1, 2),
        "padding": (rng.choice(["same", "valid"])),
    }


def _conv(rng: Random, shape: Shape) -> dict[str, Any] | None:
    groups = (rng.choice([g for g in (1, 2, 3) if shape[-1] % g == 0]))
    window = _window(draw, shape) or {}
    dilated = window["strides"] == 1 and min(shape[:2]) >= 3 and rng.choice(BOTH)
    if dilated:
        window |= {"kernel_size": 2, "dilation_rate": 2}
    return {"filters": groups * rng.randint(1, 2), "groups": groups, **window}


def _conv1d(rng: Random, shape: Shape) -> dict[str, Any] | None:
    return {
        "filters": rng.randint(1, 4),
        "kernel_size": rng.randint(1, min(3, shape[0])),
        "strides": rng.randint(1, 2),
        "padding": (rng.choice(["same", "valid", "causal"])),
    }


def _wide(_rng: Random, shape: Shape) -> dict[str, Any] | None:
    # Two numbers normalized are 1 and -1, whatever they were: the gradient is rounding.
    return {} if shape[-1] > 2 else None


def _pool(rng: Random, shape: Shape) -> dict[str, Any] | None:
    window = _window(draw, shape) or {}
    return {"pool_size": window.pop("kernel_size"), **window}


_ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "swish", "hard_swish", "sigmoid"),
    *("tanh", "softplus", "softsign", "mish", "softmax", "hard_sigmoid", "exponential"),
)
MOVES: dict[str, Move] = {
    "activation": Move(
        (2, 3, 4), drawn(activation=st.sampled_from(_ACTIVATIONS)), layers.Activation
    ),
    "add": Move((2, 3, 4), plain, layers.Add, 2),
    "average": Move((2, 3, 4), plain, layers.Average, 2),
    "average pooling": Move((4,), _pool, layers.AveragePooling2D),
    "batch normalization": Move(
        (2, 3, 4), drawn(center=st.booleans(), scale=st.booleans()), layers.BatchNormalization
    ),
    "concatenate": Move((2, 3, 4), plain, layers.Concatenate, 2),
    "convolution": Move((4,), _conv, layers.Conv2D),
    "convolution over time": Move((3,), _conv1d, layers.Conv1D),
    "dense": Move((2, 3), drawn(units=st.integers(1, 5), use_bias=st.booleans()), layers.Dense),
    "depthwise": Move(
        (4,),
        lambda draw, shape: (
            (_window(draw, shape) or {})
            | {"strides": 1, "depth_multiplier": rng.randint(1, 2)}
        ),
        layers.DepthwiseConv2D,
    ),
    "flatten": Move((3, 4), plain, layers.Flatten),
    "global average": Move((4,), drawn(keepdims=st.booleans()), layers.GlobalAveragePooling2D),
    "global average over time": Move((3,), plain, layers.GlobalAveragePooling1D),
    "global maximum": Move((4,), plain, layers.GlobalMaxPooling2D),
    "layer normalization": Move((2, 3, 4), _wide, layers.LayerNormalization),
    "maximum": Move((2, 3, 4), plain, layers.Maximum, 2),
    "max pooling": Move((4,), _pool, layers.MaxPooling2D),
    "multiply": Move((2, 3, 4), plain, layers.Multiply, 2),
    "padding": Move(
        (4,),
        drawn(padding=st.tuples(*[st.tuples(st.integers(0, 2), st.integers(0, 1))] * 2)),
        layers.ZeroPadding2D,
    ),
    "rescaling": Move(
        (2, 3, 4),
        drawn(scale=st.sampled_from([-0.5, 0.25]), offset=st.sampled_from([0.0, 1.0])),
        layers.Rescaling,
    ),
    "separable": Move(
        (4,),
        lambda draw, shape: (_window(draw, shape) or {}) | {"filters": 2, "strides": 1},
        layers.SeparableConv2D,
    ),
    "subtract": Move((2, 3, 4), plain, layers.Subtract, 2),
    "sum of the last axis": Move(
        (3, 4), plain, lambda: lambda x: ops.sum(x, axis=-1, keepdims=True)
    ),
    "into rows": Move((4,), plain, lambda: lambda x: layers.Reshape((-1, x.shape[-1]))(x)),
}


def draw_recipe(rng: Random) -> Recipe:
    """A model of three to six layers over images, sequences or vectors, with branches that join."""
    kind = rng.randint(1, 3)
    side = st.integers(2, 7)
    shape: Shape = (*[draw(side) for _ in range(kind - 1)], rng.randint(1, 4))
    tensors: list[Any] = [keras.Input(shape)]
    steps: list[Step] = []
    # A layer with weights at the start, so that every later one needs the gradient of its input.
    first = "dense" if kind < 3 else "convolution"
    names = [first]
    count = rng.randint(3, 6)
    while len(steps) < count:
        last = len(tensors) - 1
        current: Shape = tuple(tensors[last].shape[1:])
        move = MOVES[names[-1]]
        arguments = move.arguments(draw, current)
        if arguments is None:
            names.append("activation")
            continue
        same = [i for i, t in enumerate(tensors) if t.shape == tensors[last].shape]
        others = [(rng.choice(same)) for _ in range(move.operands - 1)]
        step = Step(names[-1], arguments, (last, *others))
        output = apply(step, tensors)
        size = 1
        for extent in output.shape[1:]:
            size *= extent
        if 0 < size <= MOST_ELEMENTS:
            steps.append(step)
            tensors.append(output)
        rank = len(tensors[-1].shape)
        fitting = [n for n, m in MOVES.items() if rank in m.ranks]
        names.append((rng.choice(fitting)))
    return Recipe(shape, rng.randint(4, 6), tuple(steps))
