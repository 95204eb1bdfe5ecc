"""Which filter each channel of each tensor of a tail comes from, and which filters go together.

A class keeps, of every tensor, the channels that come from its own filters: through a depthwise
convolution a filter's channels follow it, a concatenation has those of all its parts, and what a
sum adds up goes to classes together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
from keras import layers

from tfplus.decoupling.assignment import Indices
from tfplus.errors import ExportError
from tfplus_export.decoupling.structure.kinds import SUMS, has_filters

_Integers = npt.NDArray[np.int64]
# Owner of the channels of the tensor that all branches read.
_SHARED = ""


@dataclass(frozen=True)
class Origin:
    """Where the channels of a tensor come from.

    Attributes:
      owners: name of the layer that each channel is a filter of, [channels]; empty for one of the
        shared layers' output.
      filters: index of the filter in that layer, or of the channel in the shared output.
    """

    owners: npt.NDArray[np.str_]
    filters: _Integers

    @classmethod
    def of_layer(cls, name: str, size: int) -> Origin:
        """All filters of a layer, in order."""
        return cls(np.full(size, name), np.arange(size))

    def __len__(self) -> int:
        return len(self.filters)

    def take(self, channels: _Integers) -> Origin:
        """Some channels, any of them several times."""
        return Origin(self.owners[channels], self.filters[channels])

    def kept(self, chosen: Mapping[str, Indices]) -> _Integers:
        """The channels that are left, ascending.

        Args:
          chosen: layer → filters that are left; of the shared output, all are.
        """
        mask = self.owners == _SHARED
        for owner in np.unique(self.owners[~mask]):
            own = self.owners == owner
            mask[own] = np.isin(self.filters[own], chosen[str(owner)])
        return np.flatnonzero(mask)


class Channels:
    """Origins of all tensors of a tail, and the layers whose filters go together.

    Args:
      cut: the tensor that branches read.
    """

    def __init__(self, cut: Any) -> None:
        self._origins = {id(cut): Origin.of_layer(_SHARED, int(cut.shape[-1]))}
        # Layer → one in front of it in its group; leader of a group → the last node that joins it.
        self._leaders: dict[str, str] = {}
        self._sums: dict[str, Any] = {}

    def of(self, tensor: Any) -> Origin:
        """Origin of a tensor of the tail."""
        return self._origins[id(tensor)]

    def leader(self, layer: str) -> str:
        """The first layer of those whose filters go to classes together; itself if it is alone."""
        while layer in self._leaders:
            layer = self._leaders[layer]
        return layer

    def sum_of(self, layer: str) -> Any | None:
        """The last node that joins a layer's filters with others; None where there is none."""
        return self._sums.get(self.leader(layer))

    def add(self, node: Any, inputs: Sequence[Origin]) -> None:
        """Works out the origin of what a node makes.

        Raises:
          ExportError: it adds up channels that cannot go to classes together.
        """
        layer, made = node.operation, node.output_tensors[0]
        first = inputs[0]
        if has_filters(layer):
            found = Origin.of_layer(layer.name, int(made.shape[-1]))
        elif isinstance(layer, layers.DepthwiseConv2D):
            # Channel c of the input becomes c·m to c·m + m − 1 of the output.
            found = first.take(np.repeat(np.arange(len(first)), layer.depth_multiplier))
        elif isinstance(layer, layers.Flatten):
            positions = int(np.prod(node.input_tensors[0].shape[1:-1], dtype=np.int64))
            found = first.take(np.tile(np.arange(len(first)), positions))
        elif isinstance(layer, layers.Concatenate):
            found = Origin(
                np.concatenate([e.owners for e in inputs]),
                np.concatenate([e.filters for e in inputs]),
            )
        else:
            if isinstance(layer, SUMS):
                self._tie(node, inputs)
            found = first
        self._origins[id(made)] = found

    def _tie(self, node: Any, inputs: Sequence[Origin]) -> None:
        layer, first = node.operation, inputs[0]
        what = f"layer '{layer.name}', a {type(layer).__name__}: "
        for other in inputs[1:]:
            if len(other) != len(first):
                raise ExportError(
                    f"{what}joins {len(first)} channels and {len(other)}: expected as many"
                )
            if ((first.owners == _SHARED) != (other.owners == _SHARED)).any():
                own = sorted({str(e) for p in (first, other) for e in p.owners} - {_SHARED})
                raise ExportError(
                    f"{what}joins the output of the shared layers with filters of "
                    f"{', '.join(own)}: expected filters of cut layers alone"
                )
            if (first.filters != other.filters).any():
                raise ExportError(
                    f"{what}joins filters that stand in other places of their layers: expected "
                    "whole layers, filter by filter"
                )
            for a, b in set(zip(first.owners.tolist(), other.owners.tolist(), strict=True)):
                self._unite(a, b)
        for owner in {str(e) for e in first.owners} - {_SHARED}:
            self._sums[self.leader(owner)] = node

    def _unite(self, a: str, b: str) -> None:
        a, b = self.leader(a), self.leader(b)
        if a != b:
            self._leaders[b] = a
            if (node := self._sums.pop(b, None)) is not None:
                self._sums.setdefault(a, node)


def trace(nodes: Sequence[Any], cut: Any) -> Channels:
    """Follows the channels of a tail.

    Args:
      nodes: of the tail in topological order.
      cut: the tensor that branches read.

    Raises:
      ExportError: a sum joins channels that cannot go to classes together.
    """
    found = Channels(cut)
    for node in nodes:
        found.add(node, [found.of(t) for t in node.input_tensors])
    return found
