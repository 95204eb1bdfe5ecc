"""What layers and variables of a Keras model are called: unique, and the same in every process.

A layer's path is its own name behind those of the layers that it is part of: `attention/query`.
Models that a model is made of are left out of it, so that a layer is called the same whether it
stands in the model or in a base model within. Only where two layers would then share a path do the
models around them come back, from the inside out: `dense` and `sequential/dense`. What still is the
same is numbered in the order of the model.

Keras' own `variable.path` says where a variable was *made*, which is another place: it is the same
for the variables of two copies of one saved model, and begins with the outer model's name or not,
as Keras happened to number that.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import keras

from tfplus.tensors.slices import slice_name

_TASK = "task_"


@dataclass(frozen=True)
class _Place:
    """Where a layer stands.

    Attributes:
      layer: the Keras layer.
      models: names of the models around it, the outermost first.
      parts: names of the layers that it is part of, and its own.
    """

    layer: Any
    models: tuple[str, ...]
    parts: tuple[str, ...]

    def path(self, models: int) -> str:
        """Its path behind so many of the models around it."""
        around = self.models[len(self.models) - models :]
        first, *rest = self.parts
        task, separator, branch = _split_task(first)
        # A layer of one class stays that: its class goes before what is around it.
        return "/".join((*_prefixed(task + separator, around, branch), *rest))

    @property
    def most(self) -> int:
        """How many models are around it."""
        return len(self.models)


def layer_paths(model: keras.Model) -> dict[int, str]:
    """Id of a layer → its path, for every layer within a model, however deep.

    A layer that is used in several places has the path of the first.
    """
    places = list(_places(model))
    shown = [0] * len(places)
    while True:
        paths = [place.path(n) for place, n in zip(places, shown, strict=True)]
        times = Counter(paths)
        longer = [
            i for i, path in enumerate(paths) if times[path] > 1 and shown[i] < places[i].most
        ]
        if not longer:
            break
        for i in longer:
            shown[i] += 1
    taken: dict[str, int] = {}
    found: dict[int, str] = {}
    for place, path in zip(places, paths, strict=True):
        number = taken.get(path, 0)
        taken[path] = number + 1
        found[id(place.layer)] = f"{path}_{number}" if number else path
    return found


def variable_places(model: keras.Model) -> dict[int, tuple[str, ...]]:
    """Id of a variable → names of all models and layers around it, and its own.

    Two models in which a name stands for other places have not the same slices.
    """
    found: dict[int, tuple[str, ...]] = {}
    for place in _places(model):
        layer = place.layer
        for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
            found.setdefault(id(variable), (*place.models, *place.parts, variable.name))
    return found


def variable_names(model: keras.Model) -> dict[int, str]:
    """Id of a variable → the name of its slice, for the variables of every layer of a model."""
    paths = layer_paths(model)
    found: dict[int, str] = {}
    for place in _places(model):
        layer = place.layer
        for variable in (*layer._trainable_variables, *layer._non_trainable_variables):
            found.setdefault(id(variable), slice_name(paths[id(layer)], variable.name))
    for variable in model.variables:
        if id(variable) not in found:
            # The model's own, or one that no layer tracks.
            *layer, tensor = variable.path.removeprefix(f"{model.name}/").split("/")
            found[id(variable)] = slice_name("/".join(layer) or model.name, tensor)
    return found


def _places(model: keras.Model) -> Iterator[_Place]:
    """Every layer within a model once, in the model's order."""
    pending: list[_Place] = [_Place(layer, (), (layer.name,)) for layer in _within(model)[::-1]]
    seen: set[int] = set()
    while pending:
        place = pending.pop()
        if id(place.layer) in seen:
            continue
        seen.add(id(place.layer))
        yield place
        for inner in _within(place.layer)[::-1]:
            if isinstance(place.layer, keras.Model):
                models, parts = (*place.models, *place.parts), (inner.name,)
            else:
                models, parts = place.models, (*place.parts, inner.name)
            pending.append(_Place(inner, models, parts))


def _within(layer: Any) -> list[Any]:
    return list(layer._flatten_layers(include_self=False, recursive=False))


def _split_task(name: str) -> tuple[str, str, str]:
    """`task_3_logit` → ("task_3", "_", "logit"); any other name → ("", "", name)."""
    if not name.startswith(_TASK):
        return "", "", name
    label, separator, branch = name.removeprefix(_TASK).partition("_")
    return (f"{_TASK}{label}", separator, branch) if branch else ("", "", name)


def _prefixed(task: str, around: tuple[str, ...], branch: str) -> tuple[str, ...]:
    if not around:
        return (f"{task}{branch}",)
    first, *rest = around
    return (f"{task}{first}", *rest, branch)
