"""Does the exported file compute what TensorFlow computes? Asked at every export.

The same batches train the Keras model under `tf.GradientTape`, with Keras' own loss and optimizer,
and the file under LiteRT, with and without XNNPACK. The file is put to TensorFlow's state before
each step, and the step's loss and its update of every variable are compared. A free run would not
tell whether each gradient is right: a pre-activation of ±1e-9 falls on either side of a ReLU, and
the two drift apart.

An optimizer that divides by the size of past gradients, such as Adam, starts from the state that
some training would leave, as large as the layer's gradients are: its update is then as right or
wrong as the gradient. From zeros it would be the gradient's sign, whatever the gradient's size: a
bias in front of a batch normalization, whose gradient is rounding noise, would move as far as any
weight, and in another direction than TensorFlow's.
"""

from __future__ import annotations

import contextlib
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus_export.parity.candidate import Candidate
from tfplus_export.parity.float64_reference import Precise
from tfplus_export.parity.float64_rewrite import NoDoubleError
from tfplus_export.parity.reference import Reference
from tfplus_export.parity.samples import Draw, RandomSamples, padded
from tfplus_export.parity.single_steps import SingleSteps
from tfplus_export.parity.verdict import EXACT, TOLERANCE, Parity
from tfplus_export.train_step.training import Training

# Rows that count in all steps but the last. The fewer activations, the rarer one that lies so close
# to a ReLU's corner or to a second maximum that rounding decides where its gradient goes.
SHORT_ROWS = 2
# With batch statistics, more: normalized over two rows, everything is ±1 and gradients vanish.
SHORT_ROWS_OF_STATISTICS = 8
# TFLite's own BATCH_MATMUL is much slower than XNNPACK's.
STEPS_WITHOUT_XNNPACK = 1
# So many further batches are for updates that cannot be seen beside their weight, and, where an
# error is above its tolerance, for double precision.
PROBES = 2
# So many further steps where something is off beyond its limits that float64 does not refute: one
# activation at a ReLU's corner may have struck the few before.
FURTHER = 3

_CLOSING: Mapping[str, Any] = {"Softmax": tf.nn.softmax, "Sigmoid": tf.sigmoid}


def verify(
    content: bytes,
    model: keras.Model,
    training: Training,
    *,
    steps: int,
    seed: int,
    real: Draw | None = None,
) -> dict[str, Any]:
    """Compares the file with TensorFlow; the model's weights are put back afterwards.

    Args:
      content: the flatbuffer.
      model: the Keras model it was made of.
      training: the step that it holds.
      steps: how many batches of each kind of data.
      seed: of those data.
      real: the user's own samples, beside random ones.

    Returns:
      What was measured, for the manifest.

    Raises:
      ExportError: an error is above its tolerance; nothing should be written then.
    """
    kinds: dict[str, Draw] = {"random": RandomSamples()} | ({"real": real} if real else {})
    kept = model.get_weights()
    results: list[Parity] = []
    for kind, draw in kinds.items():
        rng = np.random.default_rng(seed)
        try:
            results += _measure(content, model, training, steps, rng, kind, draw)
        finally:
            model.set_weights(kept)
    for result in results:
        if not result.holds:
            raise ExportError(result.complaint)
    return {
        "against": f"tf.GradientTape, TensorFlow {tf.__version__}, Keras {keras.__version__}",
        "data": {kind: draw.describe(seed) for kind, draw in kinds.items()},
        "rows": f"{short_rows(training)} a step, the rest padding; the last step full",
        "tolerance": TOLERANCE,
        "runs": [asdict(result) for result in results],
    }


def short_rows(training: Training) -> int:
    """How many rows of a batch count in all steps but the last."""
    batch = training.train_graph.batch_size
    if not training.batch_dependent:
        return min(SHORT_ROWS, batch)
    if training.draws_noise:
        # Padding that repeats a row draws noise of its own, and so has statistics of its own.
        return batch
    # A divisor, so that padding can repeat each row equally often.
    return next(
        (n for n in range(SHORT_ROWS_OF_STATISTICS, batch) if batch % n == 0),
        batch,
    )


