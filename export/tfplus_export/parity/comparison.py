"""One comparison with TensorFlow, on one kind of data: does what the policy decides."""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfplus_export.parity import policy
from tfplus_export.parity.candidate import Candidate
from tfplus_export.parity.errors.step_error import output_error
from tfplus_export.parity.errors.verdict import Parity
from tfplus_export.parity.policy import (
    AmplifiedStep,
    Check,
    Evidence,
    Float64,
    FurtherStep,
    Step,
)
from tfplus_export.parity.reference.float64_reference import Float64Evidence
from tfplus_export.parity.reference.float64_rewrite import NoFloat64Error
from tfplus_export.parity.reference.reference import Reference
from tfplus_export.parity.samples.draw import Batch, Draw, padded
from tfplus_export.parity.single_steps import SingleSteps
from tfplus_export.train_step.training import Training

_CLOSING: Mapping[str, Any] = {"Softmax": tf.nn.softmax, "Sigmoid": tf.sigmoid}


def short_rows(training: Training) -> int:
    """How many rows of a batch count in all steps but the last."""
    return policy.short_rows(
        training.train_graph.batch_size,
        batch_dependent=training.batch_dependent,
        draws_noise=training.draws_noise,
    )


class Comparison:
    """The file beside TensorFlow.

    Args:
      content: the flatbuffer.
      model: the Keras model it was made of, whose weights the comparison changes.
      training: the step that it holds.
      steps: how many to take.
      kind: of data, for the manifest.
      draw: where batches come from.
      rng: what they are drawn with.
    """

    def __init__(
        self,
        content: bytes,
        model: keras.Model,
        training: Training,
        *,
        steps: int,
        kind: str,
        draw: Draw,
        rng: np.random.Generator,
    ) -> None:
        self._model, self._training = model, training
        self._steps, self._kind, self._draw, self._rng = steps, kind, draw, rng
        self._size, self._rows = training.train_graph.batch_size, short_rows(training)
        self._initial = model.get_weights()
        self._expected = Reference(model, training)
        self._candidates = [Candidate(content, xnnpack=on) for on in (True, False)]
        self._taken = SingleSteps(self._expected, self._candidates, training)
        inference = draw.inputs(training.infer_graph, rng)
        want = self._expected.outputs(inference)
        self._outputs = [
            _output_error(training, want, c.infer(**inference)) for c in self._candidates
        ]
        self._probes: list[tuple[Batch, Batch]] = []
        self._amplified = self._further = 0
        self._float64: Float64Evidence | None = None
        self._float64_asked = False

    def run(self) -> list[Parity]:
        """Takes checks until the policy needs no more; one verdict with XNNPACK, one without."""
        while (check := policy.next_check(self._evidence())) is not None:
            self._take(check)
        return self._verdicts()

    def _evidence(self) -> Evidence:
        done = len(self._taken.losses) >= self._steps
        return Evidence(
            batch_size=self._size,
            rows=self._rows,
            steps_asked=self._steps,
            steps=len(self._taken.losses) - self._further,
            hidden=bool(self._taken.hidden),
            amplified=self._amplified,
            unseen=bool(self._taken.unseen),
            within=not done or self._taken.within_tolerance(),
            float64_asked=self._float64_asked,
            float64=self._float64.step if self._float64 else None,
            holds=not done or all(verdict.holds for verdict in self._verdicts()),
            further=self._further,
        )

    def _take(self, check: Check) -> None:
        if isinstance(check, Step):
            batch = self._draw.batch(self._training, self._rng)
            if check.warm_up:
                self._expected.warm_up(_first(batch, self._rows))
            among = self._among(without_xnnpack=check.without_xnnpack)
            self._taken.take(batch, check.rows, check.first, among, find_hidden=True)
        elif isinstance(check, AmplifiedStep):
            among = self._among(without_xnnpack=check.without_xnnpack)
            probe = self._drawn_probes()[check.probe]
            self._amplify(probe, among, initial=check.weights == "initial")
            self._amplified += 1
        elif isinstance(check, Float64):
            self._ask_float64()
        else:
            self._take_further(check)

    def _among(self, *, without_xnnpack: bool) -> list[Candidate]:
        return self._candidates if without_xnnpack else self._candidates[:1]

    def _drawn_probes(self) -> list[tuple[Batch, Batch]]:
        if not self._probes:
            drawn = [self._draw.batch(self._training, self._rng) for _ in range(policy.PROBES)]
            self._probes = [self._probe(batch, 0) for batch in drawn]
        return self._probes

    def _probe(self, batch: Batch, first: int) -> tuple[Batch, Batch]:
        """The samples for TensorFlow, and with padding for the file."""
        return _first(batch, self._rows), padded(self._training, batch, self._rows, first)

    def _amplify(
        self, probe: tuple[Batch, Batch], among: Sequence[Candidate], *, initial: bool
    ) -> None:
        trained = self._model.get_weights()
        if initial:
            self._model.set_weights(self._initial)
        self._taken.amplify([probe], among)
        self._model.set_weights(trained)

    def _ask_float64(self) -> None:
        self._float64_asked = True
        trained = self._model.get_weights()
        # Frees the memory that float64 needs.
        for candidate in self._candidates:
            candidate.close()
        with contextlib.suppress(NoFloat64Error):
            states = [trained, self._initial]
            self._float64 = self._expected.in_float64(self._drawn_probes(), states, self._training)
        self._model.set_weights(trained)

    def _take_further(self, check: FurtherStep) -> None:
        if self._float64_asked and not self._further:
            for candidate in self._candidates:
                candidate.open()
        self._further += 1
        batch = self._draw.batch(self._training, self._rng)
        among = self._candidates
        self._taken.take(batch, check.rows, check.first, among, find_hidden=False)
        probe = self._probe(batch, check.first)
        for initial in (True, False):
            self._amplify(probe, among, initial=initial)

    def _verdicts(self) -> list[Parity]:
        taken, float64 = self._taken, self._float64
        own = float64 or Float64Evidence(0.0, 0.0, 0.0)
        found: list[Parity] = []
        for candidate, errors, output in zip(
            taken.candidates, taken.updates(), self._outputs, strict=True
        ):
            # NaN is no rounding, whatever the gradient should be.
            compared = {n: e for n, e in errors.items() if np.isnan(e) or not own.vanishes(n)}
            compared = compared or errors
            worst = max(compared, key=lambda n: np.nan_to_num(compared[n], nan=np.inf))
            found.append(
                Parity(
                    steps=len(candidate.loss_errors),
                    batch_size=self._size,
                    loss=float(np.max(candidate.loss_errors)),
                    outputs=output,
                    update=errors[worst],
                    worst_variable=worst,
                    magnified=len(taken.hidden),
                    unseen=sum(not own.vanishes(n) for n in taken.unseen),
                    float64=float64.step if float64 else None,
                    own_loss=own.own_loss,
                    own_update=own.own_update,
                    xnnpack=candidate.xnnpack,
                    data=self._kind,
                    first_loss=taken.losses[0],
                )
            )
        return found


def _first(batch: Batch, rows: int) -> Batch:
    return {name: value[:rows] for name, value in batch.items()}


def _output_error(
    training: Training, want: Sequence[np.ndarray], got: Mapping[str, np.ndarray]
) -> float:
    errors: list[float] = []
    for head, expected in zip(training.loss_heads, want, strict=True):
        found = [got[head.output]]
        if head.logits:
            # The logits lead to the same output.
            found.append(np.asarray(_CLOSING[head.given.closing or ""](got[head.logits])))
        errors += [output_error(expected, f) for f in found]
    return float(np.max(errors))
