"""Inputs and outputs of a Keras model by name, in one order, however the model nests them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import keras
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.tf_types import Tensor

# The name of a model's only input.
INPUT = "x"
# What a file takes of an input that Keras declares so. Runtimes compute in 32 bits, and what leads
# the model casts: values beyond them are refused where data are read.
_TAKEN_AS = {
    **dict.fromkeys(("float64", "float32"), "float32"),
    **dict.fromkeys(("int8", "int16", "int32", "int64", "uint8", "uint16", "uint32"), "int32"),
}


@dataclass(frozen=True)
class ModelTensor:
    """One input or output of a model.

    Attributes:
      shape: without the batch; None where a dimension is open.
      dtype: name of it, as Keras declares it.
    """

    shape: tuple[int | None, ...]
    dtype: str

    @property
    def taken_as(self) -> str | None:
        """The dtype of an input in the file; None where a file takes no such input."""
        return _TAKEN_AS.get(self.dtype)


def inputs(model: keras.Model) -> dict[str, ModelTensor]:
    """The inputs by name: `x` for a single one, else the keys of a dict, else Keras' own names.

    Raises:
      ExportError: two have one name.
    """
    given = [_tensor(tensor) for tensor in model.inputs]
    if len(given) == 1:
        return {INPUT: given[0]}
    names = _keys(_nested(model, "input")) or [t.name for t in model.inputs]
    return _named("input", names, given)


def outputs(model: keras.Model) -> dict[str, ModelTensor]:
    """The outputs by name: the keys of a dict, else the names of the layers that make them.

    Raises:
      ExportError: two have one name.
    """
    given = [_tensor(tensor) for tensor in model.outputs]
    names = _keys(_nested(model, "output"))
    if names is None:
        names = [tensor._keras_history.operation.name for tensor in model.outputs]
    return _named("output", names, given)


def call(model: keras.Model, values: Sequence[Tensor], *, training: bool) -> list[Tensor]:
    """Calls a model with its inputs in the order of `inputs`; returns those of `outputs`.

    Values may have the dtypes of a file: they are cast to those that the model declares.
    """
    declared = [given.dtype for given in inputs(model).values()]
    values = [v if v.dtype == d else tf.cast(v, d) for v, d in zip(values, declared, strict=True)]
    nested = _nested(model, "input")
    packed = values[0] if nested is None else keras.tree.pack_sequence_as(nested, list(values))
    return keras.tree.flatten(cast("Any", model)(packed, training=training))


def _nested(model: keras.Model, what: str) -> Any:
    # A Sequential has one of each, and Keras does not know them by these names.
    return None if isinstance(model, keras.Sequential) else getattr(model, what)


def _keys(nested: Any) -> list[str] | None:
    if not isinstance(nested, Mapping):
        return None
    mapping = cast("Mapping[str, Any]", nested)
    # As keras.tree flattens it.
    return sorted(mapping) if all(not keras.tree.is_nested(v) for v in mapping.values()) else None


def _tensor(tensor: Any) -> ModelTensor:
    return ModelTensor(tuple(tensor.shape[1:]), keras.backend.standardize_dtype(tensor.dtype))


def _named(what: str, names: Sequence[str], given: Sequence[ModelTensor]) -> dict[str, ModelTensor]:
    for name in names:
        if names.count(name) > 1:
            raise ExportError(
                f"two {what}s are named '{name}': give each a name of its own, as keys of a dict"
            )
    return dict(zip(names, given, strict=True))
