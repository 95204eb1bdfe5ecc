"""The layers of a Keras model in an order in which each follows what it reads, branch by branch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras


def operations(model: keras.Model) -> Iterator[tuple[Any, Sequence[Any], Any]]:
    """(layer, tensors that it reads, tensor that it makes), of calls with one output.

    After a layer comes the one that reads what it made, so that a branch is followed to its end
    before the next one begins; the deepest branch first. It ends at a call with several outputs.

    Args:
      model: functional.
    """
    whole: Any = model
    depths = {id(n): depth for depth, nodes in whole._nodes_by_depth.items() for n in nodes}
    waiting = [n for nodes in whole._nodes_by_depth.values() for n in nodes if n.input_tensors]
    # By identity: when each tensor was made.
    made = {id(tensor): 0 for tensor in whole.inputs}
    while waiting:
        ready = [n for n in waiting if all(id(t) in made for t in n.input_tensors)]
        if not ready:
            return

        def newest(node: Any) -> tuple[int, int]:
            return max(made[id(t)] for t in node.input_tensors), depths[id(node)]

        node = max(ready, key=newest)
        if len(node.output_tensors) != 1:
            return
        waiting.remove(node)
        made[id(node.output_tensors[0])] = len(made)
        yield node.operation, tuple(node.input_tensors), node.output_tensors[0]


def readers(model: keras.Model, tensor: Any) -> int:
    """How many layers read a tensor; that a model hands it out counts as one."""
    whole: Any = model
    nodes = [node for nodes in whole._nodes_by_depth.values() for node in nodes]
    found = sum(any(t is tensor for t in node.input_tensors) for node in nodes)
    return found + sum(t is tensor for t in whole.outputs)
