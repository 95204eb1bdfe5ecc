"""Versions of the runtimes that fail on exported files: the one table, read without importing them.

`scripts/test-runtimes` trains a fixed set of files under every version, and docs/runtimes.md has
what it found. A version may be installed in spite of the floor in pyproject.toml, so whoever is
about to load a runtime asks here first.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

Release = tuple[int, ...]
# The floor of ai-edge-litert in pyproject.toml.
FLOOR = "2.1"
_LITERT = "ai-edge-litert"


@dataclass(frozen=True)
class Fault:
    """What is the matter with some versions of a runtime.

    Attributes:
      distribution: the runtime.
      first: the first release that has it.
      below: the first release that has it no more.
      happens: what a user would see.
      only_xnnpack: whether the version trains rightly without XNNPACK.
    """

    distribution: str
    first: Release
    below: Release
    happens: str
    only_xnnpack: bool = False

    def message(self, version: str) -> str:
        """What is the matter, and what to do.

        Args:
          version: that is installed.
        """
        return (
            f"{self.distribution} {version} {self.happens}: "
            f"pip install '{self.distribution}>={FLOOR}'"
        )


_CRASHES = "can end the process while it trains networks with convolutions"
FAULTS = (
    Fault(_LITERT, (0,), (1, 1), "does not load under numpy 2"),
    Fault(_LITERT, (1, 1), (2, 0, 2), _CRASHES),
    Fault(_LITERT, (2, 0, 2), (2, 0, 3), "ends the process (SIGSEGV) while it trains"),
    Fault(_LITERT, (2, 0, 3), (2, 1), f"{_CRASHES}, under XNNPACK", only_xnnpack=True),
)


def release(version: str) -> Release:
    """The numbers that a version begins with: `2.1.0rc1` → (2, 1, 0); () where there are none."""
    found = re.match(r"\d{1,9}(\.\d{1,9})*", version)
    return tuple(int(part) for part in found[0].split(".")) if found else ()


def fault(distribution: str, version: str) -> Fault | None:
    """What is the matter with a version; None where nothing is known.

    Args:
      distribution: such as `ai-edge-litert`.
      version: as the installed package says it.
    """
    number = release(version)
    for known in FAULTS:
        if known.distribution == distribution and number and known.first <= number < known.below:
            return known
    return None
