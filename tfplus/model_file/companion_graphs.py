"""Graphs in an exported file beside the one that trains, as its manifest describes them."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

Accelerator = Literal["gpu"]


@dataclass(frozen=True)
class TensorInfo:
    """Shape and dtype of one input or output of a signature, or of one row of it."""

    shape: tuple[int, ...]
    dtype: str


@dataclass(frozen=True)
class AcceleratedGraph:
    """A stateless graph of the same step, for an accelerator that takes no variables.

    It lies in the file's ZIP, see `artifact.accelerated_graph`. Its signature `train` takes
    a batch and every variable and returns the metrics and the variables that change; its `infer`
    takes the inputs and the weights that it reads.

    Attributes:
      accelerator: what it is for.
      size_bytes: of the graph.
      sha256: of the graph (hex).
      checked_by: what said that the accelerator takes every operator.
      rounding: weights whose gradient is float32's rounding and nothing else, such as that of a
        bias in front of a batch normalization: two devices that are right may move them apart.
    """

    accelerator: Accelerator
    size_bytes: int
    sha256: str
    checked_by: str
    rounding: tuple[str, ...] = ()


@dataclass(frozen=True)
class InferenceConstant:
    """A constant of the graph of inference that is computed from weights; see `baking`.

    Attributes:
      name: of it, among the outputs of the graph that computes it.
      offset: where it lies in the graph of inference, bytes from the start; float32, little-endian.
      shape: as it is computed.
      order: its axes in the order in which they lie there.
    """

    name: str
    offset: int
    shape: tuple[int, ...]
    order: tuple[int, ...]

    @property
    def size_bytes(self) -> int:
        """Bytes of its value."""
        return math.prod(self.shape) * 4


@dataclass(frozen=True)
class InferenceGraph:
    """A graph of inference with constant weights, for `tfplus freeze`.

    It lies in the file's ZIP without its constants, beside the graph that computes those.

    Attributes:
      size_bytes: of the graph with its constants.
      sha256: of the graph without them (hex).
      constants_sha256: of the graph that computes them (hex).
      constants: where they belong.
    """

    size_bytes: int
    sha256: str
    constants_sha256: str
    constants: tuple[InferenceConstant, ...]


@dataclass(frozen=True)
class FeatureGraph:
    """A graph of frozen layers in front of what trains.

    A file may have several, of which each takes what the one before it makes; the file takes what
    the last one returns. They lie in the file's ZIP, see `artifact.feature_graph`; their signature
    is `features`.

    Attributes:
      layer: whose output the features are.
      input: name of the input, of this graph and of `train` and `infer`.
      sample: what the graph takes: one sample, or what the graph before it made of one.
      feature: what it makes of one.
      batch_size: samples in one call.
      size_bytes: of the graph.
      sha256: of the graph (hex); it holds the frozen weights as constants.
    """

    layer: str
    input: str
    sample: TensorInfo
    feature: TensorInfo
    batch_size: int
    size_bytes: int = 1
    sha256: str = ""
