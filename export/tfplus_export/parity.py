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

import statistics
from collections.abc import Collection
from dataclasses import asdict, dataclass
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tfplus.errors import ExportError
from tfplus_export.lowering.noise import STATE
from tfplus_export.reference_noise import ReferenceNoise
from tfplus_export.training import Training
from tfplus_export.update_error import State, layer_of, layer_rounding, update_error

# Rows that count in all steps but the last. The fewer activations, the rarer one that lies so close
# to a ReLU's corner or to a second maximum that rounding decides where its gradient goes.
SHORT_ROWS = 2
# With batch statistics, more: normalized over two rows, everything is ±1 and gradients vanish.
SHORT_ROWS_OF_STATISTICS = 8
# TFLite's own BATCH_MATMUL is much slower than XNNPACK's.
STEPS_WITHOUT_XNNPACK = 2
TOLERANCE = {"loss": 1e-4, "logits": 1e-4, "update": 1e-3}


@dataclass(frozen=True)
class Parity:
    """How far the file was off, as relative errors.

    Attributes:
      steps: optimizer steps that were compared.
      batch_size: samples in each.
      loss: largest error of a loss.
      logits: largest error of `infer` before training, relative to the largest logit.
      update: error of a variable's update in one step, ‖got − want‖₂ / ‖want‖₂; the lower
        median over the steps (a ReLU that flips strikes one step, a wrong gradient all), for the
        worst variable. What float32 cannot resolve beside the variable itself is left out.
      worst_variable: the variable of that error.
      xnnpack: whether the file ran with XNNPACK.
    """

    steps: int
    batch_size: int
    loss: float
    logits: float
    update: float
    worst_variable: str
    xnnpack: bool

    @property
    def holds(self) -> bool:
        """Whether every error is within its tolerance; NaN is not."""
        return all(getattr(self, name) <= limit for name, limit in TOLERANCE.items())


class Reference:
    """The Keras model, trained by TensorFlow alone."""

    def __init__(self, model: keras.Model, training: Training) -> None:
        self._model = model
        self._names = {w.index: w.name for w in training.weights}
        self._noise = ReferenceNoise([*training.train_graph.random.values()])
        self._draws_noise = training.draws_noise
        trainable = [i for i, v in enumerate(model.variables) if v.trainable]
        self._variables = [model.variables[i] for i in trainable]
        self._trainable = [self._names.get(i, "") for i in trainable]
        self._rule = training.optimizer
        self._optimizer = self._rule.keras(dict(zip(self._trainable, self._variables, strict=True)))
        self._optimizer.build(self._variables)
        loss_of = keras.losses.SparseCategoricalCrossentropy(from_logits=training.from_logits)

        def gradients(x: Any, y: Any) -> Any:
            with tf.GradientTape() as tape, self._noise.drawn():
                loss = loss_of(y, model(x, training=True))
            return loss, tape.gradient(cast("Any", loss), self._variables)

        def apply(gradients: Any) -> None:
            self._optimizer.apply_gradients(zip(gradients, self._variables, strict=True))

        self._gradients: Any = tf.function(gradients, autograph=False)
        self._apply: Any = tf.function(apply, autograph=False)

    def settle(self, x: np.ndarray, y: np.ndarray) -> None:
        """Puts the optimizer's means of squares to the size of the gradients of each layer."""
        _, gradients = self._gradients(x, y)
        largest: dict[str, float] = {}
        for name, gradient in zip(self._trainable, gradients, strict=True):
            if gradient is not None:
                size = float(np.sqrt(np.mean(np.square(tf.convert_to_tensor(gradient)))))
                largest[layer_of(name)] = max(size, largest.get(layer_of(name), 0.0))
        sizes = [largest.get(layer_of(name), 0.0) for name in self._trainable]
        self._rule.settle(self._optimizer, sizes)

    def outputs(self, x: np.ndarray) -> np.ndarray:
        """What the model returns for one inference batch."""
        return np.asarray(self._model(x, training=False))

    def step(self, x: np.ndarray, y: np.ndarray) -> float:
        """Trains on one batch and returns its loss."""
        loss, gradients = self._gradients(x, y)
        self._apply(gradients)
        self._noise.advance()
        return float(loss)

    def state(self) -> dict[str, np.ndarray]:
        """Every variable of the exported model, with the value it has here."""
        weights = {n: np.array(self._model.variables[i].numpy()) for i, n in self._names.items()}
        state = self._rule.keras_state(self._optimizer, self._trainable)
        if self._draws_noise:
            state[STATE] = self._noise.state()
        return weights | {n: v for n, v in state.items() if not n.endswith("/")}


