"""What an export refuses before it traces: what the exported step would silently do otherwise.

The comparison with TensorFlow at the end of an export asks whether the loss and the update are
computed right. It cannot tell that `model.fit` would have used another loss: that is asked here.
"""

from __future__ import annotations

from collections.abc import Callable, Generator
from typing import Any

import keras
import numpy as np

from tfplus.errors import ExportError
from tfplus_export.regularization import constraints, regularizers
from tfplus_export.tracing import model_io
from tfplus_export.tracing.graph import layers_of
from tfplus_export.tracing.layer_kinds import LayerKinds

# Methods with which a model replaces what `fit` does in a step.
_OVERRIDES = ("train_step", "compute_loss")


def check_model(model: keras.Model) -> None:
    """Checks what tracing relies on, and that the step is all that trains the model.

    Raises:
      ExportError: naming what is not as it must be.
    """
    for problem in problems(model):
        raise ExportError(problem)


def problems(model: keras.Model) -> Generator[str]:
    """Everything that keeps a model as a whole from being exported, before it is traced."""
    if not model.built or not getattr(model, "outputs", None):
        yield (
            "the model has no Input: one that is a class of its own can be wrapped as "
            "keras.Model(x, model(x)) with x = keras.Input(shape)"
        )
        return
    named = {"input": model_io.inputs(model), "output": model_io.outputs(model)}
    for what, found in named.items():
        for name, port in found.items():
            if None in port.shape:
                yield (
                    f"{what} '{name}': expected fixed dimensions besides the batch, "
                    f"got {port.shape}"
                )
    for name, port in named["input"].items():
        if port.taken_as is None:
            yield (
                f"input '{name}': expected numbers of 32 or 64 bits, or integers of fewer, got "
                f"{port.dtype}: give the Input such a dtype, and cast behind it"
            )
    if keras.backend.image_data_format() != "channels_last":
        yield ("expected image_data_format channels_last in the Keras configuration")
    for variable in model.variables:
        value: Any = variable.numpy()
        if not value.size:
            yield (
                f"weight '{variable.path}' has no element (shape {list(value.shape)}): expected "
                "every extent of an input to be at least 1"
            )
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            yield (f"weight '{variable.path}' holds NaN or infinity")
    yield from _what_fit_adds(model)
    for name, port in named["output"].items():
        if port.dtype != "float32":
            yield (f"output '{name}': expected float32, got {port.dtype}")


def check_traced(model: keras.Model) -> None:
    """Checks, once the model was called for training, that no layer added a loss of its own.

    That of an activity regularizer is known.

    Raises:
      ExportError: naming the layer.
    """
    for layer in layers_of(model):
        if layer._losses and layer.activity_regularizer is None:
            raise ExportError(
                f"{_shown(layer)} adds a loss of its own, which has no rule: the step trains on "
                "the losses of its outputs alone"
            )


def _shown(layer: Any) -> str:
    return LayerKinds.read([layer]).shown(layer.name)


def _what_fit_adds(model: keras.Model) -> Generator[str]:
    for layer in layers_of(model):
        if getattr(layer, "quantization_mode", None) is not None:
            yield (
                f"{_shown(layer)} is quantized ({layer.quantization_mode}), and integers do not "
                "train: export the model as it was before quantize(); --weights int8 stores its "
                "weights as small"
            )
        elif layer.compute_dtype != "float32":
            yield (
                f"{_shown(layer)} computes in {layer.compute_dtype}: expected float32, not a mixed "
                "or reduced precision policy"
            )
        yield from _complaint(regularizers.of_layer, layer)
    for variable in model.trainable_variables:
        yield from _complaint(regularizers.of_variable, variable)
        yield from _complaint(constraints.of_variable, variable)
    yield from _complaint(check_overrides, model)


def check_overrides(model: keras.Model) -> None:
    """Checks that a model's class does not replace what `fit` does in a step.

    Raises:
      ExportError: naming the method.
    """
    for method in _OVERRIDES:
        if getattr(type(model), method) is not getattr(keras.Model, method):
            raise ExportError(
                f"the model's class {type(model).__name__} has its own {method}, which the "
                "exported step would not call: expected that of keras.Model"
            )


def _complaint(read: Callable[[Any], object], of: Any) -> Generator[str]:
    try:
        read(of)
    except ExportError as error:
        yield str(error)
