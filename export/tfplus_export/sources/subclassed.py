"""Models that are a class of their own get an Input, so that others see what goes in and out."""

from __future__ import annotations

from typing import Any

import keras

from tfplus.errors import ExportError, UsageError
from tfplus_export.system.user_code import first_line
from tfplus_export.tracing.checks import check_overrides

_HOW = (
    "call it once on data, or build it for a shape, or give --input-shape; or wrap it as "
    "keras.Model(x, model(x)) with x = keras.Input(shape)"
)


def with_inputs(model: keras.Model, input_shape: tuple[int, ...] | None) -> keras.Model:
    """The model itself if it has an Input, else a functional one around it with the same weights.

    Args:
      model: of any kind.
      input_shape: one sample, for a model without an Input; None for what it was built with.

    Raises:
      ExportError: there is nothing that says its input's shape, or it cannot be called on it.
      UsageError: an input shape is given to a model that has its own.
    """
    if getattr(model, "outputs", None):
        if input_shape is not None:
            raise UsageError("--input-shape does not apply: the model has an Input of its own")
        return model
    shape: Any = _built_with(model) if input_shape is None else (None, *input_shape)
    if shape is None:
        raise ExportError(f"the model is not built: {_HOW}")
    check_overrides(model)
    untyped: Any = model
    try:
        inputs: Any = keras.tree.map_shape_structure(lambda s: keras.Input(s[1:]), shape)
        return keras.Model(inputs, untyped(inputs), name=model.name)
    except Exception as error:
        raise ExportError(
            f"the model cannot be called on an input of shape {shape}: {first_line(error)}; {_HOW}"
        ) from error


def _built_with(model: keras.Model) -> Any:
    config: Any = model.get_build_config() or {}
    shapes = config.get("shapes_dict") or {}
    # Of several arguments of call, the first holds the inputs.
    return config.get("input_shape") or next(iter(shapes.values()), None)
