"""A model cut at layers: frozen pieces, one behind the other, and the head that trains.

A layer is a place to cut where every way from the input to an output passes its output: a skip
connection around it would need a second tensor.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import keras

from tfplus.errors import UsageError

_MOST_NAMES = 40
MOST_SPLITS = 8


class Pieces(NamedTuple):
    """All pieces; they have the layers of the whole, not copies.

    Attributes:
      frozen: from the whole's input to the first layer, from there to the second, and so on.
      head: from the last layer to the whole's outputs.
    """

    frozen: tuple[keras.Model, ...]
    head: keras.Model


def split(model: keras.Model, layers: Sequence[str]) -> Pieces:
    """Cuts a model behind layers.

    Args:
      model: functional or sequential, of one input.
      layers: names of layers, from the input on; those of the model itself, not of models within.

    Raises:
      UsageError: a layer is not there, is no place to cut, or leaves nothing to train; the layers
        are not in the model's order.

    Examples:
      >>> import keras
      >>> from tfplus_export.sources.splitting import split
      >>> layers = [keras.layers.Dense(3, name="body"), keras.layers.Dense(2, name="head")]
      >>> pieces = split(keras.Sequential([keras.Input((4,)), *layers]), ["body"])
      >>> pieces.frozen[0].count_params(), pieces.head.count_params()
      (15, 8)
    """
    if len(model.inputs) != 1:
        raise UsageError(
            f"--split: model '{model.name}' has {len(model.inputs)} inputs: expected one, since a "
            "cache keeps one tensor for a sample"
        )
    if len(layers) > MOST_SPLITS:
        raise UsageError(f"--split: expected at most {MOST_SPLITS} layers, got {len(layers)}")
    functional: Any = keras.Model(model.inputs, model.outputs, name=model.name)
    places = _places(functional)
    cuts = [_place(places, name, model.name) for name in layers]
    order = [list(places).index(name) for name in layers]
    if order != sorted(set(order)):
        raise UsageError(
            f"--split {', '.join(layers)}: expected distinct layers in the model's order, from the "
            "input on"
        )
    ends = [functional.inputs[0], *cuts]
    frozen = tuple(
        keras.Model(ends[i], ends[i + 1], name=f"{model.name}_frozen_{i}") for i in range(len(cuts))
    )
    outputs: Any = functional.outputs
    head: Any = keras.Model(cuts[-1], outputs[0] if len(outputs) == 1 else outputs, name=model.name)
    if not head.trainable_variables:
        raise UsageError(
            f"--split {layers[-1]}: nothing behind it trains; expected a layer further to the front"
        )
    return Pieces(frozen, head)


def _places(model: Any) -> dict[str, Any]:
    """Name of a layer → its output, where every way to an output passes it; in order."""
    nodes = [n for depth in sorted(model._nodes_by_depth, reverse=True)
             for n in model._nodes_by_depth[depth]]  # fmt: skip
    outputs = {id(tensor) for tensor in model.outputs}
    last_use: dict[int, int] = {}
    for i, node in enumerate(nodes):
        last_use |= {id(tensor): i for tensor in node.input_tensors}
    found: dict[str, Any] = {}
    times = [node.operation.name for node in nodes]
    # The tensors that are made before a node's end and needed after it: the node's own alone.
    alive: set[int] = set()
    for i, node in enumerate(nodes):
        alive |= {id(tensor) for tensor in node.output_tensors}
        alive = {t for t in alive if t in outputs or last_use.get(t, -1) > i}
        name = node.operation.name
        made = node.output_tensors
        alone = len(made) == 1 and alive == {id(made[0])} and id(made[0]) not in outputs
        if alone and not node.is_input and times.count(name) == 1:
            found[name] = made[0]
    return found


def _place(places: dict[str, Any], name: str, model: str) -> Any:
    if name in places:
        return places[name]
    listed = ", ".join(list(places)[-_MOST_NAMES:]) or "none"
    raise UsageError(
        f"--split '{name}': no layer of model '{model}' behind which it can be cut, since every "
        f"way to an output must pass it; the last that can: {listed}"
    )
