"""Calls to an agent in its own process."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

Start = Callable[..., Any]


TIMEOUT_S = 60


KERNEL = "task/3/logit/kernel"
