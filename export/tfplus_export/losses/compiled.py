"""Reading the losses that the user named or compiled a model with."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import keras

from tfplus.errors import ExportError, UsageError
from tfplus_export.losses.binary import Binary
from tfplus_export.losses.dense import Categorical
from tfplus_export.losses.focal import BinaryFocal, CategoricalFocal
from tfplus_export.losses.loss import Loss, Reduction
from tfplus_export.losses.regression import Huber, MeanAbsoluteError, MeanSquaredError
from tfplus_export.losses.sparse import SparseCategorical

DEFAULT = SparseCategorical.name
_MEANS = frozenset({"sum_over_batch_size", "mean"})


@dataclass(frozen=True)
class OutputLoss:
    """The loss of one output.

    Attributes:
      loss: of a row.
      weight: in the sum over all outputs.
      reduction: over the rows.
      logits_unless_closed: nobody said whether the model returns logits: it does unless it ends in
        what would make probabilities of them.
    """

    loss: Loss
    weight: float = 1.0
    reduction: Reduction = "mean"
    logits_unless_closed: bool = False


# Name of a loss in Keras → how its configuration becomes one of ours.
_READERS: Mapping[str, Callable[[Mapping[str, Any]], Loss]] = {
    "sparse_categorical_crossentropy": lambda c: SparseCategorical(bool(c["from_logits"])),
    "categorical_crossentropy": lambda c: Categorical(
        bool(c["from_logits"]), float(c["label_smoothing"])
    ),
    "binary_crossentropy": lambda c: Binary(bool(c["from_logits"]), float(c["label_smoothing"])),
    "binary_focal_crossentropy": lambda c: BinaryFocal(
        bool(c["from_logits"]),
        float(c["label_smoothing"]),
        bool(c["apply_class_balancing"]),
        float(c["alpha"]),
        float(c["gamma"]),
    ),
    "categorical_focal_crossentropy": lambda c: CategoricalFocal(
        bool(c["from_logits"]), float(c["label_smoothing"]), _alpha(c["alpha"]), float(c["gamma"])
    ),
    "mean_squared_error": lambda c: MeanSquaredError(),
    "mean_absolute_error": lambda c: MeanAbsoluteError(),
    "huber": lambda c: Huber(float(c["delta"])),
}
# The class of each, whose defaults are those of the function of that name.
_CLASSES: Mapping[str, type[keras.losses.Loss]] = {
    "sparse_categorical_crossentropy": keras.losses.SparseCategoricalCrossentropy,
    "categorical_crossentropy": keras.losses.CategoricalCrossentropy,
    "binary_crossentropy": keras.losses.BinaryCrossentropy,
    "binary_focal_crossentropy": keras.losses.BinaryFocalCrossentropy,
    "categorical_focal_crossentropy": keras.losses.CategoricalFocalCrossentropy,
    "mean_squared_error": keras.losses.MeanSquaredError,
    "mean_absolute_error": keras.losses.MeanAbsoluteError,
    "huber": keras.losses.Huber,
}


def named(name: str, outputs: Sequence[str]) -> dict[str, OutputLoss]:
    """The loss of `--loss`, for every output.

    Args:
      name: as Keras knows it, such as `mse` or `binary_crossentropy`.
      outputs: names of the outputs.

    Raises:
      UsageError: there is no such loss.
    """
    try:
        loss, _ = _read(name)
    except ExportError as error:
        raise UsageError(f"--loss: {error}") from None
    return dict.fromkeys(outputs, OutputLoss(loss, logits_unless_closed=True))


def compiled(model: keras.Model, outputs: Sequence[str]) -> dict[str, OutputLoss] | None:
    """The losses that a model was compiled with, by output; None where it was not.

    Args:
      model: compiled or not.
      outputs: names of its outputs.

    Raises:
      ExportError: a loss has no rule, or an output has none.
    """
    given = getattr(model, "loss", None) if getattr(model, "compiled", False) else None
    if given is None:
        return None
    losses = {n: _of(n, loss) for n, loss in _by_output("loss", given, outputs).items()}
    # Read last: Keras serializes all that the model was compiled with, and complains of lambdas.
    weights = _by_output("loss_weights", _compiled_weights(model), outputs)
    read: dict[str, OutputLoss] = {}
    for name, (loss, reduction) in losses.items():
        read[name] = OutputLoss(loss, _weight(name, weights[name]), reduction)
    return read


def _weight(output: str, given: Any) -> float:
    try:
        weight = 1.0 if given is None else float(given)
    except (TypeError, ValueError):
        weight = math.nan
    if not math.isfinite(weight):
        # Keras takes anything here, and falls only in `fit`.
        raise ExportError(
            f"output '{output}': expected a finite loss weight, got {given!r}; the third argument "
            "of compile is loss_weights; give metrics as compile(optimizer, loss, metrics=[…])"
        )
    return weight


def _of(output: str, given: Any) -> tuple[Loss, Reduction]:
    if given is None:
        raise ExportError(
            f"output '{output}' has no loss: expected one for each; leave the output out of the "
            "model that is exported"
        )
    return _read(given)


def _compiled_weights(model: keras.Model) -> Any:
    config: Any = model.get_compile_config()
    return config.get("loss_weights")


def _by_output(what: str, given: Any, outputs: Sequence[str]) -> dict[str, Any]:
    """What was compiled, as a dict by output.

    Args:
      what: argument of `compile`.
      given: one for all, a list in the order of the outputs, or a dict by name.
      outputs: names of the outputs.

    Raises:
      ExportError: it does not fit the outputs.
    """
    if isinstance(given, Mapping):
        mapping = cast("Mapping[str, Any]", given)
        if unknown := sorted(set(mapping) - set(outputs)):
            raise ExportError(
                f"compiled with {what} for '{unknown[0]}': expected names of outputs, "
                f"{', '.join(outputs)}"
            )
        return {name: mapping.get(name) for name in outputs}
    if isinstance(given, (list, tuple)):
        items = cast("Sequence[Any]", given)
        if len(items) != len(outputs):
            raise ExportError(
                f"compiled with {len(items)} {what}, but the model has {len(outputs)} outputs: "
                f"{', '.join(outputs)}"
            )
        return dict(zip(outputs, items, strict=True))
    if isinstance(given, (int, float)) and len(outputs) > 1:
        raise ExportError(f"compiled with {what}={given}: expected one for each output")
    return dict.fromkeys(outputs, given)


def _read(given: Any) -> tuple[Loss, Reduction]:
    """One loss of Keras: a name, a function or an object.

    Raises:
      ExportError: it has no rule.
    """
    shown = given if isinstance(given, str) else getattr(given, "__name__", type(given).__name__)
    try:
        found: Any = keras.losses.get(given)
    except (ValueError, TypeError):
        found = None
    for name, kind in _CLASSES.items():
        if found is getattr(keras.losses, name):
            return _READERS[name](_configuration(kind())), "mean"
        if type(found) is kind:
            return _READERS[name](_configuration(found)), _reduction(found, shown)
    raise ExportError(f"loss {shown} has no rule: expected one of {', '.join(_READERS)}")


def _configuration(loss: Any) -> Mapping[str, Any]:
    # Of Huber, get_config leaves out what it was made with.
    config: dict[str, Any] = {**loss.get_config(), **loss._fn_kwargs}
    name = type(loss).__name__
    if config.get("ignore_class") is not None:
        raise ExportError(f"{name} with ignore_class={config['ignore_class']} has no rule")
    if config.get("axis", -1) != -1:
        raise ExportError(f"{name} with axis={config['axis']} has no rule: expected axis=-1")
    if keras.backend.standardize_dtype(loss.dtype) != "float32":
        raise ExportError(f"{name} with dtype={loss.dtype} has no rule: expected float32")
    return config


def _reduction(loss: Any, shown: str) -> Reduction:
    if loss.reduction in _MEANS:
        return "mean"
    if loss.reduction == "sum":
        return "sum"
    raise ExportError(
        f"{shown} with reduction='{loss.reduction}' has no rule: expected the mean over the "
        "batch, sum_over_batch_size, or sum"
    )


def _alpha(alpha: Any) -> float | tuple[float, ...]:
    if isinstance(alpha, (int, float)):
        return float(alpha)
    return tuple(float(a) for a in alpha)
