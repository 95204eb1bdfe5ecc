"""A Keras model trained by TensorFlow alone, which the exported file is compared with."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Generator, Sequence
from functools import reduce
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf

from tfplus_export.lowering.engine.noise import STATE
from tfplus_export.optimizers.base import LEARNING_RATE, scalar, warm_second_moments
from tfplus_export.parity.errors.float32_noise import Float32Noise, Found, measure
from tfplus_export.parity.errors.step_error import EXACT, layer_of
from tfplus_export.parity.reference.float64_reference import (
    NUDGES,
    Float64Evidence,
    Float64Step,
    compare,
)
from tfplus_export.parity.reference.float64_rewrite import (
    Float64Function,
    Nudge,
    last_bit,
    unchanged,
)
from tfplus_export.parity.reference.reference_noise import ReferenceNoise
from tfplus_export.parity.samples.draw import Batch
from tfplus_export.tracing import model_io
from tfplus_export.tracing.graph import inlined, layers_of
from tfplus_export.tracing.unrolling import unrolled
from tfplus_export.train_step.loss_heads import SAMPLE_WEIGHT
from tfplus_export.train_step.training import Training

_REDUCTIONS = {"mean": "sum_over_batch_size", "sum": "sum"}


class Reference:
    """The Keras model, trained by TensorFlow alone."""

    def __init__(self, model: keras.Model, training: Training) -> None:
        self._model = model
        self._names = {w.index: w.name for w in training.weights}
        self._noise = ReferenceNoise([*training.train_graph.random.values()])
        self._draws_noise = training.draws_noise
        trainable = [i for i, v in enumerate(model.variables) if v.trainable]
        self._variables = [v for v in model.variables if v.trainable]
        self._trainable = [self._names.get(i, "") for i in trainable]
        self._rule = training.optimizer
        self._optimizer = self._rule.keras(dict(zip(self._trainable, self._variables, strict=True)))
        self._optimizer.build(self._variables)
        self._heads = training.loss_heads
        self._inputs = list(training.train_graph.inputs)
        losses = [h.given.keras(_REDUCTIONS[h.reduction]) for h in training.loss_heads]

        def gradients(batch: Any) -> Any:
            with tf.GradientTape() as tape, self._noise.drawn():
                outputs = model_io.call(model, [batch[n] for n in self._inputs], training=True)
                loss: Any = 0.0
                for head, loss_of, output in zip(self._heads, losses, outputs, strict=True):
                    weight = batch.get(SAMPLE_WEIGHT)
                    if weight is not None:
                        weight = tf.reshape(weight, [-1] + [1] * (len(output.shape) - 2))
                    part: Any = loss_of(batch[head.target], output, weight)
                    loss += head.weight * part
                for regularizer in model.losses:
                    loss += regularizer
            parts: Any = tape.gradient(cast("Any", loss), self._variables)
            # That of an embedding comes as one slice a token, and Keras' Adam would add up the
            # squares of a row's slices where its gradient is their sum.
            return loss, [tf.convert_to_tensor(p) if _is_sliced(p) else p for p in parts]

        def apply(gradients: Any) -> None:
            self._optimizer.apply_gradients(zip(gradients, self._variables, strict=True))

        self._compute = gradients
        self._gradients: Any = _for_any_batch(gradients, training)
        self._apply: Any = tf.function(apply, autograph=False)

    def warm_up(self, batch: Batch) -> None:
        """Puts the optimizer's second moments to the size of the gradients of each layer."""
        _, gradients = self._gradients(_tensors(batch))
        largest: dict[str, float] = {}
        for name, gradient in zip(self._trainable, gradients, strict=True):
            if gradient is not None:
                size = float(np.sqrt(np.mean(np.square(tf.convert_to_tensor(gradient)))))
                largest[layer_of(name)] = max(size, largest.get(layer_of(name), 0.0))
        sizes = [largest.get(layer_of(name), 0.0) for name in self._trainable]
        warm_second_moments(self._rule, self._optimizer, sizes)

    def in_float64(
        self,
        batches: Sequence[tuple[Batch, Batch]],
        states: Sequence[Sequence[np.ndarray]],
        training: Training,
    ) -> Float64Evidence:
        """What double precision tells of the step and of TensorFlow's float32.

        Args:
          batches: samples for TensorFlow, and with padding for the step.
          states: weights of the model to look at each batch with; the last stay.
          training: the step.

        Raises:
          NoFloat64Error: an operation knows float32 alone.
        """
        exact = self._exact(batches[0][0])
        step = Float64Step(training)
        found: list[Float64Evidence] = []
        for weights in states:
            self._model.set_weights(list(weights))
            state, random = self.state(), self._noise.state()
            for real, batch in batches:
                results = exact(real), self._float32(real), step(batch, state, random)
                told = compare(*results)
                if not told.step <= EXACT:
                    nudges = [last_bit(seed) for seed in range(NUDGES)]
                    nudged = [(exact(real, n), step(batch, state, random, n)) for n in nudges]
                    told = compare(*results, nudged)
                found.append(told)
        return reduce(Float64Evidence.worse, found)

    def float32_noise(self, batches: Sequence[Batch]) -> list[Float32Noise]:
        """How far TensorFlow's float32 is off its float64, with the weights as they are.

        Args:
          batches: of samples, all of one size.

        Raises:
          NoFloat64Error: an operation knows float32 alone.
        """
        exact = self._exact(batches[0])
        return [measure(exact(batch), self._float32(batch)) for batch in batches]

    def _exact(self, batch: Batch) -> Callable[..., Found]:
        """TensorFlow's loss and gradients in float64, of batches as large as this one."""
        function = tf.function(self._compute, autograph=False)
        # Loops are written out: what calls a function cannot be rewritten.
        with inlined(), unrolled(layers_of(self._model)):
            traced = function.get_concrete_function(_tensors(batch))
        exact = Float64Function(traced)
        _, parts = traced.structured_outputs

        def found(batch: Batch, nudge: Nudge = unchanged) -> Found:
            given = tf.nest.flatten(_tensors(batch))
            return self._found(exact([np.asarray(t) for t in given], nudge), parts)

        return found

    def _float32(self, batch: Batch) -> Found:
        loss, parts = self._gradients(_tensors(batch))
        return self._found([loss, *(p for p in parts if p is not None)], parts)

    def _found(self, values: Sequence[Any], parts: Sequence[Any]) -> Found:
        names = [n for n, p in zip(self._trainable, parts, strict=True) if p is not None]
        loss, *gradients = values
        return float(loss), {n: np.asarray(g) for n, g in zip(names, gradients, strict=True)}

    def outputs(self, batch: Batch) -> list[np.ndarray]:
        """What the model returns for one inference batch, an array for each head."""
        values = [tf.constant(batch[n]) for n in self._inputs]
        return [np.asarray(o) for o in model_io.call(self._model, values, training=False)]

    def step(self, batch: Batch) -> float:
        """Trains on one batch and returns its loss."""
        loss, gradients = self._gradients(_tensors(batch))
        self._apply(gradients)
        self._noise.advance()
        return float(loss)

    @contextlib.contextmanager
    def amplified(self, factor: float) -> Generator[None]:
        """Within, the learning rate is so many times as high; what changes is put back at the end.

        Args:
          factor: a power of two.
        """
        weights, noise = self._model.get_weights(), self._noise.state()
        kept = [variable.numpy() for variable in self._optimizer.variables]
        untyped: Any = self._optimizer
        untyped.learning_rate = float(untyped.learning_rate) * factor
        try:
            yield
        finally:
            self._model.set_weights(weights)
            self._noise.put(noise)
            for variable, value in zip(self._optimizer.variables, kept, strict=True):
                variable.assign(value)

    def state(self) -> dict[str, np.ndarray]:
        """Every variable of the exported model, with the value it has here."""
        # Keras collects them anew each time.
        variables = self._model.variables
        weights = {n: np.array(variables[i].numpy()) for i, n in self._names.items()}
        untyped: Any = self._optimizer
        state = self._rule.keras_state(untyped, self._trainable)
        state[LEARNING_RATE] = scalar(float(untyped.learning_rate))
        if self._draws_noise:
            state[STATE] = self._noise.state()
        return weights | {n: v for n, v in state.items() if not n.endswith("/")}


def _for_any_batch(gradients: Any, training: Training) -> Any:
    """A function of a batch, traced once for all batch sizes, as Keras does when it trains."""
    specs = {
        name: tf.TensorSpec([None, *info.shape[1:]], info.dtype)
        for name, info in training.arguments().items()
    }
    function: Any = tf.function(gradients, autograph=False)
    try:
        return function.get_concrete_function(specs)
    except Exception:
        # What the model's own code raises where it wants to know the batch size.
        return function


def _tensors(batch: Batch) -> dict[str, Any]:
    return {name: tf.constant(value) for name, value in batch.items()}


def _is_sliced(gradient: Any) -> bool:
    return isinstance(gradient, tf.IndexedSlices)
