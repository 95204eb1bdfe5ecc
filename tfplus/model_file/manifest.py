"""What an exported file says of itself: `tfplus.json`, as frozen dataclasses.

`tfplus.model_file.manifest_reader` reads it back and trusts nothing in it.
"""

from __future__ import annotations

import dataclasses
import json
import math
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np

from tfplus.codecs.registry import codec
from tfplus.model_file.companion_graphs import (
    AcceleratedGraph,
    FeatureGraph,
    InferenceGraph,
    TensorInfo,
)
from tfplus.model_file.preprocessing import Preprocessing

SCHEMA_VERSION = 3

Role = Literal["weight", "optimizer", "hyperparameter"]
# What a loss takes from a model, and `infer` returns.
Kind = Literal["logits", "probabilities", "values"]
# What a target says: which class a row is of, how probable each class is, yes or no for each
# output, or a number for each output.
Targets = Literal["label", "distribution", "binary", "value"]


@dataclass(frozen=True)
class Signature:
    """Inputs and outputs of one entry point, by name."""

    inputs: dict[str, TensorInfo]
    outputs: dict[str, TensorInfo]


@dataclass(frozen=True)
class Variable:
    """One variable of the training state.

    Attributes:
      name: slice name of a weight; `optimizer/...` for the optimizer's own state.
      shape: dimensions.
      dtype: numpy name.
      role: weights are what devices exchange; the rest stays on the device.
      trainable: whether the step updates it.
      offset: where its initial value lies in the file, bytes from the start, little-endian.
      storage: the form of that value, see `storage`; `dtype` where it is not float32.
      scale_offset: where the scale of an int8 value lies, a float32; 0 without one.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str
    role: Role
    trainable: bool
    offset: int
    storage: str = "float32"
    scale_offset: int = 0

    @property
    def size_bytes(self) -> int:
        """Bytes of its value."""
        return self.elements * np.dtype(self.dtype).itemsize

    @property
    def elements(self) -> int:
        """How many numbers it holds."""
        return math.prod(self.shape)

    @property
    def stored_bytes(self) -> int:
        """Bytes of its initial value in the file."""
        if self.dtype != "float32":
            return self.size_bytes
        return codec(self.storage).size_bytes(self.elements)


@dataclass(frozen=True)
class Output:
    """One output of the model, and the loss that is taken of it.

    Attributes:
      name: of the output.
      kind: what it holds, as Keras' `predict` returns it, and `infer` under its name.
      logits: name among the outputs of `infer` of its logits, where the loss is taken of those
        rather than of the output; empty where it is not.
      target: its name among the inputs of `train`; int32 [batch, ...] for labels, else float32 of
        the output's shape.
      targets: what a target says.
      padding: the value of all elements of a target that marks a row as padding.
      metric: name among the outputs of `train` of the accuracy, or for numbers the mean absolute
        error.
      loss: name and parameters.
      loss_weight: of this loss in the sum over all outputs.
    """

    name: str
    kind: Kind
    logits: str
    target: str
    targets: Targets
    padding: float
    metric: str
    loss: dict[str, Any]
    loss_weight: float


@dataclass(frozen=True)
class FrozenWeight:
    """A weight of the Keras model that does not train: a constant of the graph, in no slice.

    Attributes:
      name: the slice name that it would have.
      shape: dimensions.
      sha256: hash of its value (hex), little-endian. Models whose slices are to be averaged should
        agree in it.
    """

    name: str
    shape: tuple[int, ...]
    sha256: str


@dataclass(frozen=True)
class Lowering:
    """How an operation runs that there are several ways to compute.

    Attributes:
      layer: of the Keras model.
      problem: the operation with its shapes.
      name: of the way.
    """

    layer: str
    problem: str
    name: str


@dataclass(frozen=True)
class CheckedTarget:
    """A device and a runtime that the file was checked for.

    Attributes:
      name: the kind of device.
      runtime: distribution of the runtime.
      runtime_version: the version that has every operator of the file.
      peak_memory_bytes: estimated peak of the process that trains.
    """

    name: str
    runtime: str
    runtime_version: str
    peak_memory_bytes: int


@dataclass(frozen=True)
class Manifest:
    """Everything a device must know of a model besides its graph.

    Attributes:
      name: what was exported, such as `zoo:lenet`.
      tfplus_version: version of the exporter.
      architecture_hash: SHA-256 over variables, signatures, loss and optimizer, without values,
        and over the values of frozen weights.
      flatbuffer_bytes: length of the graph; the ZIP with this manifest follows it.
      flatbuffer_sha256: hash of that part.
      batch_size: samples in one `train` step.
      infer_batch_size: samples in one `infer` call.
      classes: the label of each class, in order; none where the model has several outputs, or one
        that is no choice of a class.
      outputs: what the model returns and how it is trained, in the model's order.
      optimizer: its name and hyper-parameters.
      parameters: trainable weights, counted as scalars.
      flops_per_step: floating-point operations of one training step, of its products and
        convolutions alone.
      signatures: entry points by name.
      variables: the training state.
      operators: TFLite operator → how often it stands in the file.
      flex_operators: operators that would need the Flex delegate; always empty.
      parity: what was compared with TensorFlow at export, and how far it was off.
      preprocessing: what becomes of stored samples, and which values are expected behind it.
      regularization: what regularizers add to the loss at the initial weights; None where that
        depends on the samples, or is not known.
      vocabularies: name of an input of indices → how many there are; one without holds any number.
      declared_dtypes: name of an input → the dtype that the Keras model declares, where it is not
        that of the signatures; data of it are cast.
      frozen: what does not train.
      lowerings: of the operations of a training step that there are several ways to compute.
      targets: what the file was checked for.
      accelerated: graphs of the same step for accelerators.
      inference: a graph of inference that weights are written into; at most one.
      features: graphs that make of samples what `train` and `infer` take; none where these take
        samples. At most one today.
      schema_version: version of this description.
    """

    name: str
    tfplus_version: str
    architecture_hash: str
    flatbuffer_bytes: int
    flatbuffer_sha256: str
    batch_size: int
    infer_batch_size: int
    classes: tuple[int, ...]
    outputs: tuple[Output, ...]
    optimizer: dict[str, Any]
    parameters: int
    flops_per_step: int
    signatures: dict[str, Signature]
    variables: tuple[Variable, ...]
    operators: dict[str, int]
    flex_operators: tuple[str, ...]
    parity: dict[str, Any]
    preprocessing: Preprocessing = field(default_factory=Preprocessing)
    regularization: float | None = None
    vocabularies: dict[str, int] = field(default_factory=dict[str, int])
    declared_dtypes: dict[str, str] = field(default_factory=dict[str, str])
    frozen: tuple[FrozenWeight, ...] = ()
    lowerings: tuple[Lowering, ...] = ()
    targets: tuple[CheckedTarget, ...] = ()
    accelerated: tuple[AcceleratedGraph, ...] = ()
    inference: tuple[InferenceGraph, ...] = ()
    features: tuple[FeatureGraph, ...] = ()
    schema_version: int = SCHEMA_VERSION

    def rounding(self, accelerator: str) -> frozenset[str]:
        """The weights whose gradient is rounding alone, as the export for an accelerator found."""
        found = (graph.rounding for graph in self.accelerated if graph.accelerator == accelerator)
        return frozenset(name for names in found for name in names)

    @property
    def weights(self) -> tuple[Variable, ...]:
        """The variables that devices exchange."""
        return tuple(v for v in self.variables if v.role == "weight")

    @property
    def inputs(self) -> dict[str, TensorInfo]:
        """The model's inputs by name, each as one sample: its shape has no batch."""
        taken = self.signatures["infer"].inputs
        return {name: TensorInfo(info.shape[1:], info.dtype) for name, info in taken.items()}

    @property
    def input_shape(self) -> tuple[int, ...]:
        """One sample of the first input."""
        return next(iter(self.inputs.values())).shape

    def expected(self, *, weights_only: bool = False) -> dict[str, tuple[tuple[int, ...], str]]:
        """Every variable as name → (shape, dtype), for `tfplus.tensors.slices.check_against`."""
        chosen = self.weights if weights_only else self.variables
        return {v.name: (v.shape, v.dtype) for v in chosen}

    def to_json(self) -> str:
        """Serializes with sorted keys, so that equal manifests are equal bytes."""
        return json.dumps(dataclasses.asdict(self), indent=1, sort_keys=True)
