"""The functional graph: weights in, weights out, as accelerators take the step.

No accelerator takes variables. Here `train` gets a batch, every weight and the optimizer's state,
and returns the metrics and what changed; `infer` gets its inputs and weights. The outputs of one
step are the inputs of the next, so that nothing needs to leave the accelerator.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from tfplus.model_file.manifest import TensorInfo
from tfplus_export.tf_types import Tensor
from tfplus_export.train_step.signatures import concrete, tensor_specs
from tfplus_export.train_step.training import Training


class FunctionalModule(tf.Module):
    """Offers `train` and `infer` without variables; see the module."""

    def __init__(self, training: Training) -> None:
        super().__init__()
        self._training = training
        shapes = {w.name: w.shape for w in training.weights}
        self._weight_names = list(shapes)
        shapes |= {name: value.shape for name, value in training.state().items()}
        self._variables = {name: TensorInfo(shape, "float32") for name, shape in shapes.items()}
        read = set(training.infer_graph.variables.values())
        self._inferred = {
            w.name: self._variables[w.name] for w in training.weights if w.index in read
        }

    def concrete_functions(self) -> dict[str, Any]:
        """Signature name → concrete function of fixed shapes."""
        batch = self._training.arguments() | self._variables
        inputs = self._training.inputs(self._training.infer_graph) | self._inferred
        return {
            "train": concrete(self._train, tensor_specs(batch).values(), batch),
            "infer": concrete(self._infer, tensor_specs(inputs).values(), inputs),
        }

    def _train(self, *values: Tensor) -> dict[str, Tensor]:
        batch_names = self._training.arguments()
        batch = dict(zip(batch_names, values, strict=False))
        state = dict(zip(self._variables, values[len(batch_names) :], strict=True))
        result = self._training.step(batch, {n: state[n] for n in self._weight_names}, state)
        return result.metrics | result.weights | result.state

    def _infer(self, *values: Tensor) -> dict[str, Tensor]:
        inputs = list(self._training.inputs(self._training.infer_graph))
        named = dict(zip(inputs, values, strict=False))
        weights = dict(zip(self._inferred, values[len(inputs) :], strict=True))
        return self._training.predictions(named, weights)
