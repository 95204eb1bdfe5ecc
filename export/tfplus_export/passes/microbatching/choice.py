"""How large microbatches are, by name: what fits a cache differs from device to device."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from types import MappingProxyType

from tfplus.errors import UsageError
from tfplus_export.passes.microbatching.sizes import Sizes

WHOLE = "whole"
EVERY_LAYER = "every layer"
# The first is the default.
NAMED: MappingProxyType[str, Sizes] = MappingProxyType(
    {
        "parts of 4 MiB": Sizes(),
        "parts of 1 MiB": Sizes(1 << 20, 64 << 10),
        "parts of 16 MiB": Sizes(16 << 20, 1 << 20),
        WHOLE: Sizes(most_bytes=sys.maxsize),
    }
)
_WORKLOAD = "Batch of "


def workload(model: str, batch: int) -> str:
    """What is chosen for, as lowerings and tuning files name it.

    Args:
      model: its name.
      batch: samples in a step.
    """
    return f"{_WORKLOAD}{batch}, {model}"


def chosen(lowerings: Mapping[str, str], model: str, batch: int) -> str:
    """The name that is asked for, or the default.

    Args:
      lowerings: workload → name.
      model: see `workload`.
      batch: see `workload`.

    Raises:
      UsageError: there is no such name.
    """
    asked = workload(model, batch)
    name = lowerings.get(asked, next(iter(NAMED)))
    if name not in NAMED:
        raise UsageError(f"'{asked}' has no lowering '{name}', expected one of {', '.join(NAMED)}")
    return name


def of_operations(lowerings: Mapping[str, str]) -> dict[str, str]:
    """Those of operations alone."""
    return {p: name for p, name in lowerings.items() if not p.startswith(_WORKLOAD)}
