"""One case for each operation that has a rule: what a user writes, so that it comes to be traced.

`docs/rules.md` is made of them; see `scripts/rules-table`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from finite_differences import slope_error
from keras import layers, ops
from oracle import both

Shape = tuple[int, ...]
IMAGE: Shape = (6, 5, 4)
ROWS: Shape = (5, 4)
BATCH = 6


@dataclass(frozen=True)
class Case:
    """A layer or function behind a trainable one, so that the gradient of its input shows.

    Attributes:
      written: as a user writes it; it stands in the docs.
      make: what that is.
      shape: of one sample.
      slopes: whether its gradient is the slope of its values, and these are of double precision.
    """

    written: str
    make: Callable[[], Callable[[Any], Any]]
    shape: Shape = ROWS
    slopes: bool = True

    def build(self) -> keras.Model:
        """The model, in the precision that Keras is set to."""
        x = keras.Input(self.shape)
        return keras.Model(x, self.make()(layers.Dense(self.shape[-1])(x)))


def raw(function: Callable[[Any], Any]) -> Callable[[], layers.Lambda]:
    """TensorFlow's own function as a layer."""
    return lambda: layers.Lambda(function, output_shape=lambda shape: shape)


def activation(name: str) -> Case:
    """A named activation."""
    return Case(f"Activation('{name}')", lambda: layers.Activation(name))


