"""Which operations of a traced pass run in the step, and by which rule each.

What is needed is asked from the end: an operation that a rule reaches past, or one whose value is
known at export, asks for nothing in turn. So a rule that stands for several operations may avoid
what lies between, such as a tensor of five dimensions.
"""

from __future__ import annotations

from tfplus.errors import ExportError
from tfplus_export.lowering.engine.rule import AnyRule, Rule, Rules, choose
from tfplus_export.tf_types import Op, Tensor
from tfplus_export.tracing.folding import static_value
from tfplus_export.tracing.graph import ASSIGNMENTS, PASS_THROUGH, RANDOM, Graph

# tflite-runtime aborts beyond, and accelerators do not take the step.
MOST_DIMENSIONS = 4

Chosen = tuple[AnyRule, tuple[Tensor, ...]]


def plan(graph: Graph, rules: Rules) -> list[tuple[Op, Chosen | None]]:
    """The operations to run, inputs first, each with its rule and the rule's inputs.

    An assignment, a read of a variable, random noise and a constant have no rule.

    Raises:
      ExportError: an operation has no rule; the message names the first, and its layer.
    """
    planned, without = divide(graph, rules)
    if without:
        raise ExportError(f"layer '{graph.layer_of(without[0])}': {no_rule(without[0], rules)}")
    return planned


def divide(graph: Graph, rules: Rules) -> tuple[list[tuple[Op, Chosen | None]], list[Op]]:
    """As `plan`; and the operations that would have to run, but have no rule."""
    needed = {t.name for t in graph.outputs.values()} | {p.tensor.name for p in graph.penalized}
    planned: list[tuple[Op, Chosen | None]] = []
    without: list[Op] = []
    for op in reversed(graph.operations):
        if op.type in ASSIGNMENTS:
            needed.add(op.inputs[1].name)
            planned.append((op, None))
        elif op.type == "Placeholder" or not any(t.name in needed for t in op.outputs):
            continue
        elif op.type in {"ReadVariableOp", *RANDOM} or static_value(op.outputs[0]) is not None:
            planned.append((op, None))
        else:
            chosen = _chosen(rules, op)
            if chosen is None:
                without.append(op)
                needed.update(t.name for t in op.inputs)
                continue
            needed.update(t.name for t in chosen[1])
            planned.append((op, chosen))
    return planned[::-1], without[::-1]


def _chosen(rules: Rules, op: Op) -> Chosen | None:
    return (_IDENTITY, tuple(op.inputs)) if op.type in PASS_THROUGH else choose(rules, op)


def no_rule(op: Op, rules: Rules) -> str:
    """What to say of an operation without a rule."""
    deep = [list(t.shape) for t in (*op.inputs, *op.outputs) if len(t.shape) > MOST_DIMENSIONS]
    if deep:
        return (
            f"operation {op.type} works on a tensor of shape {deep[0]}, expected at most "
            f"{MOST_DIMENSIONS} dimensions: runtimes on devices take no more. Replace it by layers "
            "of two spatial dimensions, applied to each plane"
        )
    return (
        f"operation {op.type} has no rule, so it cannot train on a device. Replace the layer by "
        f"one made of {', '.join(sorted(rules))}, or add a rule for {op.type} under "
        "tfplus_export/lowering"
    )


_IDENTITY = Rule(
    forward=lambda op, inputs: inputs[0],
    gradient=lambda op, inputs, output, dy, wanted: [dy],
)
