"""The training step as one pure function: (batch, weights, state) → (metrics, weights, state)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import keras
import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus.slices import slice_name
from tfplus_export.checks import check_traced
from tfplus_export.graph import ASSIGNMENTS, PASS_THROUGH, Graph, trace
from tfplus_export.loss import softmax_cross_entropy
from tfplus_export.lowering import noise
from tfplus_export.lowering.plan import plan
from tfplus_export.lowering.replay import replay
from tfplus_export.lowering.table import RULES
from tfplus_export.optimizers import Optimizer
from tfplus_export.tf_types import Tensor


@dataclass(frozen=True)
class Constant:
    """One variable of the Keras model that the step reads and never writes.

    Attributes:
      name: its slice name; no slice holds it.
      index: its place in `model.variables`.
      value: what it is.
    """

    name: str
    index: int
    value: np.ndarray


@dataclass(frozen=True)
class Weight:
    """One variable of the Keras model that the step writes.

    Attributes:
      name: its slice name.
      index: its place in `model.variables`.
      shape: dimensions.
      trainable: whether the optimizer updates it. The step may write it nevertheless, as it does
        moving averages.
    """

    name: str
    index: int
    shape: tuple[int, ...]
    trainable: bool


@dataclass(frozen=True)
class StepOutput:
    """What one step brings: metrics and the weights and state that changed, by name."""

    loss: Tensor
    accuracy: Tensor
    weights: dict[str, Tensor]
    state: dict[str, Tensor]


@dataclass(frozen=True)
class Training:
    """A Keras model's training step, lowered to operations that TFLite has builtin.

    Attributes:
      weights: what the step reads and changes.
      constants: what it only reads.
      optimizer: how it changes them.
      from_logits: whether the model returns logits rather than probabilities.
      train_graph: forward pass of a training batch.
      infer_graph: forward pass of an inference batch.
    """

    weights: tuple[Weight, ...]
    constants: tuple[Constant, ...]
    optimizer: Optimizer
    from_logits: bool
    train_graph: Graph
    infer_graph: Graph

    @property
    def batch_dependent(self) -> bool:
        """Whether samples of a training batch act on each other, as in batch normalization.

        Batch statistics are taken over all rows: a padding row (label −1) has no loss of its own,
        but it counts in mean and variance, and through them in the other rows' gradients and in
        the moving averages. A short batch trains as TensorFlow trains it if its padding repeats
        the real rows, each equally often.
        """
        return self.train_graph.mixes_rows

    @property
    def draws_noise(self) -> bool:
        """Whether the step draws random numbers, as for dropout."""
        return bool(self.train_graph.random)

    def state(self) -> dict[str, np.ndarray]:
        """What the step keeps besides weights, with its initial values, by name."""
        state = self.optimizer.state({w.name: w.shape for w in self.weights if w.trainable})
        return state | ({noise.STATE: noise.initial(0)} if self.draws_noise else {})

    def step(
        self, x: Tensor, y: Tensor, weights: Mapping[str, Tensor], state: Mapping[str, Tensor]
    ) -> StepOutput:
        """One optimizer step.

        Args:
          x: float32 [batch, ...].
          y: int32 [batch], index of each sample's logit, or −1 for a padding row; see
            `batch_dependent` for what padding does to batch statistics.
          weights: name → value, for all of `self.weights`.
          state: as `self.state` names it.
        """
        random = state.get(noise.STATE)
        tape = replay(self.train_graph, RULES, x, self._by_index(weights), random)
        at = _logits(self.train_graph, self.from_logits)
        loss = softmax_cross_entropy(tape.values[at.name], y)
        trainable = {w.index for w in self.weights if w.trainable}
        gradients = tape.gradients(at, loss.dlogits, trainable)
        names = {w.index: w.name for w in self.weights}
        assigned = {names[i]: value for i, value in tape.updates.items()}
        new_weights, new_state = self.optimizer.apply(
            {**weights, **assigned}, {names[i]: g for i, g in gradients.items()}, state
        )
        if random is not None:
            new_state = {**new_state, noise.STATE: noise.advanced(random)}
        return StepOutput(loss.loss, loss.accuracy, assigned | new_weights, new_state)

    def logits(self, x: Tensor, weights: Mapping[str, Tensor]) -> Tensor:
        """Logits of one inference batch, float32 [batch, classes]."""
        tape = replay(self.infer_graph, RULES, x, self._by_index(weights))
        return tape.values[_logits(self.infer_graph, self.from_logits).name]

    def _by_index(self, weights: Mapping[str, Tensor]) -> dict[int, Tensor]:
        # Rules see that these are constants, and so does the converter.
        constants = {c.index: tf.constant(c.value) for c in self.constants}
        return {w.index: weights[w.name] for w in self.weights} | constants


def build(
    model: keras.Model,
    optimizer: Optimizer,
    *,
    from_logits: bool,
    batch_size: int,
    infer_batch_size: int,
) -> Training:
    """Traces a model and names its weights.

    Raises:
      ExportError: an operation has no rule, two variables have one name, one is not float32, or
        inference writes one.
    """
    train_graph = trace(model, batch_size, training=True)
    check_traced(model)
    infer_graph = trace(model, infer_batch_size, training=False)
    for graph in (train_graph, infer_graph):
        plan(graph, RULES)
    for op in infer_graph.operations:
        if op.type in ASSIGNMENTS:
            raise ExportError(
                f"layer '{infer_graph.layer_of(op)}' writes a variable in inference: expected "
                "layers that do so in training alone"
            )
    used = set(train_graph.variables.values()) | set(infer_graph.variables.values())
    assigned = {
        train_graph.variable_of(op) for op in train_graph.operations if op.type in ASSIGNMENTS
    }
    trainable = {id(v) for v in model.trainable_variables}
    weights: dict[str, Weight] = {}
    constants: dict[str, Constant] = {}
    for index, variable in enumerate(model.variables):
        if index not in used:
            continue
        name = slice_of(variable.path, model.name)
        if name in weights or name in constants:
            raise ExportError(f"two variables are named '{name}': expected unique layer names")
        if id(variable) not in trainable and index not in assigned:
            constants[name] = Constant(name, index, np.array(variable.numpy()))
            continue
        if len(variable.shape) == 0:
            raise ExportError(
                f"variable '{name}' is a scalar, which does not survive a step on XNNPACK: give it "
                "the shape (1,)"
            )
        if variable.dtype != "float32":
            raise ExportError(f"variable '{name}': expected float32, got {variable.dtype}")
        weights[name] = Weight(name, index, tuple(variable.shape), id(variable) in trainable)
    return Training(
        weights=tuple(weights.values()),
        constants=tuple(constants.values()),
        optimizer=optimizer,
        from_logits=from_logits,
        train_graph=train_graph,
        infer_graph=infer_graph,
    )


def slice_of(path: str, model_name: str) -> str:
    """Names the slice of a Keras variable.

    Args:
      path: of the variable, such as `dense/kernel`.
      model_name: of the model that it belongs to.
    """
    # Sequential models put their own name in front of their layers' names, functional ones do not:
    # there it may be the name of a layer.
    inner = path.removeprefix(f"{model_name}/")
    *layer, tensor = (inner if "/" in inner else path).split("/")
    return slice_name("/".join(layer), tensor)


def ends_in_softmax(graph: Graph) -> bool:
    """Whether the model's last operation is a softmax."""
    return _last(graph).op.type == "Softmax"


def _last(graph: Graph) -> Tensor:
    output = graph.output
    while output.op.type in PASS_THROUGH:
        output = output.op.inputs[0]
    return output


def _logits(graph: Graph, from_logits: bool) -> Tensor:
    if from_logits:
        return graph.output
    output = _last(graph)
    if output.op.type != "Softmax":
        raise ExportError(
            f"the loss expects probabilities, but the model ends in {output.op.type}: end it in a "
            "softmax, or compile it with SparseCategoricalCrossentropy(from_logits=True)"
        )
    return output.op.inputs[0]
