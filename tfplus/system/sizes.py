"""Sizes as people write them."""

from __future__ import annotations

import math
import re

from tfplus.errors import UsageError

_UNITS = {"B": 1, "KB": 10**3, "MB": 10**6, "GB": 10**9, "KIB": 2**10, "MIB": 2**20, "GIB": 2**30}


def parse(option: str, text: str) -> int:
    """Reads a size such as `512MB` or `1.5GiB`, in bytes.

    Raises:
      UsageError: it is none.
    """
    match = re.fullmatch(r"(\d+(?:\.\d+)?)\s*([A-Za-z]+)", text.strip())
    unit = _UNITS.get(match[2].upper()) if match else None
    size = math.floor(float(match[1]) * unit) if match and unit else 0
    if not size:
        raise UsageError(f"{option} '{text}': expected a size such as 512MB, 300MiB or 1.5GB")
    return size
