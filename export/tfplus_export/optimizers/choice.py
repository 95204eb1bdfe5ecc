"""Choosing an optimizer on the command line, or changing the compiled one."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from types import MappingProxyType
from typing import Literal, get_args

from tfplus.errors import UsageError
from tfplus_export.optimizers.adam import Adam
from tfplus_export.optimizers.adjusted import Adjusted, adjusted
from tfplus_export.optimizers.base import Optimizer
from tfplus_export.optimizers.clipping import Clip, Kind
from tfplus_export.optimizers.rmsprop import RmsProp
from tfplus_export.optimizers.sgd import Sgd

Name = Literal["sgd", "adam", "adamw", "rmsprop"]
NAMES: tuple[Name, ...] = get_args(Name)
# That of Keras' AdamW.
ADAMW_WEIGHT_DECAY = 0.004
_CLIPPING: MappingProxyType[Kind, str] = MappingProxyType(
    {
        "clipnorm": "--clip-norm",
        "global_clipnorm": "--clip-global-norm",
        "clipvalue": "--clip-value",
    }
)


@dataclass(frozen=True)
class Choice:
    """What is asked of the optimizer; what is None stays as compiled, or as Keras has it.

    Attributes:
      name: an optimizer with Keras' defaults, instead of the compiled one.
      learning_rate: initial learning rate.
      momentum: of SGD and RMSprop.
      nesterov: of SGD with momentum.
      weight_decay: 0 for none.
      clip: how gradients are clipped.
    """

    name: Name | None = None
    learning_rate: float | None = None
    momentum: float | None = None
    nesterov: bool = False
    weight_decay: float | None = None
    clip: Clip | None = None

    def optimizer(self, compiled: Optimizer | None) -> Optimizer:
        """The optimizer that is asked for.

        Args:
          compiled: what `name` replaces and the rest changes; None for SGD.

        Raises:
          UsageError: something is asked that this optimizer does not have.
        """
        around = self._base(compiled)
        rule = around.rule
        if self.learning_rate is not None:
            rule = _replaced(rule, "--learning-rate", learning_rate=self.learning_rate)
        if self.momentum is not None:
            rule = _replaced(rule, "--momentum", momentum=self.momentum)
        if self.nesterov:
            rule = _replaced(rule, "--nesterov", nesterov=True)
            if isinstance(rule, Sgd) and not rule.momentum:
                raise UsageError("--nesterov: expected a --momentum greater than 0 with it")
        return adjusted(
            rule,
            self.clip or around.clip,
            around.weight_decay if self.weight_decay is None else self.weight_decay,
            around.undecayed,
        )

    def _base(self, compiled: Optimizer | None) -> Adjusted:
        if self.name == "adamw":
            return Adjusted(Adam(), weight_decay=ADAMW_WEIGHT_DECAY)
        if self.name is not None:
            return Adjusted({"sgd": Sgd, "adam": Adam, "rmsprop": RmsProp}[self.name]())
        base = compiled or Sgd()
        return base if isinstance(base, Adjusted) else Adjusted(base)


def choose(
    name: str | None,
    learning_rate: float | None,
    momentum: float | None,
    nesterov: bool,
    weight_decay: float | None,
    limits: Mapping[Kind, float | None],
) -> Choice:
    """Checks the options of the command line that can be checked without the model.

    Args:
      name: one of `NAMES`, or None.
      learning_rate: see `Choice`.
      momentum: see `Choice`.
      nesterov: see `Choice`.
      weight_decay: see `Choice`.
      limits: of each kind of clipping; at most one is given.

    Raises:
      UsageError: there is no such optimizer, a number is not finite, or more than one kind of
        clipping is asked for.

    Examples:
      >>> from tfplus_export.optimizers.choice import choose
      >>> choose("sgd", 0.1, 0.9, False, None, {}).optimizer(compiled=None)
      Sgd(learning_rate=0.1, momentum=0.9, nesterov=False)
    """
    if name not in (None, *NAMES):
        raise UsageError(f"--optimizer {name}: expected {', '.join(NAMES)}")
    numbers = {"--learning-rate": learning_rate, "--weight-decay": weight_decay}
    numbers |= {_CLIPPING[kind]: limit for kind, limit in limits.items()}
    for option, number in numbers.items():
        if number is not None and not math.isfinite(number):
            raise UsageError(f"{option} {number}: expected a finite number")
    clips = [Clip(kind, limit) for kind, limit in limits.items() if limit is not None]
    if len(clips) > 1:
        raise UsageError(
            f"at most one of {', '.join(_CLIPPING.values())}, as in Keras: got {len(clips)}"
        )
    if clips and clips[0].limit == 0:
        raise UsageError(f"{_CLIPPING[clips[0].kind]} 0: expected a number greater than 0")
    return Choice(
        name,
        learning_rate,
        momentum,
        nesterov,
        weight_decay,
        clips[0] if clips else None,
    )


def _replaced(rule: Optimizer, option: str, **changes: float) -> Optimizer:
    if isinstance(rule, (Sgd, Adam, RmsProp)):
        fields = {field.name for field in dataclasses.fields(rule)}
        if fields >= changes.keys():
            return dataclasses.replace(rule, **changes)
    raise UsageError(f"{option} does not apply to the optimizer {rule.describe()['name']}")
