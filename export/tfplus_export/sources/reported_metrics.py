"""Which compiled metrics a step does not report: it has a loss and an accuracy or mean error."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, cast

import keras

# What the step's own `accuracy` and `mae` are called in Keras.
_REPORTED = frozenset(
    {
        "acc",
        "accuracy",
        "binary_accuracy",
        "categorical_accuracy",
        "sparse_categorical_accuracy",
        "mae",
        "mean_absolute_error",
    }
)


def unreported(model: keras.Model) -> tuple[str, ...]:
    """Names of the metrics that a model was compiled with and that the step has no counterpart of.

    Args:
      model: compiled or not.
    """
    untyped: Any = model
    config: Any = untyped.get_compile_config() if getattr(untyped, "compiled", False) else None
    if not config:
        return ()
    found = dict.fromkeys(_names([config.get("metrics"), config.get("weighted_metrics")]))
    return tuple(name for name in found if _snake(name) not in _REPORTED)


def _names(given: Any) -> Iterator[str]:
    if isinstance(given, str):
        yield given
    elif isinstance(given, dict):
        parts = cast("dict[str, Any]", given)
        if "class_name" in parts:
            yield str((parts.get("config") or {}).get("name") or parts["class_name"])
        else:
            yield from _names(list(parts.values()))
    elif isinstance(given, (list, tuple)):
        for part in cast("list[Any]", given):
            yield from _names(part)


def _snake(name: str) -> str:
    spaced = "".join(f"_{c.lower()}" if c.isupper() else c for c in name)
    return spaced.removeprefix("_")
