"""Models within a model, taken apart: a copy whose layers are all its own."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import keras

from tfplus.errors import ExportError


def flat(model: keras.Model) -> keras.Model:
    """A functional model of the same function, without models within it.

    Args:
      model: sequential or functional, with one input and one output.

    Returns:
      Of the model's own layers where there was none; else of copies of all, with the same weights.

    Raises:
      ExportError: two layers of models within it have one name.
    """
    whole: Any = keras.Model(model.inputs[0], model.outputs[0], name=model.name)
    if all(inner(layer) is None for layer in whole.layers):
        return whole
    found = list(_layers(whole))
    names = Counter(layer.name for layer in {id(e): e for e in found}.values())
    twice = next((name for name, count in names.items() if count > 1), None)
    if twice is not None:
        raise ExportError(
            f"model '{model.name}': two layers within its models are called '{twice}': expected a "
            "name of its own for each, since slices are named by it; give it another"
        )
    copies = {id(e): type(e).from_config(e.get_config()) for e in found}
    image = keras.Input(batch_shape=whole.inputs[0].shape, dtype=whole.inputs[0].dtype)
    (output,) = _replayed(whole, [image], copies, {})
    made = keras.Model(image, output, name=model.name)
    for layer in found:
        copies[id(layer)].set_weights(layer.get_weights())
    return made


def inner(operation: Any) -> Any | None:
    """The functional model that an operation is; None where it is a layer."""
    if not isinstance(operation, keras.Model):
        return None
    found: Any = getattr(operation, "_functional", operation)
    return found if hasattr(found, "_nodes_by_depth") else None


def _layers(model: Any) -> Iterator[Any]:
    """All layers but inputs, also of models within."""
    for layer in model.layers:
        within = inner(layer)
        if within is not None:
            yield from (e for e in _layers(within) if not isinstance(e, keras.layers.InputLayer))
        else:
            yield layer


def _replayed(
    model: Any, inputs: Sequence[Any], copies: dict[int, Any], more: dict[str, Any]
) -> list[Any]:
    """Calls the copies of a model's layers on other inputs."""
    made = {id(was): now for was, now in zip(model.inputs, inputs, strict=True)}
    for depth in sorted(model._nodes_by_depth, reverse=True):
        for node in model._nodes_by_depth[depth]:
            if not node.input_tensors:
                continue
            arguments, named = node.arguments.fill_in(made)
            within = inner(node.operation)
            if within is not None:
                given = [made[id(t)] for t in node.input_tensors]
                kept = {k: v for k, v in named.items() if k == "training" and v is not None}
                outputs = _replayed(within, given, copies, {**more, **kept})
            else:
                layer = copies.get(id(node.operation), node.operation)
                takes = getattr(layer, "_call_has_training_arg", False)
                outputs = layer(*arguments, **{**named, **(more if takes else {})})
            outputs = outputs if isinstance(outputs, (list, tuple)) else [outputs]
            made |= {id(t): v for t, v in zip(node.output_tensors, outputs, strict=True)}
    return [made[id(t)] for t in model.outputs]
