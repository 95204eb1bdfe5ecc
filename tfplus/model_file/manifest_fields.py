"""The kinds of field that a manifest has, each checked as it is read."""

from __future__ import annotations

from typing import Any

import numpy as np

from tfplus.errors import ArtifactError
from tfplus.system.checked_json import Fields
from tfplus.wire.limits import Limits

DTYPES = frozenset({"bool", "float16", "float32", "float64", "int8", "int32", "int64", "uint8"})
# Of an input of a Keras model; a file takes it as float32 or int32.
DECLARED_DTYPES = ("float64", "int8", "int16", "int64", "uint8", "uint16", "uint32")


class ManifestFields(Fields):
    """An object of the manifest."""

    document = "tfplus.json"
    error = ArtifactError

    def single(self, name: str) -> float:
        """A number that float32 holds: samples are multiplied by it."""
        value = self.number(name)
        if abs(value) > float(np.finfo(np.float32).max):
            raise self.wrong(name, "a number that float32 holds", value)
        return value

    def settings(self) -> dict[str, Any]:
        """A name, a learning rate, and further numbers, texts, truths and lists of texts."""
        self.text("name")
        self.number("learning_rate")
        for name, value in self._raw.items():
            if isinstance(value, list):
                self.texts(name)
            elif isinstance(value, float):
                self.number(name)
            elif not isinstance(value, (bool, int, str)):
                raise self.wrong(name, "a number, a text, true, false or a list of texts", value)
        return self._raw

    def dtypes(self) -> dict[str, str]:
        """Name → dtype of what the Keras model declares."""
        return {n: self.choice(n, DECLARED_DTYPES) for n in self._raw}

    def shape(self, limits: Limits) -> tuple[int, ...]:
        """The field `shape`, of a rank below the limit."""
        shape = self.integers("shape", minimum=0)
        if len(shape) > limits.rank:
            raise self.wrong("shape", f"at most {limits.rank} dimensions", len(shape))
        return shape

    def dtype(self) -> str:
        """The field `dtype`."""
        return self.choice("dtype", DTYPES)
