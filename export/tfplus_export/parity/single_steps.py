"""Single steps of the exported file, each from the state that TensorFlow starts from."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from tfplus.errors import ExportError
from tfplus_export.parity.candidate import Candidate
from tfplus_export.parity.errors.step_error import (
    STEP_TOLERANCE,
    layer_rounding,
    lower_median,
    within,
)
from tfplus_export.parity.learning_rate_amplification import amplified, hidden
from tfplus_export.parity.reference.reference import Reference
from tfplus_export.parity.samples.draw import Batch, padded
from tfplus_export.train_step.training import Training


class SingleSteps:
    """The steps that TensorFlow and the file took, and how far each update was off.

    Args:
      expected: TensorFlow's model, which its steps train.
      candidates: the exported file.
      training: the step that it holds.

    Attributes:
      losses: TensorFlow's, of each step.
      hidden: weights of whose update, in one of the steps that look for such, a share as large as
        the tolerance could be rounding.
      unseen: those that could not be told from rounding even at a higher learning rate.
    """

    def __init__(
        self, expected: Reference, candidates: Sequence[Candidate], training: Training
    ) -> None:
        self.candidates = candidates
        self._expected = expected
        self._training = training
        self._trainable = frozenset(w.name for w in training.weights if w.trainable)
        self._amplified: list[dict[str, list[float]]] = [{} for _ in candidates]
        self.losses: list[float] = []
        self.hidden: frozenset[str] = frozenset()
        self.unseen: frozenset[str] = frozenset()

    def take(
        self,
        batch: Batch,
        rows: int,
        first: int,
        among: Sequence[Candidate],
        *,
        find_hidden: bool,
    ) -> None:
        """Takes one more step.

        Args:
          batch: a full one.
          rows: how many of its rows count.
          first: where in the file's batch the first of them lies.
          among: the candidates that take it, too.
          find_hidden: whether hidden updates are looked for.

        Raises:
          ExportError: TensorFlow's own loss is not finite.
        """
        before = self._expected.state()
        loss = self._expected.step({n: v[:rows] for n, v in batch.items()})
        if not math.isfinite(loss):
            raise ExportError(
                f"TensorFlow's own training comes to a loss of {loss}, so that nothing can be "
                "compared: choose a smaller --learning-rate, or look at the size of the weights "
                "and, with --data, of the samples"
            )
        self.losses.append(float(loss))
        after = self._expected.state()
        if find_hidden:
            self.hidden |= hidden(before, after, self._trainable, STEP_TOLERANCE["update"])
        rounding = layer_rounding(before, after, self._trainable)
        batch = padded(self._training, batch, rows, first)
        for candidate in among:
            candidate.step(batch, before, after, rounding, loss)

    def amplify(self, batches: Sequence[tuple[Batch, Batch]], among: Sequence[Candidate]) -> None:
        """Compares hidden updates at a higher learning rate, too; none where nothing is hidden.

        Args:
          batches: for each step, the samples for TensorFlow, and with padding for the file.
          among: the candidates that take it, too.
        """
        if not self.hidden:
            return
        seen = amplified(
            self._expected,
            among,
            batches,
            self.hidden,
            self._trainable,
            STEP_TOLERANCE["update"],
        )
        self.unseen |= seen.left
        for candidate, errors in zip(among, seen.errors, strict=True):
            noted = self._amplified[self.candidates.index(candidate)]
            for name, found in errors.items():
                noted.setdefault(name, []).extend(found)

    def updates(self) -> list[dict[str, float]]:
        """For each candidate: name of a variable → error of its update, the lower median."""
        found: list[dict[str, float]] = []
        for candidate, of_hidden in zip(self.candidates, self._amplified, strict=True):
            errors = {n: lower_median(e) for n, e in candidate.update_errors.items()}
            for name, shown in of_hidden.items():
                if shown:
                    errors[name] = float(np.maximum(errors[name], lower_median(shown)))
            found.append(errors)
        return found

    def within_tolerance(self) -> bool:
        """Whether all that was compared is within the tolerance; NaN is not."""
        losses = [error for c in self.candidates for error in c.loss_errors]
        updates = [error for errors in self.updates() for error in errors.values()]
        worst = {"loss": float(np.max(losses)), "update": float(np.max(updates))}
        return within(worst, STEP_TOLERANCE)
