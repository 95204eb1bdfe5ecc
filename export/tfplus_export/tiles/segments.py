"""Pieces of a tile's fused layers: a part of a map that is read, layers between masks, a sum."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import tensorflow as tf

from tfplus.tiles.geometry import Rectangle
from tfplus.tiles.masks import BEYOND
from tfplus_export.lowering.engine.replay import Tape, replay
from tfplus_export.lowering.table import RULES
from tfplus_export.tf_types import Tensor
from tfplus_export.tracing.graph import Graph
from tfplus_export.train_step.variables import Constant, Weight


@dataclass(frozen=True)
class Part:
    """What a piece reads of a map.

    Attributes:
      map: as the group's tile numbers it.
      need: the rectangle.
      have: what there is of the map.
    """

    map: int
    need: Rectangle
    have: Rectangle

    def of(self, maps: Mapping[int, Tensor]) -> Tensor:
        """Cuts it out."""
        x = maps[self.map]
        if self.need == self.have:
            return x
        batch, _, _, channels = (int(d) for d in x.shape)
        begin = [0, *self._before, 0]
        return tf.slice(x, begin, [batch, *self.need.shape, channels])

    def back(self, gradient: Tensor) -> Tensor:
        """The gradient of the map, which is zero around the part."""
        if self.need == self.have:
            return gradient
        pairs = zip(self._before, self.need.shape, self.have.shape, strict=True)
        around = [[before, have - need - before] for before, need, have in pairs]
        return tf.pad(gradient, [[0, 0], *around, [0, 0]])

    @property
    def _before(self) -> tuple[int, int]:
        rows, columns = self.need.rows.start, self.need.columns.start
        return rows - self.have.rows.start, columns - self.have.columns.start


@dataclass(frozen=True)
class Addition:
    """A sum of maps.

    Attributes:
      parts: what is added up.
      makes: the map, as the group's tile numbers it.
    """

    parts: tuple[Part, ...]
    makes: int


@dataclass(frozen=True)
class Segment:
    """Layers that follow each other, between two masks or branches.

    Attributes:
      part: what the first of them reads.
      makes: the map behind the last of them.
      mask: of what it reads, as `masks.masked` numbers them; None where it reads no padding.
      lowest: whether beyond the border stands what no maximum takes, instead of zero.
      graph: its traced pass.
      weights: what is trained.
      constants: what is not.
    """

    part: Part
    makes: int
    mask: int | None
    lowest: bool
    graph: Graph
    weights: tuple[Weight, ...]
    constants: tuple[Constant, ...]

    def run(
        self,
        maps: Mapping[int, Tensor],
        masks: Mapping[int, Tensor],
        values: Mapping[str, Tensor],
    ) -> Tape:
        """Runs it; `output` is what it made."""
        x = self.part.of(maps)
        if self.mask is not None:
            mask = masks[self.mask]
            x = x * mask + (mask - 1.0) * BEYOND if self.lowest else x * mask
        (name,) = self.graph.inputs
        known = {w.index: values[w.name] for w in self.weights}
        known |= {c.index: np.asarray(c.value, np.float32) for c in self.constants}
        return replay(self.graph, RULES, {name: x}, known)

    @property
    def graph_inputs(self) -> tuple[str, ...]:
        """Names of what it reads, in the traced pass."""
        return tuple(str(tensor.name) for tensor in self.graph.inputs.values())

    @property
    def output(self) -> str:
        """Name of what it makes, in the traced pass."""
        (tensor,) = self.graph.outputs.values()
        return str(tensor.name)

    def back(
        self, tape: Tape, dy: Tensor, masks: Mapping[int, Tensor], *, to_input: bool
    ) -> tuple[Tensor | None, dict[str, Tensor]]:
        """Gradients of the map that it read of, if asked for, and of its weights."""
        (taken,) = self.graph.inputs.values()
        names = {w.index: w.name for w in self.weights if w.trainable}
        by_index, by_input = tape.gradients_and_inputs(
            {self.output: dy}, set(names), (taken.name,) if to_input else ()
        )
        dx = by_input.get(taken.name)
        if dx is not None:
            dx = self.part.back(dx if self.mask is None else dx * masks[self.mask])
        return dx, {names[i]: g for i, g in by_index.items()}
