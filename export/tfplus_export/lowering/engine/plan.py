"""Which operations of a traced pass run in the step, and by which rule each.

What is needed is asked from the end: an operation that a rule reaches past, or one whose value is
known at export, asks for nothing in turn. So a rule that stands for several operations may avoid
what lies between, such as a tensor of five dimensions.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from tfplus.errors import UnsupportedOperationError
from tfplus_export.lowering.engine.advice import advice
from tfplus_export.lowering.engine.failures import of_rule
from tfplus_export.lowering.engine.rule import AnyRule, Rule, Rules, choose
from tfplus_export.tf_types import Op, Tensor
from tfplus_export.tracing.folding import static_value
from tfplus_export.tracing.graph import ASSIGNMENTS, PASS_THROUGH, RANDOM, Graph

# tflite-runtime aborts beyond, and accelerators do not take the step.
MOST_DIMENSIONS = 4
# Of a layer's operations without a rule, in a message.
_MOST_NAMES = 3

Chosen = tuple[AnyRule, tuple[Tensor, ...]]


def plan(graph: Graph, rules: Rules) -> list[tuple[Op, Chosen | None]]:
    """The operations to run, inputs first, each with its rule and the rule's inputs.

    An assignment, a read of a variable, random noise and a constant have no rule.

    Raises:
      UnsupportedOperationError: an operation has no rule; the message names the first one's layer.
    """
    planned, without = divide(graph, rules)
    if without:
        first = without[0]
        raise UnsupportedOperationError(f"{graph.naming(first)} {unsupported(graph, without)[0]}")
    return planned


def divide(graph: Graph, rules: Rules) -> tuple[list[tuple[Op, Chosen | None]], list[Op]]:
    """As `plan`; and the operations that would have to run, but have no rule."""
    needed = {t.name for t in graph.outputs.values()} | {p.tensor.name for p in graph.regularized}
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
            with of_rule(graph.naming(op), op):
                chosen = _chosen(rules, op) if has_static_shapes(op) else None
            if chosen is None:
                without.append(op)
                needed.update(t.name for t in op.inputs)
                continue
            needed.update(t.name for t in chosen[1])
            planned.append((op, chosen))
    return planned[::-1], without[::-1]


def _chosen(rules: Rules, op: Op) -> Chosen | None:
    return (_IDENTITY, tuple(op.inputs)) if op.type in PASS_THROUGH else choose(rules, op)


def has_static_shapes(op: Op) -> bool:
    """Whether the shapes of all that an operation takes and makes are known at export."""
    return all(t.shape.is_fully_defined() for t in (*op.inputs, *op.outputs))


def unsupported(graph: Graph, without: Sequence[Op]) -> list[str]:
    """What to say of the layer of each operation that has no rule, once for each layer and kind.

    Args:
      graph: the traced pass.
      without: the operations, as `divide` returns them.

    Returns:
      The predicates of a sentence, such as `cannot train on a device (…): …`, one for each
      operation; those of one layer that lack a rule share one.
    """
    types: dict[str, list[str]] = {}
    for op in without:
        if _shape_problem(graph, op) is None:
            types.setdefault(graph.path_of(op), []).append(op.type)
    return [_shape_problem(graph, op) or _no_rule(graph, op, types) for op in without]


def of_inputs(tensors: Sequence[Tensor]) -> list[Tensor]:
    """Those that no operation makes: a batch, which runtimes have to take as it is."""
    return [t for t in tensors if t.op.type == "Placeholder"]


def too_deep(graph: Graph, op: Op, tensors: Sequence[Tensor]) -> str | None:
    """What to say of an operation with a tensor of too many dimensions; None where all is well."""
    deep = [list(t.shape) for t in tensors if len(t.shape) > MOST_DIMENSIONS]
    if not deep:
        return None
    return (
        f"works on a tensor of shape {deep[0]}, expected at most {MOST_DIMENSIONS} dimensions "
        f"(operation {op.type}): {advice(_kinds(graph, op), [op.type], _FLATTER)}"
    )


def _shape_problem(graph: Graph, op: Op) -> str | None:
    if has_static_shapes(op):
        return too_deep(graph, op, (*op.inputs, *op.outputs))
    return (
        f"makes a tensor whose shape depends on the data (operation {op.type}), expected shapes "
        f"that are known at export: {advice(_kinds(graph, op), [op.type])}"
    )


def _no_rule(graph: Graph, op: Op, types: Mapping[str, Sequence[str]]) -> str:
    names = list(dict.fromkeys(types[graph.path_of(op)]))
    shown = ", ".join(names[:_MOST_NAMES])
    if len(names) > _MOST_NAMES:
        shown += f" and {len(names) - _MOST_NAMES} more"
    found = f"operation {shown} has" if len(names) == 1 else f"operations {shown} have"
    return f"cannot train on a device ({found} no rule): {advice(_kinds(graph, op), names)}"


def _kinds(graph: Graph, op: Op) -> tuple[str, ...]:
    return graph.kinds.along(graph.path_of(op))


_FLATTER = "reshape its input to fewer dimensions, as runtimes on devices take no more"
_IDENTITY = Rule(
    forward=lambda op, inputs: inputs[0],
    gradient=lambda op, inputs, output, dy, wanted: [dy],
)
