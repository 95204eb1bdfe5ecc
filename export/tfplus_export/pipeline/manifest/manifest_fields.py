"""What the manifest says of a step: outputs, variables, signatures, and the hash over them."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Mapping
from typing import Any

import keras
import numpy as np

from tfplus.errors import ExportError, UsageError
from tfplus.model_file.manifest import (
    FrozenWeight,
    Lowering,
    Output,
    Signature,
    TensorInfo,
    Variable,
)
from tfplus_export.conversion.quantized_storage import Place
from tfplus_export.losses import padding
from tfplus_export.lowering.engine.kernel_variants import choices
from tfplus_export.optimizers import LEARNING_RATE
from tfplus_export.tracing import model_io
from tfplus_export.train_step.training import Training


def class_labels(step: Training, classes: tuple[int, ...] | None) -> tuple[int, ...]:
    """Labels of the only output, if it is the choice of a class."""
    head, *others = step.loss_heads
    shape = [int(d) for d in head.at(step.infer_graph).shape]
    if others or head.loss.targets not in ("label", "distribution"):
        if classes is not None:
            raise UsageError(
                f"--classes does not apply: the loss {head.given.name} has no classes, or the "
                "model several outputs"
            )
        return ()
    if classes is not None and len(classes) != shape[-1]:
        raise ExportError(
            f"the model has {shape[-1]} outputs, but {len(classes)} classes are named"
        )
    return classes or tuple(range(shape[-1]))


def outputs(step: Training) -> tuple[Output, ...]:
    """Outputs and their losses, in the order of the loss heads."""
    return tuple(
        Output(
            name=head.output,
            kind=head.given.kind,
            logits=head.logits,
            target=head.target,
            targets=head.loss.targets,
            padding=padding.fill(head.loss.targets),
            metric=head.metric,
            loss=head.given.describe() | {"reduction": head.reduction},
            loss_weight=head.weight,
        )
        for head in step.loss_heads
    )


def variables(
    step: Training, values: Mapping[str, np.ndarray], places: Mapping[str, Place]
) -> tuple[Variable, ...]:
    """The training state.

    Args:
      step: what was converted.
      values: name → initial value, of all weights and optimizer state.
      places: name → where it lies in the file.
    """
    trainable = {w.name: w.trainable for w in step.weights}
    return tuple(
        Variable(
            name=name,
            shape=tuple(value.shape),
            dtype="float32",
            role="weight"
            if name in trainable
            else ("hyperparameter" if name == LEARNING_RATE else "optimizer"),
            trainable=trainable.get(name, False),
            offset=places[name].offset,
            storage=places[name].storage,
            scale_offset=places[name].scale_offset,
        )
        for name, value in values.items()
    )


def declared_dtypes(model: keras.Model) -> dict[str, str]:
    """The inputs that Keras declares with another dtype than the file has."""
    return {n: p.dtype for n, p in model_io.inputs(model).items() if p.dtype != p.taken_as}


def frozen_weights(step: Training) -> tuple[FrozenWeight, ...]:
    """What the step reads and never writes, with the hash of its value."""
    return tuple(
        FrozenWeight(
            c.name,
            tuple(c.value.shape),
            hashlib.sha256(
                np.ascontiguousarray(c.value, c.value.dtype.newbyteorder("<")).tobytes()
            ).hexdigest(),
        )
        for c in step.constants
    )


def lowerings(step: Training, parts: Lowering) -> tuple[Lowering, ...]:
    """How the operations run that have several lowerings.

    Args:
      step: the training step.
      parts: how its batch is taken.
    """
    found = choices(step.train_graph, step.rules)
    return (*(Lowering(c.layer, c.workload, c.names[0]) for c in found), parts)


def signatures(step: Training, variables: tuple[Variable, ...]) -> dict[str, Signature]:
    """The four entry points of the graph with variables."""
    state = {v.name: TensorInfo(v.shape, v.dtype) for v in variables}
    scalar = TensorInfo((1,), "float32")
    predictions = {
        name: TensorInfo(tuple(int(d) for d in tensor.shape), "float32")
        for name, tensor in step.inferred().items()
    }
    return {
        "train": Signature(step.arguments(), dict.fromkeys(step.reported(), scalar)),
        "infer": Signature(step.inputs(step.infer_graph), predictions),
        "save": Signature({}, state),
        "restore": Signature(state, {"ok": TensorInfo((1,), "int32")}),
    }


def architecture_hash(
    variables: tuple[Variable, ...],
    frozen: tuple[FrozenWeight, ...],
    signatures: dict[str, Signature],
    optimizer: dict[str, Any],
) -> str:
    """SHA-256 (hex) over all that two files must share to exchange weights, without values."""
    described = {
        "variables": [[v.name, v.shape, v.dtype, v.trainable] for v in variables],
        "frozen": [[f.name, f.shape, f.sha256] for f in frozen],
        "signatures": {k: dataclasses.asdict(s) for k, s in signatures.items()},
        "optimizer": optimizer,
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