def _measure(
    content: bytes,
    model: keras.Model,
    training: Training,
    steps: int,
    rng: np.random.Generator,
    kind: str,
    draw: Draw,
) -> list[Parity]:
    size = training.train_graph.batch_size
    rows = short_rows(training)
    initial = model.get_weights()
    expected = Reference(model, training)
    candidates = [Candidate(content, xnnpack=on) for on in (True, False)]
    taken = SingleSteps(expected, candidates, training)
    inference = draw.inputs(training.infer_graph, rng)
    want = expected.outputs(inference)
    outputs = [_output_error(training, want, c.infer(**inference)) for c in candidates]
    # Other places in each step: what goes wrong behind the first rows alone would not show.
    for step in range(steps):
        batch = draw.batch(training, rng)
        if step == 0:
            expected.settle({n: v[:rows] for n, v in batch.items()})
        counted = size if step == steps - 1 else rows
        among = candidates if step < STEPS_WITHOUT_XNNPACK else candidates[:1]
        taken.take(batch, counted, (step + 1) * size // steps, among)
    drawn = [draw.batch(training, rng) for _ in range(PROBES)]
    probes = [({n: v[:rows] for n, v in b.items()}, padded(training, b, rows)) for b in drawn]
    trained = model.get_weights()
    # Where training has made gradients vanish, there is nothing left that could be off.
    model.set_weights(initial)
    taken.magnify(probes[:1], candidates)
    model.set_weights(trained)
    taken.magnify(probes[1:], candidates[:1])
    # Frees the memory that double precision needs.
    for candidate in candidates:
        candidate.close()
    precise: Precise | None = None
    if taken.unseen or not taken.holds():
        with contextlib.suppress(NoDoubleError):
            precise = expected.in_double(probes, [trained, initial], training)
        model.set_weights(trained)
    results = _results(taken, outputs, precise, size, kind)
    refuted = precise is not None and not precise.step <= EXACT
    if not refuted and not all(result.holds for result in results):
        for candidate in candidates:
            candidate.open()
        for step in range(FURTHER):
            first = (2 * step + 1) * size // (2 * FURTHER)
            batch = draw.batch(training, rng)
            taken.take(batch, rows, first, candidates)
            probe = {n: v[:rows] for n, v in batch.items()}, padded(training, batch, rows, first)
            # Half from either state: in one of them gradients may vanish, or be chaos.
            trained = model.get_weights()
            model.set_weights(initial)
            taken.magnify([probe], candidates)
            model.set_weights(trained)
            taken.magnify([probe], candidates)
        for candidate in candidates:
            candidate.close()
        results = _results(taken, outputs, precise, size, kind)
    return results


def _results(
    taken: SingleSteps,
    outputs: Sequence[float],
    precise: Precise | None,
    batch_size: int,
    kind: str,
) -> list[Parity]:
    own = precise or Precise(0.0, 0.0, 0.0)
    results: list[Parity] = []
    for candidate, errors, output in zip(taken.candidates, taken.updates(), outputs, strict=True):
        # NaN is no rounding, whatever the gradient should be.
        compared = {n: e for n, e in errors.items() if np.isnan(e) or not own.vanishes(n)} or errors
        worst = max(compared, key=lambda n: np.nan_to_num(compared[n], nan=np.inf))
        results.append(
            Parity(
                steps=len(candidate.loss_errors),
                batch_size=batch_size,
                loss=float(np.max(candidate.loss_errors)),
                outputs=output,
                update=errors[worst],
                worst_variable=worst,
                magnified=len(taken.small),
                unseen=sum(not own.vanishes(n) for n in taken.unseen),
                float64=precise.step if precise else None,
                own_loss=own.own_loss,
                own_update=own.own_update,
                xnnpack=candidate.xnnpack,
                data=kind,
                first_loss=taken.losses[0],
            )
        )
    return results


def _output_error(
    training: Training, want: Sequence[np.ndarray], got: Mapping[str, np.ndarray]
) -> float:
    errors: list[float] = []
    for head, expected in zip(training.heads, want, strict=True):
        scale = max(float(np.max(np.abs(expected))), 1e-6)
        found = [got[head.output]]
        if head.logits:
            # The logits lead to the same output.
            found.append(np.asarray(_CLOSING[head.given.closing or ""](got[head.logits])))
        errors += [float(np.max(np.abs(f - expected))) / scale for f in found]
    return float(np.max(errors))
