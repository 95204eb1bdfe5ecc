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
from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import partial
from typing import Any, cast

import keras
import numpy as np
import tensorflow as tf
from ai_edge_litert.interpreter import Interpreter, OpResolverType

from tfplus.errors import ExportError
from tfplus_export import ports
from tfplus_export.conditioning import OwnError, own_error
from tfplus_export.heads import SAMPLE_WEIGHT
from tfplus_export.lowering.noise import STATE
from tfplus_export.reference_noise import ReferenceNoise
from tfplus_export.samples import Batch, Draw, RandomSamples, padded
from tfplus_export.training import Training
from tfplus_export.update_error import State, layer_of, layer_rounding, update_error

# Rows that count in all steps but the last. The fewer activations, the rarer one that lies so close
# to a ReLU's corner or to a second maximum that rounding decides where its gradient goes.
SHORT_ROWS = 2
# With batch statistics, more: normalized over two rows, everything is ±1 and gradients vanish.
SHORT_ROWS_OF_STATISTICS = 8
# TFLite's own BATCH_MATMUL is much slower than XNNPACK's.
STEPS_WITHOUT_XNNPACK = 2
# How many times TensorFlow's own error an update may be off, and how far at most.
OWN_ERRORS = 3.0
MOST_ERROR = 0.25
PROBES = 4
TOLERANCE = {"loss": 1e-4, "outputs": 1e-4, "update": 1e-3}

_REDUCTIONS = {"mean": "sum_over_batch_size", "sum": "sum"}
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
      own_loss: how far TensorFlow's own loss moves when the weights move by about a rounding, see
        `conditioning`; 0 where every error is so small that it was not asked.
      own_update: likewise its gradient of the worst variable.
      xnnpack: whether the file ran with XNNPACK.
      data: `random`, or `real` for the user's own.
    """

    steps: int
    batch_size: int
    loss: float
    outputs: float
    update: float
    worst_variable: str
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
            "loss": _limit("loss", self.own_loss),
            "outputs": TOLERANCE["outputs"],
            "update": _limit("update", self.own_update),
        }


def _limit(of: str, own: float) -> float:
    """The error that one may have where TensorFlow's own is as large."""
    return max(TOLERANCE[of], min(OWN_ERRORS * own, MOST_ERROR))


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
        self._heads = training.heads
        self._inputs = list(training.train_graph.inputs)
        losses = [h.given.keras(_REDUCTIONS[h.reduction]) for h in training.heads]

        def gradients(batch: Any) -> Any:
            with tf.GradientTape() as tape, self._noise.drawn():
                outputs = ports.call(model, [batch[n] for n in self._inputs], training=True)
                loss: Any = 0.0
                for head, loss_of, output in zip(self._heads, losses, outputs, strict=True):
                    weight = batch.get(SAMPLE_WEIGHT)
                    if weight is not None:
                        weight = tf.reshape(weight, [-1] + [1] * (len(output.shape) - 2))
                    part: Any = loss_of(batch[head.target], output, weight)
                    loss += head.weight * part
                for penalty in model.losses:
                    loss += penalty
            parts: Any = tape.gradient(cast("Any", loss), self._variables)
            # That of an embedding comes as one slice a token, and Keras' Adam would add up the
            # squares of a row's slices where its gradient is their sum.
            return loss, [tf.convert_to_tensor(p) if _is_sliced(p) else p for p in parts]

        def apply(gradients: Any) -> None:
            self._optimizer.apply_gradients(zip(gradients, self._variables, strict=True))

        self._gradients: Any = tf.function(gradients, autograph=False)
        self._apply: Any = tf.function(apply, autograph=False)

    def settle(self, batch: Batch) -> None:
        """Puts the optimizer's means of squares to the size of the gradients of each layer."""
        _, gradients = self._gradients(_tensors(batch))
        largest: dict[str, float] = {}
        for name, gradient in zip(self._trainable, gradients, strict=True):
            if gradient is not None:
                size = float(np.sqrt(np.mean(np.square(tf.convert_to_tensor(gradient)))))
                largest[layer_of(name)] = max(size, largest.get(layer_of(name), 0.0))
        sizes = [largest.get(layer_of(name), 0.0) for name in self._trainable]
        self._rule.settle(self._optimizer, sizes)

    def own_error(self, batches: Sequence[Batch], rng: np.random.Generator) -> OwnError:
        """How far float32 determines the loss and the gradients, see `conditioning`."""
        of_batches = [partial(self._parts, batch) for batch in batches]
        return own_error(of_batches, dict(zip(self._trainable, self._variables, strict=True)), rng)

    def _parts(self, batch: Batch) -> tuple[float, list[np.ndarray | None]]:
        loss, gradients = self._gradients(_tensors(batch))
        return float(loss), [None if g is None else np.asarray(g) for g in gradients]

    def outputs(self, batch: Batch) -> list[np.ndarray]:
        """What the model returns for one inference batch, an array for each head."""
        values = [tf.constant(batch[n]) for n in self._inputs]
        return [np.asarray(o) for o in ports.call(self._model, values, training=False)]

    def step(self, batch: Batch) -> float:
        """Trains on one batch and returns its loss."""
        loss, gradients = self._gradients(_tensors(batch))
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

    def step(self, batch: Batch, before: State, after: State, loss: float) -> None:
        """Takes one step from TensorFlow's state and notes the errors."""
        self._restore(**before)
        got = float(self._train(**batch)["loss"][0])
        self.loss_errors.append(abs(got - loss) / max(abs(loss), 1e-6))
        state = self._save()
        rounding = layer_rounding(before, after, self._trainable)
        for name, want in after.items():
            error = update_error(before[name], want, state[name], rounding[name])
            self.update_errors.setdefault(name, []).append(error)


