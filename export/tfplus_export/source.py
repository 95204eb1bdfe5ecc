"""Where a model comes from: `zoo:NAME`, a `.keras` file, or `package.module:function`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from tfplus.errors import ExportError, UsageError
from tfplus.manifest import Preprocessing
from tfplus_export import keras_file, ports, user_code, zoo
from tfplus_export.losses.compiled import OutputLoss, compiled
from tfplus_export.optimizers import Optimizer
from tfplus_export.optimizers.compiled import from_keras
from tfplus_export.training import slice_of
from tfplus_export.user_code import first_line


@dataclass(frozen=True)
class Source:
    """A Keras model and what comes with it.

    Attributes:
      name: as the user named it.
      model: built, one input, one output.
      classes: label of each class; None where nobody said.
      optimizer: the compiled one, if any.
      losses: name of an output → its loss as compiled; None where the model is not.
      preprocessing: of samples stored as integers.
      rebuild: makes the model for other class labels; None where the source cannot.
    """

    name: str
    model: keras.Model
    classes: tuple[int, ...] | None
    optimizer: Optimizer | None
    losses: Mapping[str, OutputLoss] | None
    preprocessing: Preprocessing
    rebuild: Callable[[Sequence[int]], keras.Model] | None


def load(
    name: str,
    *,
    input_shape: tuple[int, ...] | None,
    classes: tuple[int, ...] | None,
    seed: int,
    replace_optimizer: bool = False,
    replace_loss: bool = False,
    trust_code: bool = False,
) -> Source:
    """Loads or builds a model.

    Args:
      name: `zoo:NAME`, path of a `.keras` file, or `package.module:function`.
      input_shape: one sample, for sources that build a model.
      classes: labels in the order of the logits, likewise.
      seed: seeds the initial weights of models that are built here.
      replace_optimizer: the compiled optimizer is passed over.
      replace_loss: the compiled loss is passed over.
      trust_code: whether code in a `.keras` file may run.

    Raises:
      UsageError: the source is not of a known form, or an argument does not apply to it.
      ExportError: the model cannot be loaded, or was compiled with what has no rule.
    """
    keras.utils.set_random_seed(seed)
    if name.startswith("zoo:"):
        source = _from_zoo(name, input_shape, classes)
    elif name.endswith(".keras"):
        source = _from_file(name, input_shape, classes, replace_optimizer, replace_loss, trust_code)
    elif ":" in name:
        source = _from_function(name, input_shape, classes, replace_optimizer, replace_loss)
    else:
        raise UsageError(
            f"source '{name}': expected zoo:NAME, a .keras file, or package.module:function"
        )
    return source


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
                f"{name} cannot be built for input shape {shape}: {first_line(error)}"
            ) from error

    model = rebuild(labels)
    return Source(name, model, labels, None, None, entry.preprocessing, rebuild)


def _from_file(
    name: str,
    input_shape: tuple[int, ...] | None,
    classes: tuple[int, ...] | None,
    replace_optimizer: bool,
    replace_loss: bool,
    trust_code: bool,
) -> Source:
    if input_shape:
        raise UsageError("--input-shape does not apply to a .keras file: it has its own")
    model: Any = keras_file.load(Path(name), trust_code=trust_code)
    return _given(name, model, classes, None, replace_optimizer, replace_loss)


def _from_function(
    name: str,
    input_shape: tuple[int, ...] | None,
    classes: tuple[int, ...] | None,
    replace_optimizer: bool,
    replace_loss: bool,
) -> Source:
    function = user_code.find(name)
    accepted = inspect.signature(function).parameters
    given: dict[str, Any] = {"input_shape": input_shape, "classes": classes}
    arguments = {k: v for k, v in given.items() if v is not None and k in accepted}
    if input_shape and "input_shape" not in accepted:
        raise UsageError(f"--input-shape: {name} takes no argument input_shape")

    def build(changed: Mapping[str, Any]) -> keras.Model:
        model: Any = user_code.call(name, function, arguments | dict(changed))
        if not _is_model(model):
            raise ExportError(f"{name}: expected a keras.Model, got {type(model).__name__}")
        return model

    def rebuild(chosen: Sequence[int]) -> keras.Model:
        return build({"classes": tuple(chosen)})

    return _given(
        name,
        build({}),
        classes,
        rebuild if "classes" in accepted else None,
        replace_optimizer,
        replace_loss,
    )


def _given(
    name: str,
    model: keras.Model,
    classes: tuple[int, ...] | None,
    rebuild: Callable[[Sequence[int]], keras.Model] | None,
    replace_optimizer: bool,
    replace_loss: bool,
) -> Source:
    optimizer, losses = None, None
    if model.built and getattr(model, "outputs", None) and not replace_loss:
        losses = compiled(model, list(ports.outputs(model)))
    given = model.optimizer if getattr(model, "compiled", False) else None
    if given is not None and not replace_optimizer:
        trained = {slice_of(v.path, model.name): v for v in model.trainable_variables}
        optimizer = from_keras(given, trained)
    return Source(name, model, classes, optimizer, losses, Preprocessing(), rebuild)


def _is_model(value: Any) -> bool:
    return isinstance(value, keras.Model)