class Candidate:
    """The exported file under LiteRT."""

    def __init__(self, content: bytes, trainable: Collection[str], *, xnnpack: bool) -> None:
        resolver = (
            OpResolverType.AUTO if xnnpack else OpResolverType.BUILTIN_WITHOUT_DEFAULT_DELEGATES
        )
        self.xnnpack = xnnpack
        self._trainable = trainable
        self._interpreter = Interpreter(
            model_content=content, num_threads=2, experimental_op_resolver_type=resolver
        )
        self.infer = self._interpreter.get_signature_runner("infer")
        self._restore = self._interpreter.get_signature_runner("restore")
        self._train = self._interpreter.get_signature_runner("train")
        self._save = self._interpreter.get_signature_runner("save")
        self.loss_errors: list[float] = []
        self.update_errors: dict[str, list[float]] = {}

    def step(self, x: np.ndarray, y: np.ndarray, before: State, after: State, loss: float) -> None:
        """Takes one step from TensorFlow's state and notes the errors."""
        self._restore(**before)
        got = float(self._train(x=x, y=y)["loss"][0])
        self.loss_errors.append(abs(got - loss) / max(abs(loss), 1e-6))
        state = self._save()
        rounding = layer_rounding(before, after, self._trainable)
        for name, want in after.items():
            error = update_error(before[name], want, state[name], rounding[name])
            self.update_errors.setdefault(name, []).append(error)


def verify(
    content: bytes, model: keras.Model, training: Training, *, steps: int, seed: int
) -> dict[str, Any]:
    """Compares the file with TensorFlow; the model's weights are put back afterwards.

    Args:
      content: the flatbuffer.
      model: the Keras model it was made of.
      training: the step that it holds.
      steps: how many batches of random data.
      seed: of those data.

    Returns:
      What was measured, for the manifest.

    Raises:
      ExportError: an error is above its tolerance; nothing should be written then.
    """
    kept = model.get_weights()
    try:
        results = _measure(content, model, training, steps, np.random.default_rng(seed))
    finally:
        model.set_weights(kept)
    for result in results:
        if not result.holds:
            raise ExportError(_complaint(result))
    return {
        "against": f"tf.GradientTape, TensorFlow {tf.__version__}, Keras {keras.__version__}",
        "data": f"standard normal, seed {seed}",
        "rows": f"{_short_rows(training)} a step, the rest padding; the last step full",
        "tolerance": TOLERANCE,
        "runs": [asdict(result) for result in results],
    }


def _short_rows(training: Training) -> int:
    batch = int(training.train_graph.x.shape[0])
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
    content: bytes, model: keras.Model, training: Training, steps: int, rng: np.random.Generator
) -> list[Parity]:
    shape = [int(d) for d in training.train_graph.x.shape]
    infer_shape = [int(d) for d in training.infer_graph.x.shape]
    classes = int(training.train_graph.output.shape[-1])
    short_rows = _short_rows(training)
    expected = Reference(model, training)
    trainable = [w.name for w in training.weights if w.trainable]
    candidates = [Candidate(content, trainable, xnnpack=on) for on in (True, False)]
    infer_x = rng.standard_normal(infer_shape, np.float32)
    want = expected.outputs(infer_x)
    logits_errors = [
        _output_error(want, c.infer(x=infer_x)["logits"], training.from_logits) for c in candidates
    ]
    for step in range(steps):
        x = rng.standard_normal(shape, np.float32)
        y = rng.integers(0, classes, shape[0], np.int32)
        rows = shape[0] if step == steps - 1 else short_rows
        if training.batch_dependent:
            x = np.resize(x[:rows], shape)
        if step == 0:
            expected.settle(x[:rows], y[:rows])
        before = expected.state()
        loss = expected.step(x[:rows], y[:rows])
        after = expected.state()
        y[rows:] = -1
        for candidate in candidates:
            if candidate.xnnpack or step < STEPS_WITHOUT_XNNPACK:
                candidate.step(x, y, before, after, loss)
    results: list[Parity] = []
    for candidate, logits_error in zip(candidates, logits_errors, strict=True):
        medians = {n: statistics.median_low(e) for n, e in candidate.update_errors.items()}
        worst = max(medians, key=lambda n: np.nan_to_num(medians[n], nan=np.inf))
        results.append(
            Parity(
                steps=len(candidate.loss_errors),
                batch_size=shape[0],
                loss=float(np.max(candidate.loss_errors)),
                logits=logits_error,
                update=medians[worst],
                worst_variable=worst,
                xnnpack=candidate.xnnpack,
            )
        )
    return results


def _output_error(want: np.ndarray, logits: np.ndarray, from_logits: bool) -> float:
    got = logits
    if not from_logits:
        got = np.exp(logits - logits.max(1, keepdims=True))
        got /= got.sum(1, keepdims=True)
    return float(np.max(np.abs(got - want)) / max(float(np.max(np.abs(want))), 1e-6))


def _complaint(result: Parity) -> str:
    errors = ", ".join(
        f"{name} {getattr(result, name):.1e} (at most {limit:.0e})"
        for name, limit in TOLERANCE.items()
    )
    return (
        "the exported step does not compute what TensorFlow does "
        f"({'with' if result.xnnpack else 'without'} XNNPACK, {result.steps} steps): relative "
        f"errors {errors}, worst at '{result.worst_variable}'. No file was written. A very large "
        "learning rate can cause this; else it is a bug worth reporting"
    )
