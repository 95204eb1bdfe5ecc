"""What the comparison with TensorFlow does next: a pure decision on what was measured so far.

`next_check` reads this table from above; the first line that applies decides.

| what is known                                                   | next check                  |
|-----------------------------------------------------------------|-----------------------------|
| fewer steps than asked for                                      | `Step`                      |
| an update is hidden beside its weight, not amplified yet        | `AmplifiedStep`, initial    |
| likewise, amplified once                                        | `AmplifiedStep`, trained    |
| an amplified update is unseen, or an error above its tolerance, |                             |
| float64 not asked                                               | `Float64`                   |
| the verdict does not hold, float64 does not refute it,          |                             |
| fewer than `FURTHER` further steps                              | `FurtherStep`               |
| some further steps, fewer than `FURTHER`                        | `FurtherStep`               |
| anything else                                                   | none: the verdict stands    |

Of the steps, the first begins with warm second moments. The first `STEPS_WITHOUT_XNNPACK` run
without XNNPACK, too. All but the last take few rows (`short_rows`), each at another place of the
batch: what goes wrong behind the first rows alone would not show.

An amplified step starts from the initial weights first: where training has made gradients vanish,
there is nothing left that could be off.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tfplus_export.parity.errors.step_error import EXACT

# Rows that count in all steps but the last. The fewer activations, the rarer one that lies so close
# to a ReLU's corner or to a second maximum that rounding decides where its gradient goes.
SHORT_ROWS = 2
# With batch statistics, more: normalized over two rows, everything is ±1 and gradients vanish.
SHORT_ROWS_OF_STATISTICS = 8
# TFLite's own BATCH_MATMUL is much slower than XNNPACK's.
STEPS_WITHOUT_XNNPACK = 1
# So many further batches are for updates that cannot be seen beside their weight, and, where an
# error is above its tolerance, for float64.
PROBES = 2
# So many further steps where something is off beyond its limits that float64 does not refute: one
# activation at a ReLU's corner may have struck the few before.
FURTHER = 3


@dataclass(frozen=True)
class Step:
    """A step from TensorFlow's state.

    Attributes:
      rows: of the batch that count.
      first: where in the file's batch the first of them lies.
      without_xnnpack: whether it runs without XNNPACK, too.
      warm_up: whether the optimizer's second moments become warm before it.
    """

    rows: int
    first: int
    without_xnnpack: bool
    warm_up: bool


@dataclass(frozen=True)
class AmplifiedStep:
    """A step at a much higher learning rate, for updates that are hidden beside their weight.

    Attributes:
      weights: from which it starts.
      probe: index of the batch, below `PROBES`.
      without_xnnpack: whether it runs without XNNPACK, too.
    """

    weights: Literal["initial", "trained"]
    probe: int
    without_xnnpack: bool


@dataclass(frozen=True)
class Float64:
    """Both sides in float64, on every probe from the trained and from the initial weights."""


@dataclass(frozen=True)
class FurtherStep:
    """A step with and without XNNPACK, and amplified ones from the initial and trained weights.

    Half from either state: in one of them gradients may vanish, or be chaos.

    Attributes:
      rows: of the batch that count.
      first: where in the file's batch the first of them lies.
    """

    rows: int
    first: int


Check = Step | AmplifiedStep | Float64 | FurtherStep


@dataclass(frozen=True)
class Evidence:
    """What is known so far.

    Attributes:
      batch_size: samples in a batch.
      rows: that count in a short step, see `short_rows`.
      steps_asked: how many steps are asked for.
      steps: how many were taken.
      hidden: whether a share of some update as large as the tolerance could be rounding.
      amplified: how many amplified steps were taken.
      unseen: whether an amplified update could not be told from rounding even so.
      within: whether every error is within its tolerance; NaN is not.
      float64_asked: whether float64 was asked.
      float64: largest error of a gradient in float64; None where that is not known.
      holds: whether every error is within what float64 leaves to it.
      further: how many further steps were taken.
    """

    batch_size: int
    rows: int
    steps_asked: int
    steps: int
    hidden: bool
    amplified: int
    unseen: bool
    within: bool
    float64_asked: bool
    float64: float | None
    holds: bool
    further: int

    @property
    def refuted(self) -> bool:
        """Whether float64 shows the step to be wrong; NaN does."""
        return self.float64 is not None and not self.float64 <= EXACT


def next_check(known: Evidence) -> Check | None:
    """What to do next; None where the verdict stands. See the table above.

    Args:
      known: what was measured so far.

    Examples:
      >>> from tfplus_export.parity.policy import Evidence, next_check
      >>> start = Evidence(8, 2, 3, 0, False, 0, False, True, False, None, True, 0)
      >>> next_check(start)
      Step(rows=2, first=2, without_xnnpack=True, warm_up=True)
    """
    size, step = known.batch_size, known.steps
    if step < known.steps_asked:
        return Step(
            rows=size if step == known.steps_asked - 1 else known.rows,
            first=(step + 1) * size // known.steps_asked,
            without_xnnpack=step < STEPS_WITHOUT_XNNPACK,
            warm_up=step == 0,
        )
    if known.hidden and known.amplified == 0:
        return AmplifiedStep("initial", 0, without_xnnpack=True)
    if known.hidden and known.amplified == 1:
        return AmplifiedStep("trained", 1, without_xnnpack=False)
    if (known.unseen or not known.within) and not known.float64_asked:
        return Float64()
    disputed = not known.holds and not known.refuted
    if known.further < FURTHER and (disputed or known.further):
        first = (2 * known.further + 1) * size // (2 * FURTHER)
        return FurtherStep(known.rows, first)
    return None


def short_rows(batch_size: int, *, batch_dependent: bool, draws_noise: bool) -> int:
    """How many rows of a batch count in all steps but the last.

    Args:
      batch_size: samples in a batch.
      batch_dependent: whether samples act on each other, as in batch normalization.
      draws_noise: whether the step draws random numbers.
    """
    if not batch_dependent:
        return min(SHORT_ROWS, batch_size)
    if draws_noise:
        # Padding that repeats a row draws noise of its own, and so has statistics of its own.
        return batch_size
    # A divisor, so that padding can repeat each row equally often.
    divisors = (n for n in range(SHORT_ROWS_OF_STATISTICS, batch_size) if batch_size % n == 0)
    return next(divisors, batch_size)