CASES: dict[str, Case] = {
    "Abs": Case("ops.abs", lambda: ops.abs),
    "Add": Case("tf.raw_ops.Add", raw(lambda x: tf.raw_ops.Add(x=x, y=x * x))),
    "AddV2": Case("Add()", lambda: lambda x: layers.Add()([x, x * x])),
    "All": Case("ops.all", lambda: lambda x: x * ops.cast(ops.all(x > -9.0, -1, True), x.dtype)),
    "Any": Case("ops.any", lambda: lambda x: x * ops.cast(ops.any(x > 0, -1, True), x.dtype)),
    "AvgPool": Case("AveragePooling2D(2)", lambda: layers.AveragePooling2D(2), IMAGE),
    "BatchMatMulV2": Case("Attention()", lambda: lambda x: layers.Attention()([x, x])),
    "BatchToSpaceND": Case(
        "Conv2D(2, 2, dilation_rate=2)", lambda: layers.Conv2D(2, 2, dilation_rate=2), IMAGE
    ),
    "BiasAdd": Case("Conv2D(3, 2)", lambda: layers.Conv2D(3, 2), IMAGE),
    "BroadcastTo": Case(
        "ops.broadcast_to",
        lambda: lambda x: ops.broadcast_to(ops.sum(x, 1, keepdims=True), (6, 5, 4)) * x,
    ),
    "Cast": Case("ops.cast of a comparison", lambda: lambda x: x * ops.cast(x > 0.5, x.dtype)),
    "Ceil": Case("ops.ceil", lambda: lambda x: x * ops.ceil(x)),
    "ConcatV2": Case("Concatenate()", lambda: lambda x: layers.Concatenate()([x, x * x])),
    "Conv2D": Case(
        "Conv2D(4, 3, 2, 'same', groups=2)",
        lambda: layers.Conv2D(4, 3, 2, "same", groups=2),
        IMAGE,
    ),
    "Conv2DBackpropInput": Case(
        "Conv2DTranspose(3, 3, 2, 'same')", lambda: layers.Conv2DTranspose(3, 3, 2, "same"), IMAGE
    ),
    "DepthwiseConv2dNative": Case(
        "DepthwiseConv2D(3, 2, 'same', 2)", lambda: layers.DepthwiseConv2D(3, 2, "same", 2), IMAGE
    ),
    "Einsum": Case(
        "MultiHeadAttention(2, 3)", lambda: lambda x: layers.MultiHeadAttention(2, 3)(x, x)
    ),
    "Elu": activation("elu"),
    "Equal": Case(
        "ops.where(x == max)",
        lambda: lambda x: ops.where(ops.equal(x, ops.max(x, -1, keepdims=True)), x, 0.5 * x),
    ),
    "Erf": Case("ops.erf", lambda: ops.erf),
    "Erfc": activation("gelu"),
    "Exp": activation("exponential"),
    "ExpandDims": Case("ops.expand_dims", lambda: lambda x: ops.expand_dims(x * x, 1)),
    "Expm1": activation("celu"),
    "Floor": Case("ops.floor", lambda: lambda x: x * ops.floor(x)),
    "GatherV2": Case("ops.take", lambda: lambda x: ops.take(x, [2, 0, 2], axis=1)),
    "Greater": Case("ReLU(threshold=0.5)", lambda: layers.ReLU(threshold=0.5)),
    "GreaterEqual": Case("ops.where(x >= 0)", lambda: lambda x: ops.where(x >= 0, x, x * x)),
    "IdentityN": activation("swish"),
    "LeakyRelu": Case("LeakyReLU(0.3)", lambda: layers.LeakyReLU(0.3)),
    "Less": Case("ops.where(x < 0)", lambda: lambda x: ops.where(x < 0, x, x * x)),
    "LessEqual": Case("ops.where(x <= 0)", lambda: lambda x: ops.where(x <= 0, x, x * x)),
    "Log": Case("ops.log", lambda: lambda x: ops.log(ops.exp(x) + 0.1)),
    "Log1p": Case("ops.log1p", lambda: lambda x: ops.log1p(x * x)),
    "LogicalAnd": Case(
        "ops.logical_and", lambda: lambda x: ops.where(ops.logical_and(x > -1, x < 1), x * x, x)
    ),
    "LogicalNot": Case(
        "ops.logical_not", lambda: lambda x: ops.where(ops.logical_not(x > 0), x * x, x)
    ),
    "LogicalOr": Case(
        "ops.logical_or", lambda: lambda x: ops.where(ops.logical_or(x < -1, x > 1), x * x, x)
    ),
    "LogSoftmax": Case("ops.log_softmax", lambda: lambda x: ops.log_softmax(x, axis=-1)),
    "MatMul": Case("Dense(3)", lambda: layers.Dense(3), (4,)),
    "Max": Case("GlobalMaxPooling1D()", layers.GlobalMaxPooling1D),
    "MaxPool": Case("MaxPooling2D(3, 2, 'same')", lambda: layers.MaxPooling2D(3, 2, "same"), IMAGE),
    "Maximum": Case("Maximum()", lambda: lambda x: layers.Maximum()([x, x * x])),
    "Mean": Case("BatchNormalization()", layers.BatchNormalization, IMAGE),
    "Min": Case("ops.min", lambda: lambda x: ops.min(x, axis=1)),
    "Minimum": Case("Minimum()", lambda: lambda x: layers.Minimum()([x, x * x])),
    "Mul": Case("Multiply()", lambda: lambda x: layers.Multiply()([x, x])),
    "Neg": Case("ops.negative", lambda: lambda x: ops.negative(x * x)),
    "NotEqual": Case(
        "ops.where(x != max)",
        lambda: lambda x: ops.where(ops.not_equal(x, ops.max(x, -1, keepdims=True)), x, 0.5 * x),
    ),
    "Pack": Case("ops.stack", lambda: lambda x: ops.stack([x, x * x], axis=2)),
    "Pad": Case("ZeroPadding2D(1)", lambda: layers.ZeroPadding2D(1), IMAGE),
    "Pow": Case("ops.power(x * x + 1, 0.7)", lambda: lambda x: ops.power(x * x + 1.0, 0.7)),
    "RealDiv": Case("ops.divide", lambda: lambda x: x / (x * x + 1.0)),
    "Reciprocal": Case("ops.reciprocal", lambda: lambda x: ops.reciprocal(x * x + 1.0)),
    "Relu": activation("relu"),
    "Relu6": activation("relu6"),
    "Reshape": Case("Flatten()", layers.Flatten),
    "ResizeBicubic": Case(
        "Resizing(7, 3, 'bicubic')", lambda: layers.Resizing(7, 3, "bicubic"), IMAGE, slopes=False
    ),
    "ResizeBilinear": Case(
        "UpSampling2D(2, interpolation='bilinear')",
        lambda: layers.UpSampling2D(2, interpolation="bilinear"),
        IMAGE,
        slopes=False,
    ),
    "ResizeNearestNeighbor": Case(
        "Resizing(7, 3, 'nearest')", lambda: layers.Resizing(7, 3, "nearest"), IMAGE
    ),
    "ReverseV2": Case("ops.flip", lambda: lambda x: ops.flip(x, axis=1) * x),
    "Round": Case("ops.round", lambda: lambda x: x * ops.round(x)),
    "Rsqrt": Case("LayerNormalization()", layers.LayerNormalization),
    "SelectV2": Case("ops.where", lambda: lambda x: ops.where(x > 0.3, x * x, 0.5 * x)),
    "Selu": activation("selu"),
    "Sigmoid": activation("sigmoid"),
    "Sign": Case("ops.sign", lambda: lambda x: x * ops.sign(x)),
    "Slice": Case("ops.slice", lambda: lambda x: ops.slice(x, (0, 1, 2), (6, 3, 2))),
    "Softmax": activation("softmax"),
    "Softplus": activation("softplus"),
    "Softsign": activation("softsign"),
    "SpaceToBatchND": Case(
        "DepthwiseConv2D(2, dilation_rate=2)",
        lambda: layers.DepthwiseConv2D(2, dilation_rate=2),
        IMAGE,
    ),
    "Split": Case("ops.split(x, 2)", lambda: lambda x: ops.multiply(*ops.split(x, 2, axis=-1))),
    "SplitV": Case(
        "ops.split(x, [1])", lambda: lambda x: ops.multiply(*ops.split(x, [1], axis=-1))
    ),
    "Sqrt": Case("ops.sqrt", lambda: lambda x: ops.sqrt(ops.square(x) + 0.1)),
    "Square": Case("ops.square", lambda: ops.square),
    "SquaredDifference": Case(
        "tf.math.squared_difference",
        raw(lambda x: tf.math.squared_difference(x, 2.0 * x * x)),
    ),
    "Squeeze": Case("ops.squeeze", lambda: lambda x: ops.squeeze(ops.sum(x, 1, keepdims=True), 1)),
    "StopGradient": Case(
        "ops.stop_gradient", lambda: lambda x: x * ops.stop_gradient(x), slopes=False
    ),
    "StridedSlice": Case("x[:, 1::2]", lambda: lambda x: x[:, 1::2]),
    "Sub": Case("Subtract()", lambda: lambda x: layers.Subtract()([x, x * x])),
    "Sum": Case("ops.sum", lambda: lambda x: ops.sum(x * x, axis=-1)),
    "Tanh": activation("tanh"),
    "Tile": Case("RepeatVector(3)", lambda: layers.RepeatVector(3), (4,)),
    "Transpose": Case("Permute((2, 1))", lambda: layers.Permute((2, 1))),
    "Unpack": Case("ops.unstack", lambda: lambda x: ops.multiply(*ops.unstack(x, axis=1)[:2])),
}


def measured(case: Case) -> tuple[float, float]:
    """Error of the gradients against TensorFlow's, and against slopes."""
    model = case.build()
    start = [np.asarray(v) for v in model.variables]
    x = np.random.default_rng(0).normal(size=(BATCH, *case.shape)).astype(np.float32)
    got, want = both(model, x)
    scale = max(float(np.max(np.abs(w))) for w in want)
    worst = max(float(np.max(np.abs(g - w), initial=0)) for g, w in zip(got, want, strict=True))
    trainable = [i for i, v in enumerate(model.variables) if v.trainable]
    dy = np.random.default_rng(1).normal(size=want[0].shape).astype(np.float32)
    gradients = dict(zip(trainable, got[1 : 1 + len(trainable)], strict=True))
    return worst / scale, slope_error(case.build, start, x, dy, gradients)
