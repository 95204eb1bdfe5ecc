"""The sub-model of some classes: the shared layers and the branches of those classes."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import keras

from tfplus.errors import ExportError, UsageError
from tfplus_export.sources.source import Source
from tfplus_export.tracing.naming import variable_names, variable_places


def check(source: Source, classes: tuple[int, ...]) -> Callable[[Sequence[int]], keras.Model]:
    """Checks that a source has a sub-model of these classes, and returns what builds it.

    Raises:
      UsageError: the source cannot build sub-models, or a class is not one of the model's.
    """
    if source.rebuild is None:
        raise UsageError(f"{source.name} takes no classes: it cannot be cut into sub-models")
    known = source.classes or tuple(range(int(source.model.outputs[0].shape[-1])))
    unknown = sorted(set(classes) - set(known))
    if unknown or not classes or len(set(classes)) != len(classes):
        raise UsageError(
            f"sub-model of classes {list(classes)}: expected distinct classes out of {list(known)}"
        )
    return source.rebuild


def build(source: Source, classes: tuple[int, ...]) -> keras.Model:
    """Builds a sub-model whose weights are those of the whole model, slice by slice.

    Raises:
      UsageError: see `check`.
      ExportError: a weight is no slice of the whole model.
    """
    model = check(source, classes)(classes)
    whole_names, names = variable_names(source.model), variable_names(model)
    whole = {whole_names[id(v)]: v for v in source.model.variables}
    places = variable_places(source.model) | variable_places(model)
    for variable in model.variables:
        original = whole.get(names[id(variable)])
        # A name that only the whole model had to make longer would stand for another tensor here.
        same_place = original is not None and places.get(id(original)) == places.get(id(variable))
        if original is None or not same_place or tuple(original.shape) != tuple(variable.shape):
            raise ExportError(
                f"sub-model: '{names[id(variable)]}' of shape {tuple(variable.shape)} is no slice "
                "of the whole model: give every layer a name, those of a class's branch "
                "task_<class>_<layer>"
            )
        variable.assign(original)
    return model
