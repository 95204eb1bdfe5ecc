"""Replays a traced forward pass through the rules, and walks it backwards.

Reverse-mode differentiation over explicit rules, not TensorFlow's own gradients: the gradient graph
then holds what the rules wrote and nothing else, and an operation without a rule is an error here
instead of an operator that the device lacks.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.graph import PASS_THROUGH, Graph, static_value
from tfplus_export.lowering.rule import Rule
from tfplus_export.tf_types import Op, Tensor


@dataclass(frozen=True)
class _Step:
    op: Op
    rule: Rule
    inputs: tuple[Tensor, ...]
    output: Tensor


@dataclass(frozen=True)
class Tape:
    """A replayed forward pass.

    Attributes:
      output: what the model returns, [batch, ...].
      values: name of a tensor of the traced graph → its replayed value.
    """

    output: Tensor
    values: dict[str, Tensor]
    _steps: tuple[_Step, ...]
    _reads: dict[str, int]

    def gradients(self, at: Tensor, dy: Tensor, trainable: Collection[int]) -> dict[int, Tensor]:
        """Back-propagates `dy` from one tensor of the traced graph to the weights.

        Args:
          at: the tensor of the traced graph that `dy` belongs to.
          dy: gradient of the loss, of the shape of `at`.
          trainable: indices of the weights whose gradients are wanted.

        Returns:
          index of a weight → gradient, of the weight's shape; a weight that the output does not
          depend on has none.
        """
        wanted = {name for name, index in self._reads.items() if index in trainable}
        for step in self._steps:
            if any(t.name in wanted for t in step.op.inputs):
                wanted.add(step.op.outputs[0].name)
        arrived = {at.name: dy}
        for step in reversed(self._steps):
            grad = arrived.pop(step.op.outputs[0].name, None)
            if grad is None:
                continue
            needs = [t.name in wanted for t in step.op.inputs]
            if not any(needs):
                continue
            back = step.rule.gradient(step.op, step.inputs, step.output, grad, needs)
            for tensor, need, part in zip(step.op.inputs, needs, back, strict=True):
                if not need or part is None:
                    continue
                # Chained ADD: AddN of more than two inputs keeps accelerators from the step.
                seen = arrived.get(tensor.name)
                arrived[tensor.name] = part if seen is None else seen + part
        total: dict[int, Tensor] = {}
        for name, index in self._reads.items():
            # A shared layer reads its variable once for each use.
            if name in arrived:
                seen = total.get(index)
                total[index] = arrived[name] if seen is None else seen + arrived[name]
        return total


def replay(
    graph: Graph, rules: Mapping[str, Rule], x: Tensor, weights: Mapping[int, Tensor]
) -> Tape:
    """Runs the forward pass with every operation replaced by its rule's forward.

    Args:
      graph: the traced pass.
      rules: operation type → rule.
      x: one batch, of the traced shape.
      weights: index into the model's variables → value.

    Raises:
      ExportError: an operation has no rule; the message names its layer.
    """
    values: dict[str, Tensor] = {graph.x.name: x}
    reads: dict[str, int] = {}
    steps: list[_Step] = []
    for op in graph.operations:
        if op.type == "Placeholder":
            continue
        output = op.outputs[0]
        if op.type == "ReadVariableOp":
            index = graph.variables.get(op.inputs[0].op.name)
            if index is None:
                raise ExportError(
                    f"layer '{graph.layer_of(op)}' reads a variable that Keras does not know of: "
                    "make it with add_weight"
                )
            values[output.name] = weights[index]
            reads[output.name] = index
            continue
        constant = static_value(output)
        if constant is not None:
            values[output.name] = tf.constant(constant)
            continue
        rule = _IDENTITY if op.type in PASS_THROUGH else rules.get(op.type)
        if rule is None:
            raise unsupported(graph, op, rules)
        unknown = [t.name for t in op.inputs if t.name not in values]
        if unknown:
            raise ExportError(
                f"layer '{graph.layer_of(op)}' uses a tensor that was made outside of the model: "
                "make it within call(), or with add_weight(trainable=False)"
            )
        inputs = tuple(values[t.name] for t in op.inputs)
        try:
            values[output.name] = rule.forward(op, inputs)
        except ExportError as error:
            raise ExportError(
                f"layer '{graph.layer_of(op)}', operation {op.type}: {error}"
            ) from None
        steps.append(_Step(op, rule, inputs, values[output.name]))
    return Tape(values[graph.output.name], values, tuple(steps), reads)


def unsupported(graph: Graph, op: Op, rules: Mapping[str, Rule]) -> ExportError:
    """The error for an operation without a rule."""
    return ExportError(
        f"layer '{graph.layer_of(op)}': operation {op.type} has no rule, so it cannot train on a "
        f"device. Replace the layer by one made of {', '.join(sorted(rules))}, or add a rule for "
        f"{op.type} under tfplus_export/lowering"
    )


_IDENTITY = Rule(
    forward=lambda op, inputs: inputs[0],
    gradient=lambda op, inputs, output, dy, wanted: [dy],
)
