"""What a loss is, and how the losses of rows become that of a batch."""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import keras
import numpy as np
import tensorflow as tf

from tfplus.model_file.manifest import Kind, Targets
from tfplus_export.tf_types import Tensor

Reduction = Literal["mean", "sum"]


@dataclass(frozen=True)
class Rows:
    """What a loss says of each row.

    A padding row's values are finite, whatever they are: `counts` takes them out.

    Attributes:
      losses: float32 [rows, 1].
      gradient: of each row's loss with respect to its outputs, float32 [rows, outputs].
      metric: of each row, float32 [rows, 1].
      counts: 1 for a row, 0 for padding, float32 [rows, 1].
    """

    losses: Tensor
    gradient: Tensor
    metric: Tensor
    counts: Tensor


class Loss(ABC):
    """A loss of Keras, lowered to operations that TFLite has builtin and XNNPACK takes.

    A row is whatever stands before the last axis of the model's output: a sample, or one step of a
    sequence, or one pixel. Rows are numbered through; the last axis holds what one row's loss is
    taken over. Every loss is a frozen dataclass of its parameters, under Keras' names.

    Attributes:
      name: in Keras.
      targets: what a target says.
      closing: the operation that makes logits the probabilities that the loss takes; None where
        there are none.
      fuses: whether Keras takes such an operation at the model's end and the loss as one.
    """

    name: ClassVar[str]
    targets: ClassVar[Targets]
    closing: ClassVar[str | None] = None
    fuses: ClassVar[bool] = False

    @property
    def kind(self) -> Kind:
        """What it takes from the model."""
        return "values"

    @abstractmethod
    def rows(self, output: Tensor, y: Tensor) -> Rows:
        """Loss, gradient and metric of each row.

        Args:
          output: float32 [rows, outputs].
          y: int32 [rows] where targets are labels, else float32 [rows, outputs]; see `padding`.
        """

    def with_logits(self) -> Loss:
        """The same for a model that returns logits; itself where there are none."""
        return self

    @abstractmethod
    def keras(self, reduction: str) -> keras.losses.Loss:
        """The same in Keras, for the comparison at export."""

    def describe(self) -> dict[str, Any]:
        """Name and parameters, for the manifest."""
        parameters: dict[str, Any] = vars(self)
        return {"name": self.name, **parameters}


@dataclass(frozen=True)
class CrossEntropy(Loss):
    """A loss of probabilities, or of the logits that they are made of.

    Attributes:
      from_logits: whether the model returns logits.
    """

    from_logits: bool = False

    @property
    def kind(self) -> Kind:
        """See `Loss`."""
        return "logits" if self.from_logits else "probabilities"

    def with_logits(self) -> Loss:
        """See `Loss`."""
        return dataclasses.replace(self, from_logits=True)


@dataclass(frozen=True)
class Reduced:
    """The loss of a batch: loss and metric, float32 [1]; gradient, of the output's shape."""

    loss: Tensor
    metric: Tensor
    gradient: Tensor


def of_batch(
    loss: Loss,
    output: Tensor,
    y: Tensor,
    *,
    reduction: Reduction = "mean",
    sample_weight: Tensor | None = None,
) -> Reduced:
    """The mean, or the sum, of the losses of all rows that are no padding.

    As in Keras, a sample's weight multiplies its loss, and the mean is still one over the number of
    rows, not over the sum of the weights. The metric is the plain mean. A batch of padding alone
    gives 0.

    Args:
      loss: of a row.
      output: float32 [batch, ..., outputs].
      y: int32 [batch, ...] or float32 [batch, ..., outputs].
      reduction: over the rows.
      sample_weight: float32 [batch].
    """
    shape = [int(d) for d in output.shape]
    count = int(np.prod(shape[:-1]))
    target = [count] if loss.targets == "label" else [count, shape[-1]]
    rows = loss.rows(tf.reshape(output, [count, shape[-1]]), tf.reshape(y, target))
    share = 1.0 / tf.maximum(tf.reduce_sum(rows.counts, keepdims=True), 1.0)
    scale = rows.counts
    if sample_weight is not None:
        spread = tf.ones([1, count // shape[0]], sample_weight.dtype)
        scale *= tf.reshape(tf.reshape(sample_weight, [shape[0], 1]) * spread, [count, 1])
    if reduction == "mean":
        scale *= share
    return Reduced(
        loss=tf.reshape(tf.reduce_sum(rows.losses * scale, keepdims=True), [1]),
        metric=tf.reshape(tf.reduce_sum(rows.metric * rows.counts, keepdims=True) * share, [1]),
        gradient=tf.reshape(rows.gradient * scale, shape),
    )
