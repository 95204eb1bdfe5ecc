"""An optimizer from what `Optimizer.describe` says of it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

from tfplus.errors import PlanError
from tfplus_export.optimizers.adam import Adam
from tfplus_export.optimizers.adjusted import adjusted
from tfplus_export.optimizers.base import Optimizer
from tfplus_export.optimizers.clipping import KINDS, Clip
from tfplus_export.optimizers.rmsprop import RmsProp
from tfplus_export.optimizers.sgd import Sgd

_RULES: MappingProxyType[str, type[Any]] = MappingProxyType(
    {"sgd": Sgd, "adam": Adam, "adamw": Adam, "rmsprop": RmsProp}
)
_AROUND = {"name", "weight_decay", "undecayed", *KINDS}


def of(said: Mapping[str, Any], undecayed: frozenset[str] = frozenset()) -> Optimizer:
    """Reads a description.

    Args:
      said: name, hyper-parameters, clipping and weight decay.
      undecayed: slices that are not decayed, instead of those that it names.

    Raises:
      PlanError: it describes no optimizer.
    """
    rule = _RULES.get(str(said.get("name")))
    values = {k: v for k, v in said.items() if k not in _AROUND}
    if rule is None or set(values) != {f.name for f in dataclasses.fields(rule)}:
        raise PlanError(f"optimizer {dict(said)}: expected one of {', '.join(_RULES)}, described")
    limits = {k: said[k] for k in (*KINDS, "weight_decay") if k in said}
    for name, value in {**values, **limits}.items():
        if not isinstance(value, (bool, int, float)) or not math.isfinite(value):
            raise PlanError(f"optimizer, {name}: expected a finite number, got {value!r}")
    clips = [Clip(kind, float(said[kind])) for kind in KINDS if kind in said]
    decay = float(said.get("weight_decay", 0.0))
    return adjusted(rule(**values), clips[0] if clips else None, decay, undecayed)
