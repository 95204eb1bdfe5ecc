"""Random models out of the layers that have rules: recipes first, so that a failure can be read."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from random import Random
from typing import Any

import keras
from keras import layers, ops

Shape = tuple[int, ...]
Arguments = dict[str, Any]
BOTH = (False, True)
MOST_ELEMENTS = 4096


@dataclass(frozen=True)
class Step:
    """One layer of a recipe: which move, with what, on the outputs of which earlier steps."""

    move: str
    arguments: Arguments
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
    arguments: Callable[[Random, Shape], Arguments | None]
    make: Callable[..., Callable[[Any], Any]]
    operands: int = 1


def apply(step: Step, tensors: list[Any]) -> Any:
    """Calls the layer of a step."""
    made = MOVES[step.move].make(**step.arguments)
    chosen = [tensors[i] for i in step.inputs]
    return made(chosen[0] if len(chosen) == 1 else chosen)


def plain(_rng: Random, _shape: Shape) -> Arguments:
    return {}


def one_of(**choices: Sequence[Any]) -> Callable[[Random, Shape], Arguments]:
    """Arguments that do not depend on the shape: name → what to choose from."""
    return lambda rng, shape: {name: rng.choice(values) for name, values in choices.items()}


def window(rng: Random, shape: Shape) -> Arguments:
    return {
        "kernel_size": (rng.randint(1, min(3, shape[0])), rng.randint(1, min(4, shape[1]))),
        "strides": rng.randint(1, 2),
        "padding": rng.choice(["same", "valid"]),
    }


def convolution(rng: Random, shape: Shape) -> Arguments:
    groups = rng.choice([g for g in (1, 2, 3) if shape[-1] % g == 0])
    chosen = {"filters": groups * rng.randint(1, 2), "groups": groups} | window(rng, shape)
    if chosen["strides"] == 1 and min(shape[:2]) >= 3 and rng.choice(BOTH):
        chosen |= {"kernel_size": 2, "dilation_rate": 2}
    return chosen


def convolution_over_time(rng: Random, shape: Shape) -> Arguments:
    return {
        "filters": rng.randint(1, 4),
        "kernel_size": rng.randint(1, min(3, shape[0])),
        "strides": rng.randint(1, 2),
        "padding": rng.choice(["same", "valid", "causal"]),
    }


def depthwise(rng: Random, shape: Shape) -> Arguments:
    return window(rng, shape) | {"strides": 1, "depth_multiplier": rng.randint(1, 2)}


def separable(rng: Random, shape: Shape) -> Arguments:
    return window(rng, shape) | {"strides": 1, "filters": rng.randint(1, 3)}


def pooling(rng: Random, shape: Shape) -> Arguments:
    chosen = window(rng, shape)
    return {"pool_size": chosen.pop("kernel_size"), **chosen}


def normalized(_rng: Random, shape: Shape) -> Arguments | None:
    # Two numbers normalized are 1 and -1, whatever they were: the gradient is rounding.
    return {} if shape[-1] > 2 else None


def padding(rng: Random, _shape: Shape) -> Arguments:
    return {"padding": [(rng.randint(0, 2), rng.randint(0, 1)) for _ in range(2)]}


def activation(rng: Random, shape: Shape) -> Arguments:
    # The softmax of one number is 1: Keras warns of it.
    chosen = rng.choice(ACTIVATIONS)
    return {"activation": "tanh" if chosen == "softmax" and shape[-1] == 1 else chosen}


def permutation(rng: Random, shape: Shape) -> Arguments:
    axes = list(range(1, len(shape) + 1))
    rng.shuffle(axes)
    return {"dims": tuple(axes)}


def a_slice(rng: Random, shape: Shape) -> Arguments:
    start = rng.randint(0, shape[0] - 1)
    return {"start": start, "stop": rng.randint(start + 1, shape[0]), "stride": rng.randint(1, 2)}


def transposed(rng: Random, shape: Shape) -> Arguments:
    return window(rng, shape) | {"filters": rng.randint(1, 3)}


def grouped(rng: Random, shape: Shape) -> Arguments | None:
    # Statistics over a few numbers leave gradients of rounding.
    groups = [g for g in (1, 2) if shape[-1] % g == 0 and math.prod(shape) // g > 8]
    return {"groups": rng.choice(groups)} if groups else None


def recurrent(rng: Random, _shape: Shape) -> Arguments:
    return {"units": rng.randint(1, 3), "return_sequences": rng.choice(BOTH)}


def halves(_rng: Random, shape: Shape) -> Arguments | None:
    return {} if shape[-1] % 2 == 0 else None


ACTIVATIONS = (
    *("relu", "relu6", "leaky_relu", "elu", "selu", "gelu", "swish", "hard_swish", "sigmoid"),
    *("tanh", "softplus", "softsign", "mish", "softmax", "hard_sigmoid", "exponential"),
)
ANY = (2, 3, 4)
IMAGE = (4,)
SERIES = (3,)

MOVES: dict[str, Move] = {
    "activation": Move(ANY, activation, layers.Activation),
    "add": Move(ANY, plain, layers.Add, 2),
    "average": Move(ANY, plain, layers.Average, 2),
    "average pooling": Move(IMAGE, pooling, layers.AveragePooling2D),
    "batch normalization": Move(ANY, one_of(center=BOTH, scale=BOTH), layers.BatchNormalization),
    "concatenate": Move(ANY, plain, layers.Concatenate, 2),
    "convolution": Move(IMAGE, convolution, layers.Conv2D),
    "convolution over time": Move(SERIES, convolution_over_time, layers.Conv1D),
    "dense": Move((2, 3), one_of(units=range(1, 6), use_bias=BOTH), layers.Dense),
    "depthwise": Move(IMAGE, depthwise, layers.DepthwiseConv2D),
    "flatten": Move((3, 4), plain, layers.Flatten),
    "global average": Move(IMAGE, one_of(keepdims=BOTH), layers.GlobalAveragePooling2D),
    "global average over time": Move(SERIES, plain, layers.GlobalAveragePooling1D),
    "global maximum": Move(IMAGE, one_of(keepdims=BOTH), layers.GlobalMaxPooling2D),
    "halves swapped": Move(
        ANY, halves, lambda: lambda x: ops.concatenate(ops.split(x, 2, axis=-1)[::-1], axis=-1)
    ),
    "layer normalization": Move(ANY, normalized, layers.LayerNormalization),
    "maximum": Move(ANY, plain, layers.Maximum, 2),
    "max pooling": Move(IMAGE, pooling, layers.MaxPooling2D),
    "minimum": Move(ANY, plain, layers.Minimum, 2),
    "multiply": Move(ANY, plain, layers.Multiply, 2),
    "padding": Move(IMAGE, padding, layers.ZeroPadding2D),
    "permutation": Move((3, 4), permutation, layers.Permute),
    "reshape into rows": Move(IMAGE, plain, lambda: lambda x: layers.Reshape((-1, x.shape[-1]))(x)),
    "rescaling": Move(ANY, one_of(scale=(-0.5, 0.25), offset=(0.0, 1.0)), layers.Rescaling),
    "separable": Move(IMAGE, separable, layers.SeparableConv2D),
    "slice": Move((3, 4), a_slice, lambda start, stop, stride: lambda x: x[:, start:stop:stride]),
    "gated recurrence": Move(SERIES, recurrent, layers.GRU),
    "group normalization": Move(IMAGE, grouped, layers.GroupNormalization),
    "long short-term memory": Move(SERIES, recurrent, layers.LSTM),
    "repetition": Move((2,), one_of(n=(2, 3)), layers.RepeatVector),
    "self attention": Move(
        SERIES,
        one_of(heads=(1, 2), size=(1, 3)),
        lambda heads, size: lambda x: layers.MultiHeadAttention(heads, size)(x, x),
    ),
    "subtract": Move(ANY, plain, layers.Subtract, 2),
    "transposed convolution": Move(IMAGE, transposed, layers.Conv2DTranspose),
    "upsampling": Move(IMAGE, one_of(size=(1, 2)), layers.UpSampling2D),
    "sum of the last axis": Move(
        (3, 4), plain, lambda: lambda x: ops.sum(x, axis=-1, keepdims=True)
    ),
}


def draw_recipe(rng: Random) -> Recipe:
    """A model of three to six layers over images, sequences or vectors, with branches that join."""
    rank = rng.choice((2, 3, 4, 4))
    shape: Shape = (*[rng.randint(2, 7) for _ in range(rank - 2)], rng.randint(1, 4))
    tensors: list[Any] = [keras.Input(shape)]
    steps: list[Step] = []
    count = rng.randint(3, 6)
    # A layer with weights at the start, so that every later one needs the gradient of its input.
    name = "convolution" if rank == 4 else "dense"
    while len(steps) < count:
        last = tensors[-1]
        move = MOVES[name]
        arguments = move.arguments(rng, tuple(last.shape[1:]))
        # Not with itself: what is 0 everywhere lies in the corner of every activation.
        alike = [i for i, t in enumerate(tensors[:-1]) if t.shape == last.shape]
        if arguments is not None and (alike or move.operands == 1):
            others = [rng.choice(alike) for _ in range(move.operands - 1)]
            step = Step(name, arguments, (len(tensors) - 1, *others))
            output = apply(step, tensors)
            if 0 < math.prod(output.shape[1:]) <= MOST_ELEMENTS:
                steps.append(step)
                tensors.append(output)
        rank = len(tensors[-1].shape)
        name = rng.choice([n for n, m in MOVES.items() if rank in m.ranks])
    return Recipe(shape, rng.randint(4, 6), tuple(steps))
