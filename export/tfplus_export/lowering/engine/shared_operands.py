"""Gradients of an operand that several operations share, such as the weights of a recurrent layer.

Every time step multiplies by the same weight. Instead of a product for each step and a chain of
additions, the steps' operands are laid one after the other, and the weight's gradient is one
product of those.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Sequence
from typing import Protocol

from tfplus_export.lowering.engine.rule import AnyRule, Rule
from tfplus_export.tf_types import Op, Tensor


class Step(Protocol):
    """A replayed operation."""

    @property
    def op(self) -> Op:
        """Of the traced graph."""
        ...

    @property
    def rule(self) -> AnyRule:
        """What it runs by."""
        ...

    @property
    def sources(self) -> tuple[str, ...]:
        """Names of what it takes."""
        ...

    @property
    def inputs(self) -> tuple[Tensor, ...]:
        """The replayed values of those."""
        ...

    @property
    def outputs(self) -> tuple[Tensor, ...]:
        """What it makes."""
        ...


class SharedOperands:
    """Keeps what operations send to an operand that they share, until all of them are known."""

    def __init__(self, steps: Sequence[Step]) -> None:
        keys = (_key(step) for step in steps)
        self._uses = Counter(key for key in keys if key is not None)
        self._kept: dict[str, dict[tuple[object, ...], list[tuple[Step, Tensor]]]]
        self._kept = defaultdict(lambda: defaultdict(list))

    def keep(self, step: Step, dy: Tensor | None) -> bool:
        """Whether the gradient of the step's second operand is left to `release`."""
        key = _key(step)
        if dy is None or key is None or self._uses[key] < 2:
            return False
        self._kept[step.sources[1]][key].append((step, dy))
        return True

    def release(self, name: str) -> list[Tensor]:
        """The gradients, to be added up, that were kept for a tensor."""
        gradients: list[Tensor] = []
        for uses in self._kept.pop(name, {}).values():
            # The walk goes backwards: in the order of the forward pass, the pieces are those that
            # other gradients lay side by side, and TFLite's converter does so once.
            steps, dys = zip(*reversed(uses), strict=True)
            rule = steps[0].rule
            if isinstance(rule, Rule) and rule.accumulate is not None:
                inputs = [step.inputs for step in steps]
                gradients.append(rule.accumulate(steps[0].op, inputs, dys))
        return gradients


def _key(step: Step) -> tuple[object, ...] | None:
    """Equal for steps whose gradients of the second operand can be one; None for those alone."""
    rule, attributes = step.rule, step.op.node_def.attr
    if not isinstance(rule, Rule) or rule.accumulate is None:
        return None
    left, right = step.inputs
    # Rows can be laid one after the other; a sum of tensors of one shape has none.
    if len(left.shape) != 2 or (len(right.shape) != 1 and "transpose_b" not in attributes):
        return None
    flags = [attributes[name].b for name in ("transpose_a", "transpose_b") if name in attributes]
    return step.sources[1], step.op.type, *flags, *left.shape, *right.shape
