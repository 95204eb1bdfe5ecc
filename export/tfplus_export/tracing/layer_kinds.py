"""Of which class a layer is: for messages that name it, and advice that depends on it."""

from __future__ import annotations

import traceback
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import keras

from tfplus.errors import ExportError
from tfplus_export.system.user_code import first_line


@dataclass(frozen=True)
class LayerKinds:
    """The classes of a model's layers.

    Attributes:
      by_name: name of a layer → its class and the classes that this is derived from, by name.
    """

    by_name: Mapping[str, tuple[str, ...]]

    @classmethod
    def read(cls, layers: Iterable[Any]) -> LayerKinds:
        """The classes of these layers."""
        return cls({layer.name: _classes(layer) for layer in layers})

    def along(self, path: str) -> tuple[str, ...]:
        """Class and base classes of the layer with a path, then those of the layers around it."""
        names = reversed(path.split("/"))
        return tuple(kind for name in names for kind in self.by_name.get(name, ()))

    def shown(self, name: str) -> str:
        """A layer as a message names it: `layer 'flip' (RandomFlip)`."""
        kinds = self.by_name.get(name)
        return f"layer '{name}'" + (f" ({kinds[0]})" if kinds else "")


def untraceable(error: Exception) -> ExportError:
    """What to say of a model whose call raised an exception: the layer that did, and which."""
    return ExportError(
        f"{_raised_in(error)}TensorFlow cannot trace the model: {type(error).__name__}: "
        f"{first_line(error)}"
    )


def _raised_in(error: Exception) -> str:
    found = ""
    for frame, _ in traceback.walk_tb(error.__traceback__):
        for name in ("self", "layer"):
            layer: Any = frame.f_locals.get(name)
            if isinstance(layer, keras.Layer) and not isinstance(layer, keras.Model):
                found = f"layer '{layer.name}' ({type(layer).__name__}): "
    return found


def _classes(layer: Any) -> tuple[str, ...]:
    classes = type(layer).__mro__
    return tuple(c.__name__ for c in classes[: classes.index(keras.Layer)])
