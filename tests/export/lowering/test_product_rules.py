"""Products over common axes, attention and masks against TensorFlow's own gradients."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from keras import layers
from oracle import both

from tfplus.errors import ExportError
from tfplus_export.lowering.kernels.contraction import Contraction
from tfplus_export.tracing.graph import trace

rng = np.random.default_rng(0)


def heads(**options: Any) -> Any:
    return layers.MultiHeadAttention(2, 3, **options)


def half(x: Any) -> Any:
    return x[:, :3]


# What a user writes → the operations that it shows, and a function of [4, 6, 8].
SHOWN: dict[str, tuple[tuple[str, ...], Any]] = {
    "dense": (("MatMul",), lambda x: layers.Dense(5)(x)),
    "transposed": (("MatMul",), lambda x: tf.matmul(x[0], x[1], transpose_b=True)),
    "both transposed": (("MatMul",), lambda x: tf.matmul(x[0], x[1, :, :6], True, True)),
    "batched": (("BatchMatMulV2",), lambda x: tf.matmul(x, x, transpose_a=True)),
    "batch and one": (("BatchMatMulV2",), lambda x: tf.matmul(x, x[:1], transpose_b=True)),
    "one and batch": (("BatchMatMulV2",), lambda x: tf.matmul(x[:1], x, transpose_b=True)),
    "matrix and batch": (("BatchMatMulV2",), lambda x: tf.matmul(x[0], x, adjoint_b=True)),
    "two batch axes": (
        ("BatchMatMulV2",),
        lambda x: tf.matmul(x[:, tf.newaxis], x[tf.newaxis, :2], transpose_b=True),
    ),
    "heads": (("Einsum",), lambda x: heads()(x, x)),
    "heads of another width": (("Einsum",), lambda x: heads(value_dim=5, output_shape=4)(x, x)),
    "one head": (("Einsum",), lambda x: layers.MultiHeadAttention(1, 4)(x, half(x))),
    "heads without bias": (("Einsum",), lambda x: heads(use_bias=False)(x, half(x), x[:, 3:])),
    "scores": (
        ("Transpose",),
        lambda x: heads()(x, x, return_attention_scores=True)[0],
    ),
    "causal heads": (("SelectV2",), lambda x: heads()(x, x, use_causal_mask=True)),
    "masked heads": (
        ("Greater",),
        lambda x: heads()(x, x, attention_mask=layers.Dot(2)([x, x]) > 0.0),
    ),
    "attention": (("SelectV2",), lambda x: layers.Attention(True)([x, x], use_causal_mask=True)),
    "concat attention": (("Softmax",), lambda x: layers.Attention(score_mode="concat")([x, x])),
    "additive attention": (("Softmax",), lambda x: layers.AdditiveAttention()([x, half(x)])),
    "dot": (("BatchMatMulV2",), lambda x: layers.Dot((1, 1))([x, x])),
    "einsum dense": (
        ("BatchMatMulV2",),
        lambda x: layers.EinsumDense("abc,cde->abde", (None, 5, 2), bias_axes="de")(x),
    ),
    "einsum over time": (
        ("Einsum",),
        lambda x: layers.EinsumDense("abc,bd->adc", (5, 8), bias_axes="c")(x),
    ),
    "einsum of any rank": (
        ("Einsum",),
        lambda x: tf.einsum("...ij,...ik->...jk", x, x * 2.0),
    ),
    "einsum that sums": (("Einsum",), lambda x: tf.einsum("abc,adc->d", x, x)),
    "einsum without a sum": (("Einsum",), lambda x: tf.einsum("abc,abd->dabc", x, x[:, :, :3])),
    "einsum that exchanges": (("Einsum",), lambda x: tf.einsum("abc,ac->cba", x, x[:, 0])),
    "where": (
        ("Greater", "LessEqual", "LogicalNot", "SelectV2"),
        lambda x: tf.where(x > 0.3, x * 2.0, tf.where(tf.logical_not(x <= -0.3), x, -1.0)),
    ),
    "equals": (
        ("Equal", "NotEqual", "Cast"),
        lambda x: x * tf.cast(tf.nn.relu(x) == x, tf.float32) + tf.where(x != x[:, :1], x, 3.0),
    ),
    "any and all": (
        ("Any", "All", "GreaterEqual", "Less", "LogicalAnd", "LogicalOr"),
        lambda x: tf.where(
            tf.logical_or(
                tf.reduce_all(x < 1.0, -1, keepdims=True),
                tf.logical_and(tf.reduce_any(x >= 2.0, 1, keepdims=True), x > 0.0),
            ),
            x,
            x * x,
        ),
    ),
    "integers": (("Cast",), lambda x: x * tf.cast(tf.cast(x, tf.int32) > 1, tf.float32)),
}
FAST = ("batch and one", "heads", "causal heads", "masked heads", "einsum that sums", "any and all")


def model_of(function: Any) -> keras.Model:
    x = keras.Input((6, 8), batch_size=4)
    hidden = layers.Dense(8)(x)
    try:
        return keras.Model(x, function(hidden))
    except ValueError:  # Keras' own operations alone take what Keras makes.
        return keras.Model(x, layers.Lambda(function)(hidden))


@pytest.mark.parametrize(
    "name", [n if n in FAST else pytest.param(n, marks=pytest.mark.slow) for n in SHOWN]
)
def test_shown(name: str) -> None:
    model = model_of(SHOWN[name][1])
    x = rng.normal(size=(4, 6, 8)).astype(np.float32)
    shown = {op.type for op in trace(model, 4, training=True).operations}
    assert set(SHOWN[name][0]) <= shown
    # The gradient of a key's bias is zero but for rounding, so that all share one scale.
    got, want = both(model, x)
    scale = max(float(np.max(np.abs(w))) for w in want)
    for g, w in zip(got, want, strict=True):
        np.testing.assert_allclose(g / scale, w / scale, atol=1e-6)


@pytest.mark.parametrize("equation", ["aab,caa->abc", "...a,...b->...ab"])
def test_an_equation_without_a_rule_is_named(equation: str) -> None:
    def function(x: tf.Tensor) -> tf.Tensor:
        return tf.einsum(equation, x[:, :4, :4], x[:1, :4, :4])

    x = keras.Input((6, 8), batch_size=4)
    model = keras.Model(x, layers.Lambda(function, output_shape=(4, 4))(layers.Dense(8)(x)))
    with pytest.raises(ExportError, match="expected each letter once"):
        both(model, rng.normal(size=(4, 6, 8)).astype(np.float32))


@pytest.mark.parametrize(
    ("left", "right", "out"),
    [("mk", "nk", "mn"), ("mk", "nk", "nm"), ("mk", "kn", "mn"), ("km", "nk", "mn"),
     ("bmk", "bnk", "bmn"), ("mk", "nk", "m1n")],
)  # fmt: skip
def test_a_few_rows_times_a_large_matrix(left: str, right: str, out: str) -> None:
    extent = {"b": 2, "m": 2, "k": 48, "n": 64, "1": 1}
    a, b = (rng.standard_normal([extent[c] for c in axes]) for axes in (left, right))
    if "1" in out:
        left, a = left.replace("m", "m1"), a[:, None]
    found = Contraction(left, right, out)(tf.constant(a), tf.constant(b))
    equation = f"{left},{right}->{out}".replace("1", "o")
    np.testing.assert_allclose(found, np.einsum(equation, a, b), rtol=1e-9)
