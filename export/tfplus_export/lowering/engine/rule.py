"""What a lowering rule is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from tfplus_export.tf_types import Op, Tensor

Forward = Callable[[Op, Sequence[Tensor]], Tensor]
Gradient = Callable[[Op, Sequence[Tensor], Tensor, Tensor, Sequence[bool]], list[Tensor | None]]
Accumulate = Callable[[Op, Sequence[Sequence[Tensor]], Sequence[Tensor]], Tensor]
Sources = Callable[[Op], Sequence[Tensor] | None]
ManyForward = Callable[[Op, Sequence[Tensor]], list[Tensor]]
ManyGradient = Callable[
    [Op, Sequence[Tensor], Sequence[Tensor], Sequence[Tensor | None], Sequence[bool]],
    list[Tensor | None],
]


def _own_inputs(op: Op) -> Sequence[Tensor]:
    return tuple(op.inputs)


@dataclass(frozen=True)
class Rule:
    """How one operation runs, forward and backward, with TFLite builtin operators alone.

    Attributes:
      forward: (op, inputs) → output. `op` gives attributes and static shapes; inputs are the
        replayed tensors in the operation's own order.
      gradient: (op, inputs, output, dy, wanted) → one gradient for each input. `dy` has the shape
        of `output`; an input whose `wanted` is False needs none and gets None. A gradient may have
        extent 1 along an axis where it is constant: adding it to another costs one pass less then.
      sources: op → the tensors of the traced graph that are the rule's inputs, or None where the
        rule does not apply. A rule that stands for several operations reaches past its own inputs.
      accumulate: (op, inputs of each, dy of each) → gradient of the second input that operations
        alike share, all in one; None where it is only their sum.
    """

    forward: Forward
    gradient: Gradient
    sources: Sources = _own_inputs
    accumulate: Accumulate | None = None

    def run(self, op: Op, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The operation's outputs."""
        return [self.forward(op, inputs)]

    def back(
        self,
        op: Op,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        dys: Sequence[Tensor | None],
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """One gradient for each input."""
        if dys[0] is None:
            return [None] * len(inputs)
        return self.gradient(op, inputs, outputs[0], dys[0], wanted)


@dataclass(frozen=True)
class ManyRule:
    """How an operation of several outputs runs, such as a split.

    Attributes:
      forward: (op, inputs) → every output.
      gradient: (op, inputs, outputs, dys, wanted) → one gradient for each input. An output that the
        loss does not depend on has None for its dy; at least one has a dy.
      sources: as in `Rule`.
    """

    forward: ManyForward
    gradient: ManyGradient
    sources: Sources = _own_inputs

    def run(self, op: Op, inputs: Sequence[Tensor]) -> list[Tensor]:
        """The operation's outputs."""
        return self.forward(op, inputs)

    def back(
        self,
        op: Op,
        inputs: Sequence[Tensor],
        outputs: Sequence[Tensor],
        dys: Sequence[Tensor | None],
        wanted: Sequence[bool],
    ) -> list[Tensor | None]:
        """One gradient for each input."""
        return self.gradient(op, inputs, outputs, dys, wanted)


AnyRule = Rule | ManyRule


def unary(
    forward: Callable[[Tensor], Tensor], gradient: Callable[[Tensor, Tensor, Tensor], Tensor]
) -> Rule:
    """The rule of an operation of one tensor: x → y, and (x, y, dy) → dx."""
    return Rule(
        lambda op, inputs: forward(inputs[0]),
        lambda op, inputs, output, dy, wanted: [gradient(inputs[0], output, dy)],
    )


def workload_of(op: Op) -> str:
    """An operation with its shapes, such as `Conv2D 32x16x16x64 3x3x64x128 stride 1 SAME`."""
    shapes = ["x".join(str(int(d)) for d in t.shape) for t in op.inputs]
    attributes = op.node_def.attr
    if "strides" in attributes:
        strides = list(op.get_attr("strides"))[1:3]
        shapes.append(f"stride {strides[0] if strides[0] == strides[1] else strides}")
    if "padding" in attributes:
        shapes.append(op.get_attr("padding").decode())
    return " ".join([op.type, *shapes])


@dataclass(frozen=True)
class KernelVariants:
    """Rules that compute the same, at different speeds.

    Attributes:
      rules: name → rule; the last applies to every operation of the type, and is the one that
        accelerators take.
      order: op → names, the one that is likely fastest first.
      named: workload, see `workload_of` → name of the rule to take instead.
    """

    rules: Mapping[str, AnyRule]
    order: Callable[[Op], Sequence[str]]
    named: Mapping[str, str] = field(default_factory=dict[str, str])

    def names(self, op: Op) -> list[str]:
        """Names of the rules that apply to an operation, the one that it gets first."""
        wanted = self.named.get(workload_of(op))
        every = list(self.order(op)) if wanted is None else [wanted, *self.order(op)]
        return [n for n in dict.fromkeys(every) if self.rules[n].sources(op) is not None]


Entry = AnyRule | tuple[AnyRule, ...] | KernelVariants
Rules = Mapping[str, Entry]


def choose(rules: Rules, op: Op) -> tuple[AnyRule, tuple[Tensor, ...]] | None:
    """The first rule of the table that applies to an operation, and its inputs; None without one.

    Args:
      rules: operation type → its rule, several in order of preference, or kernel variants.
      op: of the traced graph.
    """
    entry = rules.get(op.type, ())
    if isinstance(entry, KernelVariants):
        entry = tuple(entry.rules[name] for name in entry.names(op))
    for rule in entry if isinstance(entry, tuple) else (entry,):
        sources = rule.sources(op)
        if sources is not None:
            return rule, tuple(sources)
    return None
