"""Fused layers of a tile: forward, and backward from a part of the output's gradient.

Every layer runs without padding on what its tile has, and what lies beyond the image's border is
masked before each layer that would have read padding there. Masks are inputs, so that one graph
computes every tile of a shape, in a corner as inside.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import keras
import numpy as np

from tfplus.tiles.grid import GroupTile
from tfplus.tiles.masks import BEYOND, masked
from tfplus_export.lowering.engine.replay import Tape, replay
from tfplus_export.lowering.table import RULES
from tfplus_export.tf_types import Tensor
from tfplus_export.tiles.normalization import Normalization
from tfplus_export.tiles.normalization import of as of_layer
from tfplus_export.tracing.graph import ASSIGNMENTS, Graph, trace
from tfplus_export.train_step.variables import Constant, Weight, divided

# Mean and variance, each [channels].
Statistics: TypeAlias = tuple[Tensor, Tensor]
# Index of a segment, and the name of a tensor in its traced pass.
Made: TypeAlias = tuple[int, str]


@dataclass(frozen=True)
class Segment:
    """Layers between two masks.

    Attributes:
      mask: of what it reads, as `masks.masked` numbers them; None where it reads no padding.
      lowest: whether beyond the border stands what no maximum takes, instead of zero.
      graph: its traced pass.
      weights: what is trained.
      constants: what is not.
    """

    mask: int | None
    lowest: bool
    graph: Graph
    weights: tuple[Weight, ...]
    constants: tuple[Constant, ...]

    def run(self, x: Tensor, masks: Mapping[int, Tensor], values: Mapping[str, Tensor]) -> Tape:
        """Runs it; `output` is what it made."""
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
        """Gradients of what it read, if asked for, and of its weights."""
        (taken,) = self.graph.inputs.values()
        names = {w.index: w.name for w in self.weights if w.trainable}
        by_index, by_input = tape.gradients_and_inputs(
            {self.output: dy}, set(names), (taken.name,) if to_input else ()
        )
        dx = by_input.get(taken.name)
        if dx is not None and self.mask is not None:
            dx = dx * masks[self.mask]
        return dx, {names[i]: g for i, g in by_index.items()}


@dataclass(frozen=True)
class FusedTile:
    """A tile of a group of layers.

    Attributes:
      segments: in order.
      batch: samples of a step.
      tile: its geometry.
      channels: of the map that it reads, and of the one that it makes.
      normalization: what stands in front of the segments; None for nothing.
    """

    segments: tuple[Segment, ...]
    batch: int
    tile: GroupTile
    channels: tuple[int, int]
    normalization: Normalization | None = None

    @property
    def weights(self) -> tuple[Weight, ...]:
        """What its layers train, and moving averages."""
        first = () if self.normalization is None else self.normalization.weights
        return (*first, *(w for segment in self.segments for w in segment.weights))

    def forward(
        self,
        x: Tensor,
        masks: Mapping[int, Tensor],
        values: Mapping[str, Tensor],
        moments: Statistics | None = None,
    ) -> Tensor:
        """The core of the group's output, [batch, rows, columns, channels]."""
        return self._run(self._normalized(x, values, moments), masks, values)[1]

    def made(
        self,
        x: Tensor,
        masks: Mapping[int, Tensor],
        values: Mapping[str, Tensor],
        moments: Statistics | None = None,
    ) -> tuple[Tensor, dict[Made, Tensor]]:
        """The core of the group's output, and all that its layers make on the way to it."""
        tapes, y = self._run(self._normalized(x, values, moments), masks, values)
        pairs = enumerate(zip(self.segments, tapes, strict=True))
        return y, {
            (i, name): value
            for i, (segment, tape) in pairs
            for name, value in tape.made_of(segment.graph_inputs).items()
        }

    def backward(
        self,
        x: Tensor,
        masks: Mapping[int, Tensor],
        dy: Tensor,
        values: Mapping[str, Tensor],
        moments: Statistics | None = None,
        kept: Mapping[Made, Tensor] | None = None,
        *,
        to_input: bool,
    ) -> tuple[Tensor | None, dict[str, Tensor], Statistics | None]:
        """Gradients with respect to x, if asked for, to each weight, and to moments.

        All but the first are sums over the tile. The pass is computed once more from x, so that
        nothing but x is kept between the two; unless what `made` returned is handed in as `kept`.
        """
        tapes, _ = self._run(self._normalized(x, values, moments), masks, values, kept or {})
        found: dict[str, Tensor] = {}
        gradient: Tensor | None = dy
        for i, (segment, tape) in reversed(list(enumerate(zip(self.segments, tapes, strict=True)))):
            if gradient is None:
                break
            gradient, parts = segment.back(tape, gradient, masks, to_input=to_input or i > 0)
            found |= parts
        if self.normalization is None or moments is None or gradient is None:
            return (gradient if to_input else None), found, None
        dx, *slopes, parts = self.normalization.backward(x, *moments, gradient, values)
        return dx, found | parts, (slopes[0], slopes[1])

    def _normalized(
        self, x: Tensor, values: Mapping[str, Tensor], moments: Statistics | None
    ) -> Tensor:
        if self.normalization is None or moments is None:
            return x
        return self.normalization.forward(x, *moments, values)

    def _run(
        self,
        x: Tensor,
        masks: Mapping[int, Tensor],
        values: Mapping[str, Tensor],
        kept: Mapping[Made, Tensor] = MappingProxyType({}),
    ) -> tuple[list[Tape], Tensor]:
        tapes: list[Tape] = []
        for number, segment in enumerate(self.segments):
            # What is known already stands in for what is computed, which the converter drops.
            known = {name: value for (i, name), value in kept.items() if i == number}
            tapes.append(segment.run(x, masks, values).with_values(known))
            x = tapes[-1].values[segment.output]
        return tapes, x


def build(layers: Sequence[Any], tile: GroupTile, batch: int) -> FusedTile:
    """Traces the layers of a tile.

    Args:
      layers: the model's own, one for each of the tile's.
      tile: its geometry.
      batch: samples of a step.

    Raises:
      ExportError: an operation has no rule.
    """
    masks, front = masked(tile), int(tile.normalizes)
    starts = sorted({front, *masks} - {len(layers)})
    first, last = tile.layers[0], tile.layers[-1]
    segments: list[Segment] = []
    for start, stop in itertools.pairwise([*starts, len(layers)]):
        rows, columns = tile.regions[start].shape
        x = inputs = keras.Input((rows, columns, tile.layers[start].channels_in))
        copies = [(layer, _unpadded(layer)) for layer in layers[start:stop]]
        for _, copy in copies:
            x = copy(x)
        for layer, copy in copies:
            copy.set_weights(layer.get_weights())
        model = keras.Model(inputs, x)
        graph = trace(model, batch, training=True)
        written = {graph.variable_of(op) for op in graph.operations if op.type in ASSIGNMENTS}
        weights, constants = divided(model, set(graph.variables.values()), written)
        lowest = tile.layers[start].kind == "maximum"
        mask = start if start in masks else None
        segments.append(Segment(mask, lowest, graph, weights, constants))
    normalization = of_layer(layers[0]) if front else None
    channels = first.channels_in, last.channels_out
    return FusedTile(tuple(segments), batch, tile, channels, normalization)


def _unpadded(layer: Any) -> Any:
    config = layer.get_config()
    if "padding" in config:
        config["padding"] = "valid"
    return type(layer).from_config(config)
