"""The operations that are contractions: MatMul, BatchMatMulV2 and Einsum."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.lowering.engine.rule import Rule
from tfplus_export.lowering.kernels.contraction import Contraction
from tfplus_export.lowering.kernels.joining import join
from tfplus_export.tf_types import Op, Tensor

_LETTERS = "abcdefghijklmnopqrstuvwxyz"


def _rule(spec_of: Callable[[Op], Contraction]) -> Rule:
    """The rule of an operation that is a contraction once broadcast axes are left out."""

    def forward(op: Op, inputs: Sequence[Tensor]) -> Tensor:
        spec = spec_of(op)
        return spec(*_fitted(spec, inputs))

    def gradient(
        op: Op, inputs: Sequence[Tensor], output: Tensor, dy: Tensor, wanted: Sequence[bool]
    ) -> list[Tensor | None]:
        spec = spec_of(op)
        a, b = _fitted(spec, inputs)
        parts = spec.gradients(a, b, dy, wanted)
        return [
            part if part is None or len(part.shape) == len(x.shape) else tf.reshape(part, x.shape)
            for part, x in zip(parts, inputs, strict=True)
        ]

    return Rule(forward, gradient)


def _matmul(op: Op) -> Contraction:
    left = "km" if op.get_attr("transpose_a") else "mk"
    right = "nk" if op.get_attr("transpose_b") else "kn"
    return Contraction(left, right, "mn")


def _batch_matmul(op: Op) -> Contraction:
    batch = op.outputs[0].shape[:-2]
    letters = _LETTERS[: len(batch)]
    left, right = (_not_broadcast(letters, t.shape[:-2], batch) for t in op.inputs)
    left += "ym" if op.get_attr("adj_x") else "my"
    right += "ny" if op.get_attr("adj_y") else "yn"
    return Contraction(left, right, letters + "mn")


def _not_broadcast(letters: str, have: Sequence[int], want: Sequence[int]) -> str:
    """The letters of an operand's batch axes, without those along which it is the same."""
    first = len(letters) - len(have)
    pairs = zip(letters[first:], have, want[first:], strict=True)
    return "".join(letter for letter, h, w in pairs if h == w)


def _einsum(op: Op) -> Contraction:
    equation = op.get_attr("equation").decode().replace(" ", "")
    operands, _, out = equation.partition("->")
    sides = operands.split(",")
    free = [c for c in _LETTERS if c not in equation]
    if len(sides) != 2:
        raise ExportError(f"equation {equation}: expected two operands, got {len(sides)}")
    rest = [len(t.shape) - len(s.replace("...", "")) for s, t in zip(sides, op.inputs, strict=True)]
    shared = "".join(free[: max(rest)])
    sides = [s.replace("...", shared[len(shared) - n :]) for s, n in zip(sides, rest, strict=True)]
    out = out.replace("...", shared)
    extents: dict[str, int] = {}
    for side, tensor in zip(sides, op.inputs, strict=True):
        for letter, extent in zip(side, tensor.shape, strict=True):
            if len(set(side)) != len(side) or extents.setdefault(letter, extent) != extent:
                raise ExportError(
                    f"equation {equation}: expected each letter once in an operand, and axes "
                    "without broadcasting"
                )
    return Contraction(sides[0], sides[1], out)


def _fitted(spec: Contraction, inputs: Sequence[Tensor]) -> list[Tensor]:
    """The operands without the axes that the contraction leaves out, whose extent is 1."""
    fitted: list[Tensor] = []
    for letters, x in zip((spec.left, spec.right), inputs, strict=True):
        shape = [int(d) for d in x.shape]
        for _ in range(len(shape) - len(letters)):
            shape.remove(1)
        fitted.append(x if len(shape) == len(x.shape) else tf.reshape(x, shape))
    return fitted


def _accumulated_matmul(
    op: Op, inputs: Sequence[Sequence[Tensor]], dys: Sequence[Tensor]
) -> Tensor:
    spec = _matmul(op)
    rows = join([x for x, _ in inputs], spec.left.index("m"))
    return spec.gradients(rows, inputs[0][1], join(dys, 0), (False, True))[1]


MATMUL = dataclasses.replace(_rule(_matmul), accumulate=_accumulated_matmul)
BATCH_MATMUL = _rule(_batch_matmul)
EINSUM = _rule(_einsum)
