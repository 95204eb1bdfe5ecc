"""Train Keras models on phones and Raspberry Pis, and let them learn from each other.

From Python: `tfplus.export` makes a file that trains of a Keras model, `tfplus.load` opens one and
trains it with Keras' words, `tfplus.Agent` talks to a device. Nothing of them is imported before it
is used; docs/python.md has examples.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tfplus.api.agent import Agent
    from tfplus.api.callbacks import Callback, EarlyStopping
    from tfplus.api.exporting import ExportReport, export
    from tfplus.api.history import History
    from tfplus.api.loading import load
    from tfplus.api.model import Model
    from tfplus.errors import TfplusError

__version__ = "0.1.0"
__all__ = [
    "Agent",
    "Callback",
    "EarlyStopping",
    "ExportReport",
    "History",
    "Model",
    "TfplusError",
    "__version__",
    "export",
    "load",
]

_HOMES = {
    "Agent": "tfplus.api.agent",
    "Callback": "tfplus.api.callbacks",
    "EarlyStopping": "tfplus.api.callbacks",
    "ExportReport": "tfplus.api.exporting",
    "History": "tfplus.api.history",
    "Model": "tfplus.api.model",
    "TfplusError": "tfplus.errors",
    "export": "tfplus.api.exporting",
    "load": "tfplus.api.loading",
}


def __getattr__(name: str) -> Any:
    home = _HOMES.get(name)
    if home is None:
        raise AttributeError(f"module 'tfplus' has no attribute '{name}'")
    value = getattr(importlib.import_module(home), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
