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
import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus.own_error import allowed
from tfplus_export.comparison.candidate import Candidate
from tfplus_export.comparison.double import NoDoubleError
from tfplus_export.comparison.magnified import hidden, magnified
from tfplus_export.comparison.precise import Precise
from tfplus_export.comparison.reference import Reference
from tfplus_export.comparison.samples import Draw, RandomSamples, padded
from tfplus_export.comparison.update_error import layer_rounding, lower_median
from tfplus_export.training import Training

# Rows that count in all steps but the last. The fewer activations, the rarer one that lies so close
# to a ReLU's corner or to a second maximum that rounding decides where its gradient goes.
SHORT_ROWS = 2
# With batch statistics, more: normalized over two rows, everything is ±1 and gradients vanish.
SHORT_ROWS_OF_STATISTICS = 8
# TFLite's own BATCH_MATMUL is much slower than XNNPACK's.
STEPS_WITHOUT_XNNPACK = 2
# So many further batches are for updates that cannot be seen beside their weight, and, where an
# error is above its tolerance, for double precision.
PROBES = 2
# A step that is exact in double precision may be off by some times what TensorFlow's float32 is
# off, up to a limit.
EXACT = 1e-6
# What one activation does to an update if float32 puts it on the other side of a ReLU's corner.
CORNER = 5e-3
TOLERANCE = {"loss": 1e-4, "outputs": 1e-4, "update": 1e-3}

_CLOSING: Mapping[str, Any] = {"Softmax": tf.nn.softmax, "Sigmoid": tf.sigmoid}


@dataclass(frozen=True)
class Parity:
    """How far the file was off, as relative errors.

    Attributes:
      steps: optimizer steps that were compared.
      batch_size: samples in each.
      loss: largest error of a loss.
      outputs: largest error of `infer` before training, relative to the largest output.
      update: error of a variable's update in one step, ‖got − want‖₂ / ‖want‖₂; the lower
        median over the steps (a ReLU that flips strikes one step, a wrong gradient all), for the
        worst variable. What float32 cannot resolve beside the variable itself is left out.
      worst_variable: the variable of that error.
      magnified: how many weights' updates were so small beside them that they were compared at a
        higher learning rate, too, see `magnified`.
      unseen: how many of those could not be told from rounding even so.
      float64: largest error of a gradient where TensorFlow and the step both compute in double
        precision, see `precise`; None where every error is so small that it was not asked, or where
        an operation knows float32 alone.
      own_loss: how far TensorFlow's own loss in float32 is off its float64; 0 where not asked.
      own_update: likewise its gradients, the worst of all variables: rounding strikes one variable
        now and another then.
      xnnpack: whether the file ran with XNNPACK.
      data: `random`, or `real` for the user's own.
    """

    steps: int
    batch_size: int
    loss: float
    outputs: float
    update: float
    worst_variable: str
    magnified: int
    unseen: int
    float64: float | None
    own_loss: float
    own_update: float
    xnnpack: bool
    data: str

    @property
    def holds(self) -> bool:
        """Whether every error is within its tolerance; NaN is not."""
        return all(getattr(self, name) <= limit for name, limit in self.limits.items())

    @property
    def limits(self) -> dict[str, float]:
        """The error that each may have."""
        return {
            "loss": _limit("loss", self.own_loss, self.float64),
            "outputs": TOLERANCE["outputs"],
            "update": _limit("update", self.own_update, self.float64),
        }


def _limit(of: str, own: float, float64: float | None) -> float:
    """The error that one may have, given TensorFlow's own and the step's in double precision."""
    # NaN is not exact either.
    if float64 is None or not float64 <= EXACT:
        return TOLERANCE[of]
    tolerance = CORNER if of == "update" else TOLERANCE[of]
    return allowed(tolerance, own)


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
            raise ExportError(_complaint(result))
    return {
        "against": f"tf.GradientTape, TensorFlow {tf.__version__}, Keras {keras.__version__}",
        "data": {kind: draw.describe(seed) for kind, draw in kinds.items()},
        "rows": f"{_short_rows(training)} a step, the rest padding; the last step full",
        "tolerance": TOLERANCE,
        "runs": [asdict(result) for result in results],
    }


