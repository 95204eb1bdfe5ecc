"""Fused layers of a tile: forward, and backward from a part of the output's gradient.

Every layer runs without padding on what its tile has, and what lies beyond the image's border is
masked before each layer that would have read padding there. Masks are inputs, so that one graph
computes every tile of a shape, in a corner as inside. Where layers branch each reads its part of
the map that was made for all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, TypeAlias

import keras

from tfplus.tiles.group import GroupTile
from tfplus.tiles.masks import masked
from tfplus_export.lowering.engine.replay import Tape
from tfplus_export.tf_types import Tensor
from tfplus_export.tiles.normalization import Normalization
from tfplus_export.tiles.normalization import of as of_layer
from tfplus_export.tiles.segments import Addition, Part, Segment
from tfplus_export.tracing.graph import ASSIGNMENTS, trace
from tfplus_export.train_step.variables import Weight, divided

# Mean and variance, each [channels].
Statistics: TypeAlias = tuple[Tensor, Tensor]
# Index of a segment, and the name of a tensor in its traced pass.
Made: TypeAlias = tuple[int, str]


@dataclass(frozen=True)
class FusedTile:
    """A tile of a group of layers.

    Attributes:
      segments: pieces, in order.
      batch: samples of a step.
      tile: its geometry.
      normalization: what stands in front of the segments; None for nothing.
    """

    segments: tuple[Segment | Addition, ...]
    batch: int
    tile: GroupTile
    normalization: Normalization | None = None

    @property
    def weights(self) -> tuple[Weight, ...]:
        """What its layers train, and moving averages."""
        first = () if self.normalization is None else self.normalization.weights
        traced = [segment for segment in self.segments if isinstance(segment, Segment)]
        return (*first, *(w for segment in traced for w in segment.weights))

    def forward(
        self,
        xs: Sequence[Tensor],
        masks: Mapping[int, Tensor],
        values: Mapping[str, Tensor],
        moments: Statistics | None = None,
    ) -> Tensor:
        """The core of the group's output, [batch, rows, columns, channels], of all inputs."""
        return self.made(xs, masks, values, moments)[0]

    def made(
        self,
        xs: Sequence[Tensor],
        masks: Mapping[int, Tensor],
        values: Mapping[str, Tensor],
        moments: Statistics | None = None,
    ) -> tuple[Tensor, dict[Made, Tensor]]:
        """The core of the group's output, and all that its layers make on the way to it."""
        tapes, y = self._run(self._maps(xs, values, moments), masks, values)
        return y, {
            (i, name): value
            for i, tape in tapes.items()
            for name, value in tape.made_of(self._segment(i).graph_inputs).items()
        }

    def backward(
        self,
        xs: Sequence[Tensor],
        masks: Mapping[int, Tensor],
        dy: Tensor,
        values: Mapping[str, Tensor],
        moments: Statistics | None = None,
        kept: Mapping[Made, Tensor] | None = None,
        *,
        to_input: bool,
    ) -> tuple[list[Tensor] | None, dict[str, Tensor], Statistics | None]:
        """Gradients with respect to all inputs, if asked for, to each weight, and to moments.

        All but the first are sums over the tile. The pass is computed once more from its inputs, so
        that nothing but them is kept between the two; unless what `made` returned is handed in as
        `kept`.
        """
        tapes, _ = self._run(self._maps(xs, values, moments), masks, values, kept or {})
        found: dict[str, Tensor] = {}
        # By map; that of one which several pieces read is the sum of what each gives back.
        deltas: dict[int, Tensor] = {len(self.tile.layers): dy}

        def add(map_: int, gradient: Tensor) -> None:
            deltas[map_] = deltas[map_] + gradient if map_ in deltas else gradient

        for i, piece in reversed(list(enumerate(self.segments))):
            gradient = deltas.pop(piece.makes)
            if isinstance(piece, Addition):
                for part in piece.parts:
                    if part.map > 0 or to_input:
                        add(part.map, part.back(gradient))
                continue
            wanted = to_input or piece.part.map > 0
            dx, parts = piece.back(tapes[i], gradient, masks, to_input=wanted)
            found |= parts
            if dx is not None:
                add(piece.part.map, dx)
        slopes: Statistics | None = None
        if self.normalization is not None and moments is not None:
            first = self.tile.inputs[0].map
            dx, dmean, dvariance, parts = self.normalization.backward(
                xs[0], *moments, deltas.pop(1), values
            )
            add(first, dx)
            found |= parts
            slopes = dmean, dvariance
        inputs = [deltas[each.map] for each in self.tile.inputs] if to_input else None
        return inputs, found, slopes

    def _maps(
        self, xs: Sequence[Tensor], values: Mapping[str, Tensor], moments: Statistics | None
    ) -> dict[int, Tensor]:
        maps = {each.map: x for each, x in zip(self.tile.inputs, xs, strict=True)}
        if self.normalization is not None and moments is not None:
            maps[1] = self.normalization.forward(xs[0], *moments, values)
        return maps

    def _segment(self, i: int) -> Segment:
        piece = self.segments[i]
        assert isinstance(piece, Segment)  # noqa: S101 (tapes are of segments)
        return piece

    def _run(
        self,
        maps: dict[int, Tensor],
        masks: Mapping[int, Tensor],
        values: Mapping[str, Tensor],
        kept: Mapping[Made, Tensor] = MappingProxyType({}),
    ) -> tuple[dict[int, Tape], Tensor]:
        tapes: dict[int, Tape] = {}
        for number, piece in enumerate(self.segments):
            if isinstance(piece, Addition):
                first, *rest = (part.of(maps) for part in piece.parts)
                maps[piece.makes] = sum(rest, first)
                continue
            # What is known already stands in for what is computed, which the converter drops.
            known = {name: value for (i, name), value in kept.items() if i == number}
            tapes[number] = piece.run(maps, masks, values).with_values(known)
            maps[piece.makes] = tapes[number].values[piece.output]
        return tapes, maps[len(self.tile.layers)]


