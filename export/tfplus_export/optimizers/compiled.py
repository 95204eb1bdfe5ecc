"""Reading the optimizer that a model was compiled with."""

from __future__ import annotations

from collections.abc import Callable
from types import MappingProxyType
from typing import Any

import keras

from tfplus.errors import ExportError
from tfplus_export.optimizers.adam import Adam
from tfplus_export.optimizers.adjusted import adjusted
from tfplus_export.optimizers.base import NO_VARIABLES, Optimizer, Variables
from tfplus_export.optimizers.clipping import KINDS, Clip
from tfplus_export.optimizers.rmsprop import RmsProp
from tfplus_export.optimizers.sgd import Sgd
from tfplus_export.tracing.naming import variable_names

_OTHERWISE = "choose another with --optimizer"
# What Keras can do around an update that the step on the device does not.
_REFUSED = ("use_ema", "loss_scale_factor", "gradient_accumulation_steps")


def _sgd(c: dict[str, Any]) -> Optimizer:
    return Sgd(c["learning_rate"], c["momentum"], c["nesterov"])


def _adam(c: dict[str, Any]) -> Optimizer:
    return Adam(c["learning_rate"], c["beta_1"], c["beta_2"], c["epsilon"], c["amsgrad"])


def _rmsprop(c: dict[str, Any]) -> Optimizer:
    return RmsProp(c["learning_rate"], c["rho"], c["momentum"], c["epsilon"], c["centered"])


_READERS: MappingProxyType[type, Callable[[dict[str, Any]], Optimizer]] = MappingProxyType(
    {
        keras.optimizers.SGD: _sgd,
        keras.optimizers.Adam: _adam,
        keras.optimizers.AdamW: _adam,
        keras.optimizers.RMSprop: _rmsprop,
    }
)


def from_keras(
    optimizer: keras.optimizers.Optimizer, variables: Variables = NO_VARIABLES
) -> Optimizer:
    """Reads a compiled optimizer.

    Args:
      optimizer: of a model.
      variables: name → Keras variable, of the weights that it trains.

    Raises:
      ExportError: it has no rule, or does something that the step on the device would not do.
    """
    name = type(optimizer).__name__
    read = _READERS.get(type(optimizer))
    if read is None:
        known = ", ".join(kind.__name__ for kind in _READERS)
        raise ExportError(
            f"optimizer {name} has no rule: expected {known}, and no class derived from one of "
            f"them; {_OTHERWISE}"
        )
    config: Any = optimizer.get_config()
    if not isinstance(config["learning_rate"], float):
        raise ExportError(
            f"{name} has a schedule for a learning rate, expected a number: compile it with one, "
            f"or {_OTHERWISE} and --learning-rate; to follow a schedule, set the variable "
            "optimizer/learning_rate on the device as training goes on"
        )
    for refused in _REFUSED:
        if config.get(refused):
            raise ExportError(
                f"{name} with {refused}={config[refused]} has no rule: compile it without, "
                f"or {_OTHERWISE}"
            )
    clips = [Clip(kind, float(config[kind])) for kind in KINDS if (config.get(kind) or 0) > 0]
    decay = float(config.get("weight_decay") or 0.0)
    # Of Keras, which offers no other way to ask what exclude_from_weight_decay was told.
    decays: Any = getattr(optimizer, "_use_weight_decay", None)
    undecayed = frozenset(n for n, v in variables.items() if not decays(v.value))
    return adjusted(read(config), clips[0] if clips else None, decay, undecayed)


def described(model: keras.Model) -> dict[str, Any] | None:
    """What a model was compiled with, as a manifest describes it.

    Args:
      model: built.

    Returns:
      None where it was not compiled, or with an optimizer that has no rule.
    """
    given: Any = model.optimizer if getattr(model, "compiled", False) else None
    if given is None:
        return None
    names = variable_names(model)
    try:
        return from_keras(given, {names[id(v)]: v for v in model.trainable_variables}).describe()
    except ExportError:
        return None