def _is_sliced(gradient: Any) -> bool:
    return isinstance(gradient, tf.IndexedSlices)


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
    trainable = [w.name for w in training.weights if w.trainable]
    candidates = [Candidate(content, trainable, xnnpack=on) for on in (True, False)]
    inference = draw.inputs(training.infer_graph, rng)
    want = expected.outputs(inference)
    output_errors = [_output_error(training, want, c.infer(**inference)) for c in candidates]
    rows = size
    for step in range(steps):
        batch = draw.batch(training, rng)
        rows = size if step == steps - 1 else short_rows
        real = {n: v[:rows] for n, v in batch.items()}
        if step == 0:
            expected.settle(real)
        before = expected.state()
        loss = expected.step(real)
        after = expected.state()
        batch = padded(training, batch, rows)
        for candidate in candidates:
            if candidate.xnnpack or step < STEPS_WITHOUT_XNNPACK:
                candidate.step(batch, before, after, loss)
    medians = [
        {n: statistics.median_low(e) for n, e in candidate.update_errors.items()}
        for candidate in candidates
    ]
    own = OwnError(0.0, {})
    updates = [error for errors in medians for error in errors.values()]
    losses = [error for candidate in candidates for error in candidate.loss_errors]
    if max(updates) > TOLERANCE["update"] or max(losses) > TOLERANCE["loss"]:
        drawn = [draw.batch(training, rng) for _ in range(PROBES)]
        shown = [{n: v[:rows] for n, v in b.items()} for b in drawn]
        own = expected.own_error(shown, rng)
        # Where training has made gradients vanish, there is nothing left that could move.
        model.set_weights(initial)
        own = own.larger(expected.own_error(shown, rng))
    results: list[Parity] = []
    for candidate, errors, output_error in zip(candidates, medians, output_errors, strict=True):
        shares = {n: e / _limit("update", own.of(n)) for n, e in errors.items()}
        worst = max(shares, key=lambda n: np.nan_to_num(shares[n], nan=np.inf))
        results.append(
            Parity(
                steps=len(candidate.loss_errors),
                batch_size=size,
                loss=float(np.max(candidate.loss_errors)),
                outputs=output_error,
                update=errors[worst],
                worst_variable=worst,
                own_loss=own.loss,
                own_update=own.of(worst),
                xnnpack=candidate.xnnpack,
                data=kind,
            )
        )
    return results


def _tensors(batch: Batch) -> dict[str, Any]:
    return {name: tf.constant(value) for name, value in batch.items()}


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
