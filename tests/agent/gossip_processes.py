"""Samples for real agents in processes of their own, on a ring."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

NAMES = ("a", "b", "c", "d")


def write_data(directory: Path) -> dict[str, Path]:
    """Each device has samples of its own, and more or fewer of them."""
    patterns = np.random.default_rng(0).integers(0, 17, (10, 8, 8, 1))
    paths: dict[str, Path] = {}
    for i, name in enumerate(NAMES):
        rng = np.random.default_rng(10 + i)
        y = rng.integers(0, 10, 48 + 16 * i)
        x = np.clip(patterns[y] + rng.integers(-2, 3, (len(y), 8, 8, 1)), 0, 16).astype(np.uint8)
        paths[name] = directory / f"{name}.npz"
        np.savez(paths[name], x=x, y=y)
    return paths


def addresses(agents: dict[str, Any]) -> list[str]:
    return [agent.ready["address"] for agent in agents.values()]
