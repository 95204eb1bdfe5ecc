"""What an export refuses before it traces: what the exported step would silently do otherwise.

The comparison with TensorFlow at the end of an export asks whether the loss and the update are
computed right. It cannot tell that `model.fit` would have used another loss: that is asked here.
"""

from __future__ import annotations

from typing import Any

import keras
import numpy as np

from tfplus.errors import ExportError

# Methods with which a model replaces what `fit` does in a step.
_OVERRIDES = ("train_step", "compute_loss")


def check_model(model: keras.Model, classes: int) -> None:
    """Checks what tracing relies on, and that the step is all that trains the model.

    Raises:
      ExportError: naming what is not as it must be.
    """
    if not model.built or not getattr(model, "outputs", None):
        raise ExportError(
            "the model is not built: give it an Input; one that is a class of its own can be "
            "wrapped as keras.Model(x, model(x)) with x = keras.Input(shape)"
        )
    if len(model.inputs) != 1 or len(model.outputs) != 1:
        raise ExportError(
            f"expected one input and one output, got {len(model.inputs)} and {len(model.outputs)}"
        )
    shape, output = model.input_shape, model.output_shape
    if any(d is None for d in shape[1:]):
        raise ExportError(f"expected fixed dimensions besides the batch, got input shape {shape}")
    if keras.backend.standardize_dtype(model.inputs[0].dtype) != "float32":
        raise ExportError(f"expected a float32 input, got {model.inputs[0].dtype}")
    if len(output) != 2:
        raise ExportError(f"expected one logit a class, [batch, classes], got output {output}")
    if output[1] != classes:
        raise ExportError(f"the model has {output[1]} outputs, but {classes} classes are named")
    if keras.backend.image_data_format() != "channels_last":
        raise ExportError("expected image_data_format channels_last in the Keras configuration")
    for variable in model.variables:
        value: Any = variable.numpy()
        if value.dtype.kind == "f" and not np.isfinite(value).all():
            raise ExportError(f"weight '{variable.path}' holds NaN or infinity")
    _check_what_fit_adds(model)
    _check_compiled(model)


def check_traced(model: keras.Model) -> None:
    """Checks, once the model was called for training, that no layer added a loss of its own.

    Raises:
      ExportError: naming the layer.
    """
    for layer in _layers(model):
        if layer._losses:
            raise ExportError(
                f"layer '{layer.name}' adds a loss of its own, which has no rule: the step trains "
                "on the cross-entropy alone"
            )


def _check_what_fit_adds(model: keras.Model) -> None:
    for layer in _layers(model):
        if layer.compute_dtype != "float32":
            raise ExportError(
                f"layer '{layer.name}' computes in {layer.compute_dtype}: expected float32, not a "
                "mixed or reduced precision policy"
            )
        if layer.activity_regularizer is not None:
            raise ExportError(
                f"layer '{layer.name}' has an activity_regularizer, which has no rule: expected "
                "none"
            )
    for variable in model.trainable_variables:
        # Of Keras, on whose variables both are always there, or None.
        for what in ("regularizer", "constraint"):
            if getattr(variable, what, None) is not None:
                raise ExportError(
                    f"weight '{variable.path}' has a {what}, which has no rule: expected a layer "
                    f"without kernel_{what}, bias_{what} and the like"
                )
    for method in _OVERRIDES:
        if getattr(type(model), method) is not getattr(keras.Model, method):
            raise ExportError(
                f"the model's class {type(model).__name__} has its own {method}, which the "
                "exported step would not call: expected that of keras.Model"
            )


def _check_compiled(model: keras.Model) -> None:
    config: Any = model.get_compile_config()
    weights = config.get("loss_weights")
    if weights is not None:
        raise ExportError(
            f"compiled with loss_weights={weights}, which has no rule: expected none; scale the "
            "learning rate instead"
        )


def _layers(model: keras.Model) -> list[Any]:
    """The model and every layer in it, however deep."""
    untyped: Any = model
    return untyped._flatten_layers()
