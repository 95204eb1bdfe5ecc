"""Is the lowered step right where rounding decides nothing? Both sides in float64.

A deep net with batch statistics of few values amplifies float32 rounding to per cents, in
TensorFlow as here. In double precision nothing is left of that: the step as lowered and
TensorFlow's own gradients agree to many digits, or a rule is wrong. And TensorFlow's float32 beside
its float64 tells what float32 is worth.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from tfplus.errors import ExportError
from tfplus.tensors.slices import weight_of
from tfplus_export.parity.errors import float32_noise
from tfplus_export.parity.errors.float32_noise import Found
from tfplus_export.parity.errors.step_error import EXACT, layer_rounding, loss_error, norm
from tfplus_export.parity.reference.float64_rewrite import (
    NoFloat64Error,
    Nudge,
    as_float64,
    constants,
    plain_session,
    run,
    unchanged,
)
from tfplus_export.tf_types import Tensor
from tfplus_export.train_step.signatures import tensor_specs
from tfplus_export.train_step.training import Training

# Double precision itself rounds. How much shows where it starts from neighbouring numbers; one such
# difference may be small by chance.
NUDGES = 3
_TIMES = 10.0


@dataclass(frozen=True)
class Float64Evidence:
    """What double precision tells of a step, as relative errors in the 2-norm.

    Attributes:
      step: largest error of a gradient of the lowered step, both sides in float64.
      own_loss: error of TensorFlow's loss in float32.
      own_update: largest error of a gradient in TensorFlow's float32, beyond rounding alone.
      vanishing: variables whose gradient is zero by nature, such as a shift between two batch
        normalizations, or lost in TensorFlow's float32, such as a saturated sigmoid's: in float32
        it is rounding, and nothing to compare.
    """

    step: float
    own_loss: float
    own_update: float
    vanishing: frozenset[str] = frozenset()

    def vanishes(self, name: str) -> bool:
        """Whether a variable has no gradient, or is what the optimizer keeps for such a one."""
        return weight_of(name) in self.vanishing

    def worse(self, other: Float64Evidence) -> Float64Evidence:
        """The larger of two measurements, each for itself."""
        return Float64Evidence(
            max(self.step, other.step),
            max(self.own_loss, other.own_loss),
            max(self.own_update, other.own_update),
            self.vanishing & other.vanishing,
        )


def compare(
    exact: Found, float32: Found, step: Found, nudged: Sequence[tuple[Found, Found]] = ()
) -> Float64Evidence:
    """What one batch tells.

    Args:
      exact: TensorFlow's loss, and name → gradient, in float64.
      float32: TensorFlow's in float32.
      step: those of the lowered step in float64.
      nudged: `exact` and `step` once more, from numbers that differ in the last bit of float64.
    """
    loss, gradients = exact
    noise = float32_noise.measure(exact, float32)
    zeros = {name: np.zeros_like(gradient) for name, gradient in gradients.items()}
    rounding = layer_rounding(zeros, gradients, list(zeros))
    errors = [loss_error(loss, step[0])]
    for name, gradient in gradients.items():
        # What is zero by nature is compared with what float32 could tell from zero.
        least = max(rounding[name], noise.tiny) * math.sqrt(gradient.size)
        # A gradient that the step does not have is zero.
        error = norm(step[1].get(name, 0.0) - gradient)
        own = _own_rounding(name, exact, step, nudged)
        error = max(error - _TIMES * own, 0.0) if own > 0 else error
        errors.append(error / max(norm(gradient), least, 1e-30))
    worst = float(np.max(errors))
    # Only then is there another witness.
    vanishing = noise.vanishing | (noise.lost if worst <= EXACT else frozenset())
    own_update = max(noise.gradients.values(), default=0.0)
    return Float64Evidence(worst, noise.loss, own_update, vanishing)


def _own_rounding(
    name: str, exact: Found, step: Found, nudged: Sequence[tuple[Found, Found]]
) -> float:
    """What double precision makes of one gradient, in the 2-norm; 0 where that is not finite.

    A sum of terms that cancel, such as the gradient of a shift between two batch normalizations,
    is as uncertain as its terms are large. What is wrong stays wrong in the same way.
    """
    moved = [
        norm(np.subtract(also[1].get(name, 0.0), got[1].get(name, 0.0)))
        for pair in nudged
        for also, got in zip(pair, (exact, step), strict=True)
    ]
    largest = max(moved, default=0.0)
    return largest if math.isfinite(largest) else 0.0


class Float64Step:
    """The lowered step's loss and gradients, traced anew in float64.

    Raises:
      NoFloat64Error: a rule or an operation knows float32 alone.
    """

    def __init__(self, training: Training) -> None:
        specs = tensor_specs(training.arguments())
        self._batch = list(specs)
        self._weights = [w.name for w in training.weights]
        self.names: list[str] = []
        graph = training.train_graph
        graph = dataclasses.replace(graph, constants=constants(graph))
        training = dataclasses.replace(training, train_graph=graph)

        def gradients(*values: Tensor) -> list[Tensor]:
            split = len(self._batch)
            batch = dict(zip(self._batch, values, strict=False))
            weights = dict(zip(self._weights, values[split:], strict=False))
            random = values[-1] if training.draws_noise else None
            metrics, found, _ = training.gradients(batch, weights, random)
            self.names = list(found)
            return [metrics["loss"], *found.values()]

        given = [tf.TensorSpec(s.shape, _in_float64(s.dtype)) for s in specs.values()]
        given += [tf.TensorSpec(w.shape, tf.float64) for w in training.weights]
        if training.draws_noise:
            given.append(tf.TensorSpec([4], tf.float32))
        function = tf.function(gradients, autograph=False, input_signature=given)
        try:
            traced: Any = function.get_concrete_function()
        except (ExportError, TypeError, ValueError, tf.errors.OpError) as error:
            raise NoFloat64Error(str(error)) from error
        self._inputs: list[str] = [t.name for t in traced.inputs]
        self._outputs: list[str] = [t.name for t in traced.outputs]
        self._session = plain_session(traced.graph)

    def __call__(
        self,
        batch: Mapping[str, np.ndarray],
        state: Mapping[str, np.ndarray],
        random: np.ndarray,
        nudge: Nudge = unchanged,
    ) -> Found:
        """Loss and gradients of one batch.

        Args:
          batch: as the exported step takes it.
          state: name → value, of every weight.
          random: state of the noise, float32 [4].
          nudge: what becomes of every float that goes in.
        """
        values = [nudge(as_float64(batch[n])) for n in self._batch]
        values += [nudge(as_float64(state[n])) for n in self._weights]
        values.append(random)
        # Of the noise's state alone there may be no input.
        loss, *found = run(
            self._session, self._outputs, dict(zip(self._inputs, values, strict=False))
        )
        return float(loss[0]), dict(zip(self.names, found, strict=True))


def _in_float64(kind: Any) -> Any:
    return tf.float64 if tf.as_dtype(kind).is_floating else kind
