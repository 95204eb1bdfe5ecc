"""A recomposed model as files."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfplus.system import temporary
from tfplus.system.files import write_atomic
from tfplus.tensors.slices import Tensors
from tfplus_export.tracing.naming import variable_names


def put(model: keras.Model, weights: Tensors) -> None:
    """Puts recomposed weights into the plan's model; each slice of it is one of them."""
    names = variable_names(model)
    for variable in model.variables:
        value = weights.get(names[id(variable)])
        if value is not None:
            variable.assign(np.asarray(value))


def save(model: keras.Model, path: Path) -> None:
    """Writes a `.keras` file that is there whole or not at all."""
    untyped: Any = model
    with temporary.folder("keras") as folder:
        aside = folder / path.name
        untyped.save(aside)
        write_atomic(path, aside.read_bytes())
