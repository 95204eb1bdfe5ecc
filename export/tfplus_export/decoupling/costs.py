"""What the parts of a decoupled model cost."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import keras

from tfplus.decoupling.plan import Cost, Costs
from tfplus.errors import ExportError
from tfplus_export.costs import layer_flops
from tfplus_export.decoupling.branches import branch_name
from tfplus_export.decoupling.structure.tail import Tail


def of_parts(tail: Tail, model: keras.Model, labels: Sequence[int]) -> Costs:
    """Costs of the original, of the decoupled model, and of its parts.

    Args:
      tail: of the original.
      model: decoupled.
      labels: of each class.
    """
    shared = _of(keras.Model(model.inputs[0], tail.cut))
    head = tail.head.operation.name
    branches: Mapping[int, Cost] = {
        label: _less(
            _of(keras.Model(model.inputs[0], model.get_layer(branch_name(label, head)).output)),
            shared,
        )
        for label in labels
    }
    return Costs(_of(tail.model), _of(model), shared, branches)


def _of(model: keras.Model) -> Cost:
    parameters = layer_flops.parameters(model)
    layers: Any = model.layers
    if any(isinstance(layer, keras.Model) for layer in layers):
        return Cost(None, None, parameters)
    try:
        flops = layer_flops.of_model(model)
    except ExportError:
        return Cost(None, None, parameters)
    return Cost(flops.forward, flops.step, parameters)


def _less(whole: Cost, part: Cost) -> Cost:
    def difference(a: int | None, b: int | None) -> int | None:
        return None if a is None or b is None else a - b

    return Cost(
        difference(whole.forward_flops, part.forward_flops),
        difference(whole.step_flops, part.step_flops),
        whole.parameters - part.parameters,
    )
