"""Recurrent layers, written out step by step, against TensorFlow's own gradients."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from oracle import assert_equal, both
from small import Unmasked

from tfplus.errors import ExportError
from tfplus_export.tracing import unrolling
from tfplus_export.tracing.graph import trace

rng = np.random.default_rng(0)


def masked(x: Any) -> Any:
    """Every time step whose first feature is not positive is zero, and so is left out."""
    kept = layers.Lambda(lambda h: h * tf.cast(h[:, :, :1] > 0.0, tf.float32))(x)
    return layers.Masking()(kept)


def started(layer: Any, states: int) -> Any:
    def function(x: Any) -> Any:
        start = [layers.Dense(5)(layers.Flatten()(x)) for _ in range(states)]
        output, *_ = layer(x, initial_state=start)
        return output

    return function


def kinds(**options: Any) -> list[Any]:
    return [kind(5, **options) for kind in (layers.SimpleRNN, layers.LSTM, layers.GRU)]


# What a user writes, a function of [3, 4, 6].
CASES: dict[str, Any] = {}
for made in kinds():
    kind, name = type(made), type(made).__name__
    CASES |= {
        name: made,
        f"{name}, sequences": kind(5, return_sequences=True),
        f"{name}, backwards": kind(5, return_sequences=True, go_backwards=True),
        f"{name} without bias": kind(5, use_bias=False, activation="relu"),
        f"{name}, both ways": layers.Bidirectional(kind(5, return_sequences=True)),
        f"{name}, stacked": lambda x, kind=kind: kind(5)(kind(4, return_sequences=True)(x)),
        f"{name}, masked": lambda x, kind=kind: kind(5)(masked(x)),
        f"{name}, masked sequences": lambda x, kind=kind: kind(
            5, return_sequences=True, zero_output_for_mask=True
        )(masked(x)),
        f"{name} of a state": started(kind(5, return_state=True), 2 if name == "LSTM" else 1),
        f"{name} with a gate a product": layers.RNN(type(made.cell)(5)),
    }
CASES |= {
    "GRU, reset before": layers.GRU(5, reset_after=False),
    "cells in one layer": layers.RNN([layers.LSTMCell(5), layers.GRUCell(4)]),
    "a sum of both ways": layers.Bidirectional(layers.LSTM(5), merge_mode="sum"),
    "a layer a time step": layers.TimeDistributed(layers.Dense(3, activation="relu")),
    "convolutions": lambda x: layers.ConvLSTM1D(2, 3)(layers.Reshape((4, 6, 1))(x)),
}
FAST = ("LSTM, masked", "GRU, both ways", "SimpleRNN, stacked", "cells in one layer")


def model_of(function: Any, shape: tuple[int, ...] = (4, 6)) -> keras.Model:
    x = keras.Input(shape)
    return keras.Model(x, Unmasked()(function(layers.Dense(shape[-1])(x))))


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in CASES]
)
def test_gradients(name: str) -> None:
    assert_equal(model_of(CASES[name]), rng.normal(size=(3, 4, 6)).astype(np.float32))


def test_a_sequence_meets_the_kernel_in_one_product() -> None:
    graph = trace(model_of(layers.LSTM(5)), 3, training=True)
    products = [op for op in graph.operations if op.type == "MatMul"]
    shapes = sorted(tuple(op.inputs[0].shape) for op in products)
    # One of the state for each of four steps, one of the dense layer, and one of all inputs.
    assert shapes == [(3, 5)] * 4 + [(12, 6)] * 2
    assert all(graph.layer_of(op) in ("dense", "lstm_cell") for op in products)


def test_a_layer_is_as_it_was_after_tracing() -> None:
    layer = layers.LSTM(5)
    model = model_of(layer)
    before = {k: v for k, v in vars(layer).items() if k in ("unroll", "use_cudnn", "inner_loop")}
    trace(model, 3, training=True)
    after = {k: v for k, v in vars(layer).items() if k in ("unroll", "use_cudnn", "inner_loop")}
    assert after == before


def test_too_many_time_steps_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unrolling, "MOST_TIME_STEPS", 3)
    model = model_of(layers.Bidirectional(layers.GRU(5), name="both"))
    with pytest.raises(ExportError, match=r"'forward_gru' runs over 4 time steps, at most 3"):
        both(model, np.zeros((2, 4, 6), np.float32))
    assert not model.get_layer("both").forward_layer.unroll


def test_a_stateful_layer_is_refused() -> None:
    x = keras.Input((4, 6), batch_size=3)
    model = keras.Model(x, layers.LSTM(5, stateful=True, name="memory")(x))
    with pytest.raises(ExportError, match="layer 'memory' is stateful"):
        trace(model, 3, training=True)
