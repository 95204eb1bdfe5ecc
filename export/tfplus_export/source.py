"""Where a model comes from: `zoo:NAME`, a `.keras` file, or `package.module:function`."""

from __future__ import annotations

import importlib
import inspect
import sys
import zipfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfplus.errors import ExportError, UsageError
from tfplus.manifest import Preprocessing
from tfplus_export import zoo
from tfplus_export.optimizer import Sgd, from_keras


@dataclass(frozen=True)
class Source:
    """A Keras model and what comes with it.

    Attributes:
      name: as the user named it.
      model: built, one input, one output.
      classes: label of each logit.
      optimizer: the compiled one, if any.
      from_logits: what the compiled loss expects; None where the model is not compiled.
      preprocessing: of samples stored as integers.
      rebuild: makes the model for other class labels; None where the source cannot.
    """

    name: str
    model: keras.Model
    classes: tuple[int, ...]
    optimizer: Sgd | None
    from_logits: bool | None
    preprocessing: Preprocessing
    rebuild: Callable[[Sequence[int]], keras.Model] | None


def load(
    name: str,
    *,
    input_shape: tuple[int, ...] | None,
    classes: tuple[int, ...] | None,
    seed: int,
) -> Source:
    """Loads or builds a model.

    Args:
      name: `zoo:NAME`, path of a `.keras` file, or `package.module:function`.
      input_shape: one sample, for sources that build a model.
      classes: labels in the order of the logits, likewise.
      seed: seeds the initial weights of models that are built here.

    Raises:
      UsageError: the source is not of a known form, or an argument does not apply to it.
      ExportError: the model cannot be loaded, or is of a form that does not train on a device.
    """
    keras.utils.set_random_seed(seed)
    if name.startswith("zoo:"):
        source = _from_zoo(name, input_shape, classes)
    elif name.endswith(".keras"):
        source = _from_file(name, input_shape, classes)
    elif ":" in name:
        source = _from_function(name, input_shape, classes)
    else:
        raise UsageError(
            f"source '{name}': expected zoo:NAME, a .keras file, or package.module:function"
        )
    check_model(source.model, len(source.classes))
    return source


def check_model(model: keras.Model, classes: int) -> None:
    """Checks what tracing relies on.

    Raises:
      ExportError: naming what is not as it must be.
    """
    if not model.built:
        raise ExportError("the model is not built: give it an Input, or call it once on a sample")
    if len(model.inputs or [None]) != 1 or len(model.outputs or [None]) != 1:
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


def _from_zoo(
    name: str, input_shape: tuple[int, ...] | None, classes: tuple[int, ...] | None
) -> Source:
    entry = zoo.entry(name.removeprefix("zoo:"))
    shape = input_shape or entry.input_shape
    labels = classes or tuple(range(entry.classes))

    def rebuild(chosen: Sequence[int]) -> keras.Model:
        try:
            return entry.build(shape, chosen)
        except ValueError as error:
            raise ExportError(
                f"{name} cannot be built for input shape {shape}: {_first_line(error)}"
            ) from error

    model = rebuild(labels)
    return Source(name, model, labels, None, None, entry.preprocessing, rebuild)


def _from_file(
    name: str, input_shape: tuple[int, ...] | None, classes: tuple[int, ...] | None
) -> Source:
    path = Path(name)
    if not path.is_file():
        raise ExportError(f"{path}: no such file; expected a model saved by model.save()")
    if not zipfile.is_zipfile(path):
        raise ExportError(f"{path}: not a .keras file, or it was truncated")
    if input_shape:
        raise UsageError("--input-shape does not apply to a .keras file: it has its own")
    try:
        model: Any = keras.models.load_model(path)
    except Exception as error:
        raise ExportError(f"{path}: Keras cannot load it: {_first_line(error)}") from error
    return _given(name, model, classes, None)


def _from_function(
    name: str, input_shape: tuple[int, ...] | None, classes: tuple[int, ...] | None
) -> Source:
    module_name, _, function_name = name.partition(":")
    # The user's own module usually lies where the command is run.
    sys.path.insert(0, str(Path.cwd()))
    try:
        function = getattr(importlib.import_module(module_name), function_name)
    except (ImportError, AttributeError) as error:
        raise UsageError(f"source '{name}': {error}") from error
    finally:
        sys.path.pop(0)
    accepted = inspect.signature(function).parameters
    given: dict[str, Any] = {"input_shape": input_shape, "classes": classes}
    arguments = {k: v for k, v in given.items() if v is not None and k in accepted}
    if input_shape and "input_shape" not in accepted:
        raise UsageError(f"--input-shape: {name} takes no argument input_shape")
    model: Any = function(**arguments)
    if not _is_model(model):
        raise ExportError(f"{name}: expected a keras.Model, got {type(model).__name__}")

    def rebuild(chosen: Sequence[int]) -> keras.Model:
        again: Any = function(**(arguments | {"classes": tuple(chosen)}))
        return again

    return _given(name, model, classes, rebuild if "classes" in accepted else None)


def _given(
    name: str,
    model: keras.Model,
    classes: tuple[int, ...] | None,
    rebuild: Callable[[Sequence[int]], keras.Model] | None,
) -> Source:
    if not model.built or not model.outputs:
        raise ExportError("the model is not built: give it an Input, or call it once on a sample")
    outputs = model.output_shape[-1] if isinstance(model.output_shape, tuple) else 0
    optimizer, from_logits = None, None
    if getattr(model, "compiled", False) and model.optimizer is not None:
        optimizer, from_logits = from_keras(model.optimizer), _from_logits(model.loss)
    labels = classes or tuple(range(outputs or 0))
    return Source(name, model, labels, optimizer, from_logits, Preprocessing(), rebuild)


def _is_model(value: Any) -> bool:
    return isinstance(value, keras.Model)


def _from_logits(loss: Any) -> bool | None:
    if loss is None:
        return None
    if loss == "sparse_categorical_crossentropy":
        return False
    if isinstance(loss, keras.losses.SparseCategoricalCrossentropy):
        config = loss.get_config()
        if config.get("ignore_class") is not None:
            raise ExportError("SparseCategoricalCrossentropy with ignore_class has no rule")
        return bool(config["from_logits"])
    shown = loss if isinstance(loss, str) else type(loss).__name__
    raise ExportError(f"loss {shown} has no rule: expected sparse_categorical_crossentropy")


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
