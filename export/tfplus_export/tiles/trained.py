"""What a training with tiles starts from: model, loss, optimizer, samples."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from tfplus.data.scaling import Scaling
from tfplus.errors import UsageError
from tfplus.fleet.tiles.training import Samples
from tfplus.tiles.grid import Tiling
from tfplus.tiles.step.files import TileFiles
from tfplus_export.decoupling import samples as labelled
from tfplus_export.losses import compiled
from tfplus_export.losses.compiled import OutputLoss
from tfplus_export.optimizers import Adam, Optimizer, Sgd
from tfplus_export.sources.source import Source
from tfplus_export.tiles import chain as chains
from tfplus_export.tiles import export
from tfplus_export.tiles.chain import TiledModel
from tfplus_export.tracing import model_io
from tfplus_export.tracing.naming import variable_names

_TARGET = "y"


@dataclass(frozen=True)
class TiledTraining:
    """A model that is to be trained with tiles.

    Attributes:
      source: where it comes from.
      tiled: the model and its tiled layers.
      optimizer: applied on every device.
      losses: name of the output → its loss.
    """

    source: Source
    tiled: TiledModel
    optimizer: Optimizer
    losses: dict[str, OutputLoss]

    @property
    def slots(self) -> int:
        """Numbers that the optimizer keeps for each weight."""
        probe = self.optimizer.state({"shared/a/w": (2,)})
        return sum(value.shape == (2,) for value in probe.values())

    @property
    def weight_names(self) -> list[str]:
        """Slice names of the model's weights, moving averages among them."""
        names = variable_names(self.tiled.model)
        return [names[id(v)] for v in self.tiled.model.variables]

    def files(self, tiling: Tiling, batch: int, progress: Callable[[str], None]) -> TileFiles:
        """Exports the tiles of a plan.

        Raises:
          ExportError: an operation has no rule.
        """
        return export.export(self.tiled, tiling, self.optimizer, self.losses, batch, progress)


def prepare(
    source: Source, name: str, layers: int | None, optimizer: Optimizer | None
) -> TiledTraining:
    """Finds what can be tiled, and the loss.

    Args:
      source: the model.
      name: what the user calls it.
      layers: tiled ones; None for as many as can be.
      optimizer: None for plain SGD.

    Raises:
      UsageError: nothing can be tiled, or the loss does not take labels.
    """
    tiled = chains.read(source.model, name, layers)
    given = source.losses or compiled.named(compiled.DEFAULT, list(model_io.outputs(source.model)))
    losses = dict(given)
    (loss,) = losses.values()
    if loss.loss.targets != "label":
        raise UsageError(
            f"{name}: its loss takes {loss.loss.targets}s: tiles train with labels, as the loss "
            "sparse_categorical_crossentropy takes them"
        )
    return TiledTraining(source, tiled, optimizer or Sgd(), losses)


def with_slots(slots: int) -> Optimizer:
    """An optimizer that keeps so many numbers for each weight, 0 to 2, to measure with."""
    return (Sgd(), Sgd(momentum=0.9), Adam())[slots]


def samples(training: TiledTraining, path: Path, scaling: Scaling | None) -> Samples:
    """Reads samples and checks them against the model.

    Raises:
      DataError: an array is missing or of another form, or a label is unknown.
    """
    source: Any = training.source
    outputs = int(training.tiled.model.outputs[0].shape[-1])
    labels = source.classes or tuple(range(outputs))
    shape = training.tiled.model.inputs[0].shape
    read = labelled.load(path, shape, labels, source.preprocessing, scaling, every_class=False)

    def take(rows: np.ndarray) -> np.ndarray:
        return read.preprocessing.apply(read.x[rows], "float32")

    return Samples(take, read.places.astype(np.int32), _TARGET)
