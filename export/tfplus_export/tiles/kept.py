"""What a group's backward pass needs of its forward pass, so that it is not computed again."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias

import tensorflow as tf

from tfplus.model_file.manifest import TensorInfo
from tfplus.tiles.step.files import KEPT
from tfplus_export.tf_types import Tensor
from tfplus_export.tiles.fused import Made
from tfplus_export.train_step.signatures import concrete, tensor_specs

# Traced: all that a pass makes, of its inputs.
Forward: TypeAlias = Callable[..., Mapping[Made, Tensor]]
# Traced: gradients, of its inputs and of what is handed in.
Backward: TypeAlias = Callable[..., Mapping[str, Tensor]]


@dataclass(frozen=True)
class Kept:
    """A tensor that stays between the passes.

    Attributes:
      info: its shape.
      made: what it is in the traced passes: the rules of some operations return what they take.
    """

    info: TensorInfo
    made: tuple[Made, ...]


def needed(
    forward: Forward,
    inputs: Mapping[str, TensorInfo],
    backward: Callable[[Mapping[str, Kept]], Backward],
    more: Mapping[str, TensorInfo],
) -> dict[str, Kept]:
    """Which of all that the forward pass makes the backward pass reads, by name of an input.

    Args:
      forward: takes `inputs`.
      inputs: of the forward pass.
      backward: of tensors that are handed in → what takes `more`, then those.
      more: other inputs of the backward pass.
    """
    every = {f"{KEPT}{i}": kept for i, kept in enumerate(_made(forward, inputs))}
    arguments = {**more, **{name: kept.info for name, kept in every.items()}}
    traced = concrete(backward(every), tensor_specs(arguments).values(), arguments)
    read = _read(traced)
    given = list(zip(arguments, traced.inputs, strict=False))
    names = {name for name, tensor in given if tensor.name in read}
    return {name: kept for name, kept in every.items() if name in names}


def values_of(kept: Mapping[str, Kept], given: Mapping[str, Tensor]) -> dict[Made, Tensor]:
    """What is handed in, as `FusedTile.backward` takes it."""
    return {made: given[name] for name, each in kept.items() for made in each.made}


def _made(forward: Forward, inputs: Mapping[str, TensorInfo]) -> list[Kept]:
    found: dict[Any, tuple[Tensor, list[Made]]] = {}

    def run(*values: Tensor) -> dict[str, Tensor]:
        for made, value in forward(*values).items():
            # The pass's own input stays anyway.
            if value.dtype == tf.float32 and value.op.type != "Placeholder":
                found.setdefault(value.ref(), (value, []))[1].append(made)
        return {"none": tf.zeros([1])}

    concrete(run, tensor_specs(inputs).values(), inputs)
    return [
        Kept(TensorInfo(tuple(int(d) for d in value.shape), "float32"), tuple(made))
        for value, made in found.values()
    ]


def _read(traced: Any) -> set[str]:
    """Names of tensors that the outputs of a traced function depend on."""
    found: set[str] = set()
    waiting = list(traced.outputs)
    while waiting:
        tensor = waiting.pop()
        if tensor.name in found:
            continue
        found.add(tensor.name)
        waiting.extend(tensor.op.inputs)
    return found
