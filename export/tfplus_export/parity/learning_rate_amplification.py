"""Learning-rate amplification: updates that are lost beside the weight itself become visible.

A weight is stored to 2⁻²⁴ of its size. Behind a LayerScale of 1e-6, as in ConvNeXt, gradients are
so small that a step at the user's learning rate hardly changes a bit of the weight, and any other
gradient as small would pass. The learning rate is a variable of the exported step, so such steps
are compared once more with one that is higher by a power of two: all rounds as before but the sum
with the weight, beside which the update can now be seen.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from tfplus_export.parity.candidate import Candidate
from tfplus_export.parity.errors.step_error import (
    State,
    layer_rounding,
    norm_of_difference,
    weight_rounding,
)
from tfplus_export.parity.reference.reference import Reference
from tfplus_export.parity.samples.draw import Batch

FACTOR = 2.0**30


@dataclass(frozen=True)
class Seen:
    """What steps at an amplified learning rate tell.

    Attributes:
      errors: for each candidate, name of a weight → error of its update in each step that shows it.
      left: weights that change, but so little that in some step they still cannot be judged.
    """

    errors: tuple[dict[str, list[float]], ...]
    left: frozenset[str]


def hidden(before: State, after: State, names: Collection[str], tolerance: float) -> frozenset[str]:
    """The weights of whose update a share as large as the tolerance could be rounding.

    Args:
      before: every variable before a step.
      after: every variable after it.
      names: of the weights in question.
      tolerance: relative error that an update may have.
    """
    return frozenset(
        name
        for name in names
        if weight_rounding(after[name]) > tolerance * norm_of_difference(after[name], before[name])
    )


def amplified(
    expected: Reference,
    candidates: Sequence[Candidate],
    batches: Sequence[tuple[Batch, Batch]],
    names: frozenset[str],
    trainable: Collection[str],
    tolerance: float,
) -> Seen:
    """Compares single steps at a learning rate `FACTOR` times as high.

    Args:
      expected: TensorFlow's model; afterwards as it was.
      candidates: the exported file.
      batches: for each step, the samples for TensorFlow, and with padding for the file.
      names: of the weights to compare.
      trainable: names of all weights that the optimizer updates.
      tolerance: relative error that an update may have.
    """
    errors: list[dict[str, list[float]]] = [{n: [] for n in names} for _ in candidates]
    left: set[str] = set()
    for real, padded in batches:
        with expected.amplified(FACTOR):
            before = expected.state()
            expected.step(real)
            after = expected.state()
        still = hidden(before, after, names, tolerance)
        left |= {n for n in still if not np.array_equal(before[n], after[n])}
        rounding = {n: r for n, r in layer_rounding(before, after, trainable).items() if n in names}
        for candidate, noted in zip(candidates, errors, strict=True):
            _, found = candidate.errors(padded, before, after, rounding)
            # Beside an update of zero, rounding is as wrong as can be.
            left |= {n for n in still if found[n] > tolerance}
            for name in names - still:
                noted[name].append(found[name])
    return Seen(tuple(errors), frozenset(left))
