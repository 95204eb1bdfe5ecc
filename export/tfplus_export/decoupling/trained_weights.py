"""A model's weights from a file of slices, such as a checkpoint that an agent gave."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np

from tfplus.decoupling import slice_file
from tfplus.tensors.slices import check_against
from tfplus_export.tracing.naming import variable_names


def put(model: keras.Model, path: Path) -> None:
    """Puts trained weights into a model.

    Args:
      model: its weights change.
      path: safetensors with every weight by slice name; an optimizer's state is passed over.

    Raises:
      DataError: the file cannot be read.
      TensorError: it has not the weights of the model.
    """
    names = variable_names(model)
    variables = {names[id(v)]: v for v in model.variables if "float" in str(v.dtype)}
    expected = {n: (tuple(v.shape), str(v.dtype)) for n, v in variables.items()}
    found = slice_file.read(path)
    check_against({n: t for n, t in found.items() if not n.startswith("optimizer/")}, expected)
    for name, variable in variables.items():
        variable.assign(np.asarray(found[name]))