def build(layers: Sequence[Any], tile: GroupTile, batch: int) -> FusedTile:
    """Traces the layers of a tile.

    Args:
      layers: the model's own, one for each of the tile's.
      tile: its geometry.
      batch: samples of a step.

    Raises:
      ExportError: an operation has no rule.
    """
    front = int(tile.normalizes)
    pieces = [
        Addition(tuple(_part(tile, start, i) for i in range(len(tile.needs[start]))), stop)
        if tile.layers[start].kind == "addition"
        else _segment(layers, tile, batch, start, stop)
        for start, stop in _pieces(tile, front)
    ]
    return FusedTile(tuple(pieces), batch, tile, of_layer(layers[0]) if front else None)


def _pieces(tile: GroupTile, front: int) -> list[tuple[int, int]]:
    """(first layer, one behind the last) of each piece, behind so many layers."""
    masks, count = masked(tile), len(tile.layers)
    readers = Counter(map_ for i in range(count) for map_ in tile.read(i))
    found: list[tuple[int, int]] = []
    for i in range(front, count):
        part = _part(tile, i, 0)
        goes_on = (
            bool(found)
            and i not in masks
            and tile.read(i) == (i,)
            and readers[i] == 1
            and part.need == part.have
            and "addition" not in (tile.layers[i].kind, tile.layers[i - 1].kind)
        )
        if goes_on:
            found[-1] = found[-1][0], i + 1
        else:
            found.append((i, i + 1))
    return found


def _part(tile: GroupTile, layer: int, which: int) -> Part:
    map_ = tile.read(layer)[which]
    return Part(map_, tile.needs[layer][which], tile.region(map_))


def _segment(layers: Sequence[Any], tile: GroupTile, batch: int, start: int, stop: int) -> Segment:
    part, masks = _part(tile, start, 0), masked(tile)
    x = inputs = keras.Input((*part.need.shape, tile.layers[start].channels_in))
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
    return Segment(part, stop, mask, lowest, graph, weights, constants)


def _unpadded(layer: Any) -> Any:
    config = layer.get_config()
    if "padding" in config:
        config["padding"] = "valid"
    return type(layer).from_config(config)
