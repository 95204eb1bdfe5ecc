"""The training step as one pure function: (batch, weights, state) → (metrics, weights, state)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus.model_file.manifest import TensorInfo
from tfplus.tensors.slices import layer_of
from tfplus_export.losses.compiled import OutputLoss
from tfplus_export.losses.loss import of_batch
from tfplus_export.lowering.engine import noise
from tfplus_export.lowering.engine.plan import plan
from tfplus_export.lowering.engine.replay import replay
from tfplus_export.lowering.engine.rule import Rules
from tfplus_export.lowering.engine.scopes import scope
from tfplus_export.lowering.table import RULES
from tfplus_export.optimizers import Optimizer
from tfplus_export.tf_types import Tensor
from tfplus_export.tracing.checks import check_traced
from tfplus_export.tracing.graph import ASSIGNMENTS, Graph, trace
from tfplus_export.train_step.loss_heads import SAMPLE_WEIGHT, LossHead, loss_heads
from tfplus_export.train_step.step_output import StepOutput
from tfplus_export.train_step.variables import Constant, Weight, divided

# What `train` reports beside the metrics.
LOSS = "loss"


@dataclass(frozen=True)
class Training:
    """A Keras model's training step, lowered to operations that TFLite has builtin.

    Attributes:
      weights: what the step reads and changes.
      constants: what it only reads.
      optimizer: how it changes them.
      loss_heads: the outputs and their losses.
      sample_weights: whether the step takes a weight for each sample.
      train_graph: forward pass of a training batch.
      infer_graph: forward pass of an inference batch.
      rules: by which operations run.
    """

    weights: tuple[Weight, ...]
    constants: tuple[Constant, ...]
    optimizer: Optimizer
    loss_heads: tuple[LossHead, ...]
    sample_weights: bool
    train_graph: Graph
    infer_graph: Graph
    rules: Rules = field(default_factory=lambda: RULES)

    @property
    def batch_dependent(self) -> bool:
        """Whether samples of a training batch act on each other, as in batch normalization.

        Batch statistics are taken over all rows: a padding row has no loss of its own, but it
        counts in mean and variance, and through them in the other rows' gradients and in the
        moving averages. A short batch trains as TensorFlow trains it if its padding repeats
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

    def arguments(self) -> dict[str, TensorInfo]:
        """What `step` takes of a batch, in the order of the signature: name → shape and dtype."""
        batch = self.train_graph.batch_size
        taken = self.inputs(self.train_graph)
        for head in self.loss_heads:
            shape = tuple(int(d) for d in head.at(self.train_graph).shape)
            labels = head.loss.targets == "label"
            taken[head.target] = TensorInfo(
                shape[:-1] if labels else shape, "int32" if labels else "float32"
            )
        if self.sample_weights:
            taken[SAMPLE_WEIGHT] = TensorInfo((batch,), "float32")
        return taken

    def reported(self) -> tuple[str, ...]:
        """Names of what `step` reports, each float32 [1]."""
        metrics = [h.metric for h in self.loss_heads]
        losses = [f"{h.output}_{LOSS}" for h in self.loss_heads] if len(self.loss_heads) > 1 else []
        return (LOSS, *metrics, *losses)

    def inputs(self, graph: Graph) -> dict[str, TensorInfo]:
        """The inputs of a traced pass: name → shape, with the batch, and dtype."""
        return {
            name: TensorInfo(tuple(int(d) for d in tensor.shape), tensor.dtype.name)
            for name, tensor in graph.inputs.items()
        }

    def step(
        self,
        batch: Mapping[str, Tensor],
        weights: Mapping[str, Tensor],
        state: Mapping[str, Tensor],
    ) -> StepOutput:
        """One optimizer step.

        Args:
          batch: as `arguments` says. The targets mark padding rows, see `losses.padding`; see
            `batch_dependent` for what padding does to batch statistics.
          weights: name → value, for all of `self.weights`.
          state: as `self.state` names it.
        """
        random = state.get(noise.STATE)
        factor = self.optimizer.factor(state)
        metrics, gradients, assigned = self.gradients(batch, weights, random, factor)
        with scope("update", self.optimizer.describe()["name"]):
            new_weights, new_state = self.optimizer.apply({**weights, **assigned}, gradients, state)
        for weight in self.weights:
            if weight.constraint is not None and weight.name in new_weights:
                with scope("update", layer_of(weight.name)):
                    new_weights[weight.name] = weight.constraint.project(new_weights[weight.name])
        if random is not None:
            with scope("update", noise.STATE):
                new_state = {**new_state, noise.STATE: noise.advanced(random)}
        return StepOutput(metrics, assigned | new_weights, new_state)

    def gradients(
        self,
        batch: Mapping[str, Tensor],
        weights: Mapping[str, Tensor],
        random: Tensor | None,
        factor: Tensor | None = None,
    ) -> tuple[dict[str, Tensor], dict[str, Tensor], dict[str, Tensor]]:
        """One step but for the optimizer, in the precision of the weights.

        Args:
          batch: see `step`.
          weights: see `step`.
          random: the state `noise.STATE`; None where nothing draws noise.
          factor: what gradients are multiplied by, [1]; None for nothing.

        Returns:
          Metrics; gradients of the trainable weights; what the pass assigns to weights.
        """
        tape = replay(self.train_graph, self.rules, batch, self._by_index(weights), random)
        metrics, dy = self.losses(tape.values, batch)
        self._regularize_activations(tape.values, metrics, dy)
        if factor is not None:
            with scope("update", self.optimizer.describe()["name"]):
                dy = {name: gradient * factor for name, gradient in dy.items()}
        trainable = {w.index for w in self.weights if w.trainable}
        names = {w.index: w.name for w in self.weights}
        gradients = {names[i]: g for i, g in tape.gradients(dy, trainable).items()}
        self._regularize_weights(weights, metrics, gradients, factor)
        return metrics, gradients, {names[i]: value for i, value in tape.updates.items()}

    def predictions(
        self, inputs: Mapping[str, Tensor], weights: Mapping[str, Tensor]
    ) -> dict[str, Tensor]:
        """What the model returns, for one inference batch: see `inferred`."""
        tape = replay(self.infer_graph, self.rules, inputs, self._by_index(weights))
        return {name: tape.values[tensor.name] for name, tensor in self.inferred().items()}

    def inferred(self) -> dict[str, Tensor]:
        """The tensors of `infer_graph` that inference returns: float32 [batch, ..., outputs].

        Every output of the model as Keras' `predict` returns it, under its own name; behind it the
        logits where the loss takes the model's last softmax or sigmoid into itself.
        """
        found: dict[str, Tensor] = {}
        for head in self.loss_heads:
            found[head.output] = self.infer_graph.outputs[head.output]
            if head.logits:
                found[head.logits] = head.at(self.infer_graph)
        return found

    def losses(
        self, values: Mapping[str, Tensor], batch: Mapping[str, Tensor]
    ) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
        """Metrics by name, and the gradient with respect to each tensor that a loss begins at.

        Args:
          values: name of a tensor of the traced training pass → its value.
          batch: the targets, as `arguments` names them.
        """
        metrics: dict[str, Tensor] = {}
        dy: dict[str, Tensor] = {}
        total: Tensor = None
        for head in self.loss_heads:
            with scope("loss", head.output):
                at = head.at(self.train_graph).name
                found = of_batch(
                    head.loss,
                    values[at],
                    batch[head.target],
                    reduction=head.reduction,
                    sample_weight=batch.get(SAMPLE_WEIGHT),
                )
                part, gradient = found.loss, found.gradient
                if head.weight != 1.0:
                    part, gradient = part * head.weight, gradient * head.weight
                total = part if total is None else total + part
                dy[at] = gradient if at not in dy else dy[at] + gradient
                metrics[head.metric] = found.metric
                if len(self.loss_heads) > 1:
                    metrics[f"{head.output}_{LOSS}"] = found.loss
        return {LOSS: total, **metrics}, dy

    def _regularize_activations(
        self, values: Mapping[str, Tensor], metrics: dict[str, Tensor], dy: dict[str, Tensor]
    ) -> None:
        share = 1.0 / self.train_graph.batch_size
        for regularized in self.train_graph.regularized:
            name, regularizer = regularized.tensor.name, regularized.regularizer
            with scope("loss", self.train_graph.path_of(regularized.tensor.op)):
                gradient = regularizer.gradient(values[name]) * share
                metrics[LOSS] = metrics[LOSS] + regularizer.value(values[name]) * share
                dy[name] = gradient if name not in dy else dy[name] + gradient

    def _regularize_weights(
        self,
        weights: Mapping[str, Tensor],
        metrics: dict[str, Tensor],
        gradients: dict[str, Tensor],
        factor: Tensor | None,
    ) -> None:
        for weight in self.weights:
            if weight.regularizer is None:
                continue
            with scope("loss", layer_of(weight.name)):
                value = weights[weight.name]
                gradient = weight.regularizer.gradient(value)
                gradient = gradient if factor is None else gradient * factor
                metrics[LOSS] = metrics[LOSS] + weight.regularizer.value(value)
                found = gradients.get(weight.name)
                gradients[weight.name] = gradient if found is None else found + gradient

    def _by_index(self, weights: Mapping[str, Tensor]) -> dict[int, Tensor]:
        # Rules see that these are constants, and so does the converter.
        floats = next(iter(weights.values())).dtype
        constants = {c.index: tf.constant(c.value, floats) for c in self.constants}
        return {w.index: weights[w.name] for w in self.weights} | constants


def build(
    model: keras.Model,
    optimizer: Optimizer,
    *,
    losses: Mapping[str, OutputLoss],
    batch_size: int,
    infer_batch_size: int,
    sample_weights: bool = False,
    rules: Rules = RULES,
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
        plan(graph, rules)
    for op in infer_graph.operations:
        if op.type in ASSIGNMENTS:
            raise ExportError(
                f"{infer_graph.naming(op)} writes a variable in inference: expected "
                "layers that do so in training alone"
            )
    used = set(train_graph.variables.values()) | set(infer_graph.variables.values())
    assigned = {
        train_graph.variable_of(op) for op in train_graph.operations if op.type in ASSIGNMENTS
    }
    weights, constants = divided(model, used, assigned)
    return Training(
        weights=weights,
        constants=constants,
        optimizer=optimizer,
        loss_heads=loss_heads(train_graph, losses),
        sample_weights=sample_weights,
        train_graph=train_graph,
        infer_graph=infer_graph,
        rules=rules,
    )
