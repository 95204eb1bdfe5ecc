"""Stage `fill`: initial values take the place of their markers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from tfplus.model_file.storage import Storage
from tfplus_export.conversion import flatbuffer, quantized_storage
from tfplus_export.conversion.quantized_storage import Place
from tfplus_export.pipeline.stages.convert import Converted
from tfplus_export.pipeline.stages.schedule import Scheduled
from tfplus_export.train_step.training import Training


@dataclass(frozen=True)
class TrainGraph:
    """A model's training step as a flatbuffer, that nobody has compared with TensorFlow yet.

    Attributes:
      step: what was converted.
      content: the flatbuffer, with initial values in it.
      places: name of a variable → where its initial value lies, and in which form.
      values: name of a variable → its initial value, as the file stores it.
      microbatches: name of the sizes in which the batch is taken.
    """

    step: Training
    content: bytes
    places: dict[str, Place]
    values: dict[str, np.ndarray]
    microbatches: str

    @property
    def variables_bytes(self) -> int:
        """Bytes of weights and optimizer state."""
        return sum(value.nbytes for value in self.values.values())


def filled(converted: Converted, scheduled: Scheduled, weights: Storage) -> TrainGraph:
    """Writes initial values into a flatbuffer.

    Args:
      converted: the step and its values.
      scheduled: the flatbuffer.
      weights: how initial weights are stored.
    """
    step, names = converted.step, list(converted.shapes)
    content, values = scheduled.content, converted.values
    if weights != "float32":
        forms = quantized_storage.choose(values, {w.name for w in step.weights}, weights)
        content, places, values = quantized_storage.shrink(content, names, values, forms)
        return TrainGraph(step, content, places, values, scheduled.microbatches)
    offsets = flatbuffer.variable_offsets(content, list(converted.shapes.values()))
    places = {n: Place(offset) for n, offset in zip(names, offsets, strict=True)}
    return TrainGraph(step, _fill(content, places, values), places, values, scheduled.microbatches)


def _fill(content: bytes, places: Mapping[str, Place], values: Mapping[str, np.ndarray]) -> bytes:
    filled = bytearray(content)
    for name, value in values.items():
        raw = np.ascontiguousarray(value, "<f4").tobytes()
        filled[places[name].offset : places[name].offset + len(raw)] = raw
    return bytes(filled)
