"""Replays a traced forward pass through the rules, and walks it backwards.

Reverse-mode differentiation over explicit rules, not TensorFlow's own gradients: the gradient graph
then holds what the rules wrote and nothing else, and an operation without a rule is an error here
instead of an operator that the device lacks.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.lowering.engine import noise
from tfplus_export.lowering.engine.failures import of_rule
from tfplus_export.lowering.engine.plan import of_inputs, plan, too_deep
from tfplus_export.lowering.engine.rule import AnyRule, Rules
from tfplus_export.lowering.engine.scopes import scope
from tfplus_export.lowering.engine.shared_operands import SharedOperands
from tfplus_export.tf_types import Op, Tensor
from tfplus_export.tracing.folding import static_value
from tfplus_export.tracing.graph import ASSIGNMENTS, RANDOM, Graph


@dataclass(frozen=True)
class _Step:
    op: Op
    layer: str
    # The layer, as a message names it.
    shown: str
    rule: AnyRule
    sources: tuple[str, ...]
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def names(self) -> list[str]:
        """What the traced graph calls the outputs."""
        return [t.name for t, _ in zip(self.op.outputs, self.outputs, strict=False)]


@dataclass(frozen=True)
class Tape:
    """A replayed forward pass.

    Attributes:
      values: name of a tensor of the traced graph → its replayed value.
      updates: index of a variable that the pass assigns → the value that it leaves there.
    """

    values: dict[str, Tensor]
    updates: dict[int, Tensor]
    _steps: tuple[_Step, ...]
    _reads: dict[str, tuple[int, str]]

    def made_of(self, inputs: Collection[str]) -> dict[str, Tensor]:
        """Name of a tensor that operations make of some inputs, not of weights alone → its value.

        Args:
          inputs: names of tensors of the traced graph.
        """
        found: dict[str, Tensor] = {}
        for step in self._steps:
            if any(name in found or name in inputs for name in step.sources):
                found.update(zip(step.names, step.outputs, strict=False))
        return found

    def with_values(self, known: Mapping[str, Tensor]) -> Tape:
        """The same pass with other values of some tensors, such as those that it had before.

        Args:
          known: name of a tensor of the traced graph → value, of the same shape.
        """
        steps = tuple(
            dataclasses.replace(
                step,
                inputs=tuple(
                    known.get(name, value)
                    for name, value in zip(step.sources, step.inputs, strict=True)
                ),
                outputs=tuple(
                    known.get(name, value)
                    for name, value in zip(step.names, step.outputs, strict=False)
                ),
            )
            for step in self._steps
        )
        return Tape({**self.values, **known}, self.updates, steps, self._reads)

    def gradients(self, dy: Mapping[str, Tensor], trainable: Collection[int]) -> dict[int, Tensor]:
        """Back-propagates the gradient of the loss to the weights.

        Args:
          dy: name of a tensor of the traced graph → gradient of the loss with respect to it, of its
            shape.
          trainable: indices of the weights whose gradients are wanted.

        Returns:
          index of a weight → gradient, of the weight's shape; a weight that none of the tensors
          depends on has none.
        """
        return self.gradients_and_inputs(dy, trainable, ())[0]

    def gradients_and_inputs(
        self, dy: Mapping[str, Tensor], trainable: Collection[int], inputs: Collection[str]
    ) -> tuple[dict[int, Tensor], dict[str, Tensor]]:
        """Back-propagates to the weights, and to inputs of the pass.

        Args:
          dy: as for `gradients`.
          trainable: as for `gradients`.
          inputs: names of tensors of the traced graph that no operation of it makes.

        Returns:
          What `gradients` returns; name of an input → gradient, of its shape.
        """
        wanted = {name for name, (index, _) in self._reads.items() if index in trainable}
        wanted.update(inputs)
        for step in self._steps:
            if any(name in wanted for name in step.sources):
                wanted.update(step.names)
        arrived = dict(dy)
        shared = SharedOperands(self._steps)
        for step in reversed(self._steps):
            with scope("backward", step.layer):
                self._back(step, wanted, arrived, shared)
        total: dict[int, Tensor] = {}
        for name, (index, layer) in self._reads.items():
            with scope("backward", layer):
                _add(arrived, name, shared.release(name))
                # A shared layer reads its variable once for each use.
                if name in arrived:
                    part = _spread(arrived[name], self.values[name].shape)
                    total[index] = part if index not in total else total[index] + part
        found = {name: _spread(arrived[name], self.values[name].shape)
                 for name in inputs if name in arrived}  # fmt: skip
        return total, found

    @staticmethod
    def _back(
        step: _Step, wanted: Collection[str], arrived: dict[str, Tensor], shared: SharedOperands
    ) -> None:
        for name in step.names:
            _add(arrived, name, shared.release(name))
        grads = [arrived.pop(name, None) for name in step.names]
        needs = [name in wanted for name in step.sources]
        if not any(needs) or all(g is None for g in grads):
            return
        grads = [
            None if g is None else _spread(g, output.shape)
            for g, output in zip(grads, step.outputs, strict=True)
        ]
        if len(needs) > 1 and needs[1] and shared.keep(step, grads[0]):
            needs[1] = False
        if not any(needs):
            return
        with of_rule(step.shown, step.op):
            back = step.rule.back(step.op, step.inputs, step.outputs, grads, needs)
        for name, need, part in zip(step.sources, needs, back, strict=True):
            if need and part is not None:
                _add(arrived, name, [part])


def _add(arrived: dict[str, Tensor], name: str, parts: Iterable[Tensor]) -> None:
    for part in parts:
        # Chained ADD: AddN of more than two inputs keeps accelerators from the step.
        seen = arrived.get(name)
        arrived[name] = part if seen is None else seen + part


def _spread(gradient: Tensor, shape: Sequence[int]) -> Tensor:
    """Broadcasts a gradient along the axes where it is constant."""
    if gradient.shape == shape:
        return gradient
    # A product with ones: XNNPACK has no BROADCAST_TO. Axes of equal extent need none.
    ones = [1 if have == want else want for have, want in zip(gradient.shape, shape, strict=True)]
    return gradient * tf.constant(np.ones(ones), gradient.dtype)


def replay(
    graph: Graph,
    rules: Rules,
    batch: Mapping[str, Tensor],
    weights: Mapping[int, Tensor],
    random: Tensor | None = None,
) -> Tape:
    """Runs the forward pass with every operation replaced by its rule's forward.

    Args:
      graph: the traced pass.
      rules: the table.
      batch: name of an input → its value, of the traced shape.
      weights: index into the model's variables → value; the pass is computed in their precision.
      random: state that random numbers come from, see `noise`; None where none may be drawn.

    Raises:
      ExportError: an operation has no rule; the message names its layer. Or a variable is used
        that is none of the model's.
    """
    floats = next((w.dtype for w in weights.values()), tf.float32)
    values = {name: _constant(value, floats) for name, value in graph.constants.items()}
    values |= {tensor.name: batch[name] for name, tensor in graph.inputs.items()}
    reads: dict[str, tuple[int, str]] = {}
    updates: dict[int, Tensor] = {}
    steps: list[_Step] = []
    for op, chosen in plan(graph, rules):
        with scope("forward", graph.path_of(op)):
            if op.type in ASSIGNMENTS:
                index = graph.variable_of(op)
                before = updates.get(index, weights[index])
                updates[index] = _assigned(op, before, values[op.inputs[1].name])
                continue
            output = op.outputs[0]
            if op.type == "ReadVariableOp":
                index = graph.variable_of(op)
                values[output.name] = updates.get(index, weights[index])
                reads[output.name] = index, graph.path_of(op)
            elif op.type in RANDOM:
                values[output.name] = tf.cast(_noise(graph, op, random), floats)
            elif chosen is None:
                values[output.name] = _constant(static_value(output), floats)
            else:
                rule, sources = chosen
                _check(graph, op, sources, values)
                inputs = tuple(values[t.name] for t in sources)
                with of_rule(graph.naming(op), op):
                    outputs = rule.run(op, inputs)
                # A rule may leave out outputs that only an operation of its own kind would use.
                values.update(zip((t.name for t in op.outputs), outputs, strict=False))
                names = tuple(t.name for t in sources)
                layer, shown = graph.path_of(op), graph.naming(op)
                steps.append(_Step(op, layer, shown, rule, names, inputs, tuple(outputs)))
    return Tape(values, updates, tuple(steps), reads)


def _constant(value: Any, floats: Any) -> Tensor:
    # Truth values are 1.0 and 0.0, as comparisons leave them.
    kind = np.asarray(value).dtype
    real = kind == np.bool_ or np.issubdtype(kind, np.floating)
    return tf.constant(value, floats if real else None)


def _check(graph: Graph, op: Op, sources: Sequence[Tensor], values: Mapping[str, Tensor]) -> None:
    problem = too_deep(graph, op, (*op.outputs, *of_inputs(sources)))
    if problem is not None:
        raise ExportError(f"{graph.naming(op)} {problem}")
    for tensor in sources:
        if tensor.name not in values and tensor.op.type == "Placeholder":
            raise ExportError(
                f"{graph.naming(op)} uses a tensor that was made outside of the model: "
                "make it within call(), or with add_weight(trainable=False)"
            )
        if tensor.name not in values:
            raise ExportError(
                f"{graph.naming(op)}: operation {op.type} takes output "
                f"{tensor.value_index} of {tensor.op.type}, whose rule has the first alone"
            )


def _noise(graph: Graph, op: Op, random: Tensor | None) -> Tensor:
    if random is None:
        raise ExportError(
            f"{graph.naming(op)} draws random numbers in inference: expected layers that "
            "do so in training alone"
        )
    return noise.uniform(random, list(graph.random).index(op.name), op.outputs[0].shape)


def _assigned(op: Op, before: Tensor, value: Tensor) -> Tensor:
    if op.type == "AssignAddVariableOp":
        return before + value
    return before - value if op.type == "AssignSubVariableOp" else value
