"""The outputs of a model that a loss is taken of, and where in the graph each loss begins."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from tfplus.errors import ExportError
from tfplus_export.losses.compiled import OutputLoss
from tfplus_export.losses.loss import Loss, Reduction
from tfplus_export.tf_types import Tensor
from tfplus_export.tracing.graph import PASS_THROUGH, Graph

# Arguments of `train` beside the model's inputs.
TARGET = "y"
SAMPLE_WEIGHT = "sample_weight"
# Output of `infer` beside the model's only one.
LOGITS = "logits"


@dataclass(frozen=True)
class LossHead:
    """One output and its loss.

    Attributes:
      output: name of the output.
      given: the loss as the user compiled it.
      loss: the loss as the step computes it, on `at`.
      fused: whether the model's last operation is taken into `loss`.
      weight: of this loss in the sum over all outputs.
      reduction: over the rows of a batch.
      target: name of its argument of `train`.
      metric: name of its metric among the outputs of `train`.
      logits: name of what `loss` is taken of among the outputs of `infer`, where that is not the
        output itself; empty where it is.
    """

    output: str
    given: Loss
    loss: Loss
    fused: bool
    weight: float
    reduction: Reduction
    target: str
    metric: str
    logits: str

    def at(self, graph: Graph) -> Tensor:
        """The tensor of the traced graph that the loss is taken of."""
        output = graph.outputs[self.output]
        return _last(output).op.inputs[0] if self.fused else output


def loss_heads(graph: Graph, losses: Mapping[str, OutputLoss]) -> tuple[LossHead, ...]:
    """One head for each output.

    Args:
      graph: the traced pass.
      losses: name of an output → its loss.

    Raises:
      ExportError: a loss of logits has a softmax or sigmoid in front of it, or does not fit the
        output's shape; or an input has the name of a target.
    """
    alone = len(graph.outputs) == 1
    made: list[LossHead] = []
    for name, output in graph.outputs.items():
        chosen = losses[name]
        last = str(_last(output).op.type)
        given = chosen.loss
        if chosen.logits_unless_closed and last != given.closing:
            given = given.with_logits()
        if given.kind == "logits" and last == given.closing:
            raise ExportError(
                f"output '{name}': the model ends in a {last.lower()}, but its loss was compiled "
                "with from_logits=True: take away one of the two"
            )
        if len(output.shape) < 2:
            raise ExportError(
                f"output '{name}': expected the shape [batch, ..., outputs], got "
                f"{list(output.shape)}: end the model in a Reshape((1,))"
            )
        fused = given.fuses and last == given.closing
        loss = given.with_logits() if fused else given
        measure = "mae" if loss.targets == "value" else "accuracy"
        made.append(
            LossHead(
                output=name,
                given=given,
                loss=loss,
                fused=fused,
                weight=chosen.weight,
                reduction=chosen.reduction,
                target=TARGET if alone else f"{TARGET}_{name}",
                metric=measure if alone else f"{name}_{measure}",
                logits=_beside(name, alone=alone) if fused else "",
            )
        )
    names = [name for head in made for name in (head.output, head.logits) if name]
    for name in names:
        if names.count(name) > 1:
            raise ExportError(
                f"an output is named '{name}', as the logits of another are: give it another name"
            )
    for name in graph.inputs:
        if name in (SAMPLE_WEIGHT, *(head.target for head in made)):
            raise ExportError(
                f"an input named '{name}' has the name of another argument of train: give it "
                "another, as keras.Input(shape, name=...)"
            )
    return tuple(made)


def _beside(output: str, *, alone: bool) -> str:
    return LOGITS if alone and output != LOGITS else f"{output}_{LOGITS}"


def _last(output: Tensor) -> Tensor:
    while output.op.type in PASS_THROUGH:
        output = output.op.inputs[0]
    return output
