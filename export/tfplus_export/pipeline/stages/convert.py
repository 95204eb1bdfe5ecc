"""Stage `convert`: the step as a flatbuffer in which every variable starts from a marker."""

from __future__ import annotations

from dataclasses import dataclass

import keras
import numpy as np

from tfplus_export.conversion import convert
from tfplus_export.train_step.signatures import ResourceVariableModule
from tfplus_export.train_step.training import Training


@dataclass(frozen=True)
class Converted:
    """A step as TFLite's converter leaves it.

    Attributes:
      step: what was converted.
      content: the flatbuffer, with markers for values.
      shapes: name of a variable → its shape, in the order of the markers.
      values: name of a variable → its initial value.
    """

    step: Training
    content: bytes
    shapes: dict[str, tuple[int, ...]]
    values: dict[str, np.ndarray]

    @property
    def variables_bytes(self) -> int:
        """Bytes of weights and optimizer state."""
        return sum(value.nbytes for value in self.values.values())


def converted(step: Training, model: keras.Model) -> Converted:
    """Converts a step.

    Args:
      step: the training step.
      model: whose weights are the initial values.

    Raises:
      ExportError: the converter needs an operator that is not builtin.
    """
    module = ResourceVariableModule(step)
    content = convert.to_flatbuffer(module)
    shapes = dict(zip(module.names, module.shapes, strict=True))
    return Converted(step, content, shapes, _initial_values(step, model))


def _initial_values(step: Training, model: keras.Model) -> dict[str, np.ndarray]:
    # Keras collects them anew each time.
    variables = model.variables
    weights = {w.name: np.array(variables[w.index].numpy(), np.float32) for w in step.weights}
    return weights | step.state()