def _short_rows(training: Training) -> int:
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
    short_rows = _short_rows(training)
    initial = model.get_weights()
    expected = Reference(model, training)
    trainable = frozenset(w.name for w in training.weights if w.trainable)
    candidates = [Candidate(content, xnnpack=on) for on in (True, False)]
    inference = draw.inputs(training.infer_graph, rng)
    want = expected.outputs(inference)
    output_errors = [_output_error(training, want, c.infer(**inference)) for c in candidates]
    small: frozenset[str] = frozenset()
    for step in range(steps):
        batch = draw.batch(training, rng)
        rows = size if step == steps - 1 else short_rows
        real = {n: v[:rows] for n, v in batch.items()}
        if step == 0:
            expected.settle(real)
        before = expected.state()
        loss = expected.step(real)
        if not math.isfinite(loss):
            raise ExportError(
                f"TensorFlow's own training comes to a loss of {loss} in step {step + 1} on {kind} "
                "data, so that nothing can be compared: choose a smaller --learning-rate, or look "
                "at the size of the weights"
            )
        after = expected.state()
        small |= hidden(before, after, trainable, TOLERANCE["update"])
        rounding = layer_rounding(before, after, trainable)
        # Other places in each step: what goes wrong behind the first rows alone would not show.
        batch = padded(training, batch, rows, (step + 1) * size // steps)
        for candidate in candidates:
            if candidate.xnnpack or step < STEPS_WITHOUT_XNNPACK:
                candidate.step(batch, before, after, rounding, loss)
    medians = [
        {n: lower_median(e) for n, e in candidate.update_errors.items()} for candidate in candidates
    ]
    drawn = [draw.batch(training, rng) for _ in range(PROBES)]
    probes = [
        ({n: v[:short_rows] for n, v in batch.items()}, padded(training, batch, short_rows))
        for batch in drawn
    ]
    left: frozenset[str] = frozenset()
    if small:
        seen = magnified(expected, candidates, probes, small, trainable, TOLERANCE["update"])
        left = seen.left
        for errors, of_small in zip(medians, seen.errors, strict=True):
            errors |= {n: float(np.maximum(errors[n], e)) for n, e in of_small.items()}
    for candidate in candidates:
        candidate.close()
    precise: Precise | None = None
    update = np.max([error for errors in medians for error in errors.values()])
    loss = np.max([error for candidate in candidates for error in candidate.loss_errors])
    if left or not (update <= TOLERANCE["update"] and loss <= TOLERANCE["loss"]):
        # Where training has made gradients vanish, there is nothing left that could be off.
        states = [model.get_weights(), initial]
        with contextlib.suppress(NoDoubleError):
            precise = expected.in_double(probes, states, training)
    own = precise or Precise(0.0, 0.0, 0.0)
    float64 = precise.step if precise else None
    results: list[Parity] = []
    for candidate, errors, output_error in zip(candidates, medians, output_errors, strict=True):
        # NaN is no rounding, whatever the gradient should be.
        compared = {n: e for n, e in errors.items() if np.isnan(e) or not own.vanishes(n)} or errors
        worst = max(compared, key=lambda n: np.nan_to_num(compared[n], nan=np.inf))
        results.append(
            Parity(
                steps=len(candidate.loss_errors),
                batch_size=size,
                loss=float(np.max(candidate.loss_errors)),
                outputs=output_error,
                update=errors[worst],
                worst_variable=worst,
                magnified=len(small),
                unseen=sum(not own.vanishes(n) for n in left),
                float64=float64,
                own_loss=own.own_loss,
                own_update=own.own_update,
                xnnpack=candidate.xnnpack,
                data=kind,
            )
        )
    return results


def _output_error(
    training: Training, want: Sequence[np.ndarray], got: Mapping[str, np.ndarray]
) -> float:
    errors: list[float] = []
    for head, expected in zip(training.heads, want, strict=True):
        found = got[head.prediction]
        if head.fused:
            found = np.asarray(_CLOSING[head.given.closing or ""](found))
        scale = max(float(np.max(np.abs(expected))), 1e-6)
        errors.append(float(np.max(np.abs(found - expected))) / scale)
    return float(np.max(errors))


def _complaint(result: Parity) -> str:
    errors = ", ".join(
        f"{name} {getattr(result, name):.1e} (at most {limit:.0e})"
        for name, limit in result.limits.items()
    )
    return (
        "the exported step does not compute what TensorFlow does "
        f"({'with' if result.xnnpack else 'without'} XNNPACK, {result.steps} steps of "
        f"{result.data} data): relative "
        f"errors {errors}, worst at '{result.worst_variable}'. No file was written. A very large "
        "learning rate can cause this; else it is a bug worth reporting"
    )
