"""Where a model comes from: `zoo:NAME`, a `.keras` file, a plan, or `package.module:function`."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras

from tfplus.decoupling import plan_folder
from tfplus.decoupling.plan import Plan
from tfplus.errors import ExportError, UsageError
from tfplus.model_file.preprocessing import Preprocessing
from tfplus.tensors.slices import TASK, task_of
from tfplus_export import zoo
from tfplus_export.decoupling import submodel
from tfplus_export.losses.compiled import OutputLoss
from tfplus_export.losses.compiled import compiled as losses_of
from tfplus_export.optimizers import Optimizer, described
from tfplus_export.optimizers.compiled import from_keras
from tfplus_export.sources import keras_file
from tfplus_export.sources.reported_metrics import unreported
from tfplus_export.sources.subclassed import with_inputs
from tfplus_export.system import user_code
from tfplus_export.system.user_code import first_line
from tfplus_export.tracing import model_io
from tfplus_export.tracing.naming import variable_names


@dataclass(frozen=True)
class Source:
    """A Keras model and what comes with it.

    Attributes:
      name: as the user named it.
      model: built, with inputs and outputs.
      classes: label of each class; None where nobody said.
      optimizer: the compiled one, if any.
      losses: name of an output → its loss as compiled; None where the model is not.
      preprocessing: of samples stored as integers.
      rebuild: makes the model for other class labels; None where the source cannot.
      unreported_metrics: compiled ones that the exported step does not report.
      shared: frozen layers in front of the model, piece behind piece, whose last output it takes;
        none where it takes samples.
    """

    name: str
    model: keras.Model
    classes: tuple[int, ...] | None
    optimizer: Optimizer | None
    losses: Mapping[str, OutputLoss] | None
    preprocessing: Preprocessing
    rebuild: Callable[[Sequence[int]], keras.Model] | None
    unreported_metrics: tuple[str, ...] = ()
    shared: tuple[keras.Model, ...] = ()


@dataclass(frozen=True)
class _Kept:
    optimizer: bool
    loss: bool


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
      name: `zoo:NAME`, path of a `.keras` file or of a plan's folder, or
        `package.module:function`.
      input_shape: one sample, for sources that build a model.
      classes: labels in the order of the logits, likewise.
      seed: seeds the initial weights of models that are built here.
      replace_optimizer: the compiled optimizer is passed over.
      replace_loss: the compiled loss is passed over.
      trust_code: whether code in a `.keras` file may run.

    Raises:
      UsageError: the source is not of a known form, or an argument does not apply to it.
      ExportError: the model cannot be loaded, or was compiled with what has no rule.

    Examples:
      >>> from tfplus_export.sources.source import load
      >>> source = load("zoo:digits", input_shape=None, classes=None, seed=0)
      >>> source.model.count_params() > 1000, source.classes
      (True, (0, 1, 2, 3, 4, 5, 6, 7, 8, 9))
    """
    keras.utils.set_random_seed(seed)
    kept = _Kept(not replace_optimizer, not replace_loss)
    if name.startswith("zoo:"):
        source = _from_zoo(name, input_shape, classes)
    elif plan_folder.is_plan(Path(name)):
        source = _from_plan(Path(name), input_shape, classes, kept, trust_code)
    elif name.endswith(".keras"):
        source = _from_file(name, input_shape, classes, kept, trust_code)
    elif ":" in name:
        source = _from_function(name, input_shape, classes, kept)
    else:
        raise UsageError(
            f"source '{name}': expected zoo:NAME, a .keras file, the folder of a plan, or "
            "package.module:function"
        )
    return source


def of_model(model: Any) -> Source:
    """What comes with a model that a program holds: what it was compiled with.

    Args:
      model: a `keras.Model`.

    Raises:
      ExportError: it was compiled with what has no rule.
      UsageError: it has no inputs yet.
    """
    name = str(getattr(model, "name", "model"))
    return _given(name, model, with_inputs(model, None), None, None, _Kept(True, True))


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
    kept: _Kept,
    trust_code: bool,
) -> Source:
    if input_shape:
        raise UsageError("--input-shape does not apply to a .keras file: it has its own")
    model: Any = keras_file.load(Path(name), trust_code=trust_code)
    return _given(name, model, with_inputs(model, None), classes, None, kept)


def _from_plan(
    folder: Path,
    input_shape: tuple[int, ...] | None,
    classes: tuple[int, ...] | None,
    kept: _Kept,
    trust: bool,
) -> Source:
    if input_shape:
        raise UsageError("--input-shape does not apply to a plan: its model has its own")
    plan = plan_folder.read(folder)
    chosen = classes or plan.classes
    plan.check_classes(chosen)
    whole: Any = keras_file.load(folder / plan_folder.MODEL_NAME, trust_code=trust)

    def rebuild(labels: Sequence[int]) -> keras.Model:
        return submodel.build(whole, plan, labels)

    given = Preprocessing(plan.scale, plan.offset, plan.scales_floats)
    optimizer = None
    if kept.optimizer and plan.optimizer is not None:
        optimizer = described.of(plan.optimizer, _undecayed(plan))
    return Source(plan.tag, rebuild(chosen), chosen, optimizer, None, given, rebuild)


def _undecayed(plan: Plan) -> frozenset[str]:
    """The slices of what was not decayed in the model before it was cut."""
    named = (plan.optimizer or {}).get("undecayed")
    before = {str(name) for name in named} if isinstance(named, list) else set[str]()

    def uncut(name: str) -> str:
        label = task_of(name)
        return name if label is None else name.replace(f"{TASK}/{label}/", "shared/", 1)

    return frozenset(name for name in plan.weights if uncut(name) in before)


def _from_function(
    name: str,
    input_shape: tuple[int, ...] | None,
    classes: tuple[int, ...] | None,
    kept: _Kept,
) -> Source:
    function = user_code.find(name)
    accepted = inspect.signature(function).parameters
    given: dict[str, Any] = {"input_shape": input_shape, "classes": classes}
    arguments = {k: v for k, v in given.items() if v is not None and k in accepted}
    # A model that is a class of its own may be built for it.
    unused = None if "input_shape" in accepted else input_shape

    def build(changed: Mapping[str, Any]) -> keras.Model:
        model: Any = user_code.call(name, function, arguments | dict(changed))
        if not _is_model(model):
            raise ExportError(f"{name}: expected a keras.Model, got {type(model).__name__}")
        return model

    def rebuild(chosen: Sequence[int]) -> keras.Model:
        return with_inputs(build({"classes": tuple(chosen)}), unused)

    model = build({})
    try:
        whole = with_inputs(model, unused)
    except UsageError:
        raise UsageError(
            f"--input-shape: {name} takes no argument input_shape, and its model has an Input"
        ) from None
    return _given(name, model, whole, classes, rebuild if "classes" in accepted else None, kept)


def _given(
    name: str,
    compiled: keras.Model,
    model: keras.Model,
    classes: tuple[int, ...] | None,
    rebuild: Callable[[Sequence[int]], keras.Model] | None,
    kept: _Kept,
) -> Source:
    optimizer = None
    losses = losses_of(compiled, list(model_io.outputs(model))) if kept.loss else None
    given = compiled.optimizer if getattr(compiled, "compiled", False) else None
    if given is not None and kept.optimizer:
        names = variable_names(model)
        trained = {names[id(v)]: v for v in model.trainable_variables}
        optimizer = from_keras(given, trained)
    metrics = unreported(compiled)
    return Source(name, model, classes, optimizer, losses, Preprocessing(), rebuild, metrics)


def _is_model(value: Any) -> bool:
    return isinstance(value, keras.Model)
