"""What becomes of the learning rate in a training: a function of the step alone.

A rate is a variable of the model, and to change it copies the model's state once. So it is a
staircase: at most `STAIRS` changes an epoch, those of `step` and `exponential` at its beginning.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from tfplus.errors import UsageError

STAIRS = 20
FORMS = (
    "constant, linear:to=0.1, cosine:to=0.01, exponential:factor=0.95, step:every=10,factor=0.5, "
    "each with warmup=STEPS if wanted"
)
_MAX_COUNT = 2**53


@dataclass(frozen=True)
class Schedule:
    """A schedule, as `parse` reads it.

    Attributes:
      name: one of those in `FORMS`.
      to: share of the base rate that linear and cosine end at.
      factor: by which exponential and step multiply.
      every: epochs from one multiplication of step to the next.
      warmup: steps in which the rate rises to the base rate first.
    """

    name: str = "constant"
    to: float = 0.0
    factor: float = 1.0
    every: int = 1
    warmup: int = 0


@dataclass(frozen=True)
class Rates:
    """The learning rates of one training.

    Attributes:
      schedule: what becomes of them.
      base: the learning rate that the schedule multiplies.
    """

    schedule: Schedule
    base: float

    def at(self, step: int, steps_per_epoch: int, steps_total: int) -> float:
        """The rate of a step, counted from 0, as float32."""
        epoch, place = divmod(step, steps_per_epoch)
        begin = epoch * steps_per_epoch + place - place % stair(steps_per_epoch)
        s = self.schedule
        if begin < s.warmup:
            return float(np.float32(self.base * (begin + 1) / s.warmup))
        done = (begin - s.warmup) / max(1, steps_total - s.warmup)
        return float(np.float32(self.base * _SHARES[s.name](s, done, epoch)))

    def of_epoch(self, epoch: int, steps_per_epoch: int, steps_total: int) -> tuple[float, ...]:
        """The rate of each stair of an epoch, counted from 0."""
        first = epoch * steps_per_epoch
        steps = range(first, first + steps_per_epoch, stair(steps_per_epoch))
        return tuple(self.at(step, steps_per_epoch, steps_total) for step in steps)


def stair(steps_per_epoch: int) -> int:
    """Steps from one change of the rate to the next; counted anew in each epoch."""
    return max(1, -(-steps_per_epoch // STAIRS))


def parse(text: str) -> Schedule:
    """Reads a schedule, such as `cosine:to=0.01,warmup=100`; empty is constant.

    Raises:
      UsageError: it is none.
    """
    name, _, rest = text.strip().partition(":")
    name = name or "constant"
    if name not in _KEYS:
        raise UsageError(f"schedule '{text[:80]}': expected one of {FORMS}")
    given: dict[str, str] = {}
    for part in filter(None, rest.split(",")):
        key, equals, value = part.partition("=")
        if not equals or key not in (*_KEYS[name], "warmup") or key in given:
            known = ", ".join((*_KEYS[name], "warmup"))
            raise UsageError(f"schedule '{text[:80]}': '{part[:40]}': expected {known}, each once")
        given[key] = value
    missing = [key for key in _KEYS[name] if key not in given and key in ("factor", "every")]
    if missing:
        raise UsageError(f"schedule '{text[:80]}': {missing[0]} is missing: {FORMS}")
    return Schedule(
        name,
        to=_number(text, given, "to", 0.0, 1.0),
        factor=_number(text, given, "factor", 1.0, 1.0),
        every=int(_number(text, given, "every", 1, _MAX_COUNT, whole=True)),
        warmup=int(_number(text, given, "warmup", 0, _MAX_COUNT, whole=True)),
    )


def _number(
    text: str,
    given: Mapping[str, str],
    key: str,
    default: float,
    most: float,
    *,
    whole: bool = False,
) -> float:
    if key not in given:
        return default
    least = 1 if key == "every" else 0
    try:
        value = int(given[key]) if whole else float(given[key])
    except ValueError:
        value = math.nan
    if not least <= value <= most:
        kind = "a whole number" if whole else "a number"
        raise UsageError(
            f"schedule '{text[:80]}': {key}: expected {kind} from {least} to {most:g}, got "
            f"'{given[key][:40]}'"
        )
    return value


def _linear(s: Schedule, done: float, _: int) -> float:
    return 1 + (s.to - 1) * done


def _cosine(s: Schedule, done: float, _: int) -> float:
    return s.to + (1 - s.to) * (1 + math.cos(math.pi * done)) / 2


# What a schedule multiplies the base rate by, after the share `done` of its steps, in an epoch.
_SHARES: Mapping[str, Callable[[Schedule, float, int], float]] = MappingProxyType(
    {
        "constant": lambda s, done, epoch: 1.0,
        "linear": _linear,
        "cosine": _cosine,
        "exponential": lambda s, done, epoch: s.factor**epoch,
        "step": lambda s, done, epoch: s.factor ** (epoch // s.every),
    }
)
_KEYS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        "constant": (),
        "linear": ("to",),
        "cosine": ("to",),
        "exponential": ("factor",),
        "step": ("every", "factor"),
    }
)
