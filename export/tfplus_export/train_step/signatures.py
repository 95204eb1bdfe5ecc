"""The resource-variable graph: the pure step around TFLite variables, as four signatures."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import tensorflow as tf

from tfplus.model_file.manifest import TensorInfo
from tfplus.tensors.slices import layer_of
from tfplus.tflite.operator_names import Phase
from tfplus_export.conversion.markers import marker
from tfplus_export.lowering.engine.scopes import scope
from tfplus_export.tf_types import Tensor
from tfplus_export.train_step.training import Training


class VariableModule(tf.Module):
    """Variables by name, and the signatures `save` and `restore`.

    Each variable starts from a marker and not from its value, see `markers`.
    """

    def __init__(
        self, weights: Mapping[str, tuple[int, ...]], state: Mapping[str, tuple[int, ...]]
    ) -> None:
        super().__init__()
        self.weight_names = list(weights)
        shapes = {**weights, **state}
        self.names = list(shapes)
        self.shapes = list(shapes.values())
        self.cells = [
            tf.Variable(tf.fill(shape, marker(i)), trainable=False)
            for i, shape in enumerate(self.shapes)
        ]

    def state_functions(self) -> dict[str, Any]:
        """Signature name → concrete function, of `save` and `restore`."""
        values = [tf.TensorSpec(c.shape, c.dtype, name=f"v{i}") for i, c in enumerate(self.cells)]
        return {
            "save": concrete(self.read, [], []),
            "restore": concrete(self._restore, values, self.names),
        }

    def read(self) -> dict[str, Tensor]:
        """The value of every variable by name, each read once."""
        values: dict[str, Tensor] = {}
        for name, cell in zip(self.names, self.cells, strict=True):
            phase: Phase = "forward" if name in self.weight_names else "update"
            with scope(phase, layer_of(name)):
                values[name] = cell.read_value()
        return values

    def assign(self, changed: Mapping[str, Tensor]) -> None:
        """Writes variables, once all that the step reads was read.

        XNNPACK cannot handle a variable that changes within one subgraph before it is read.
        """
        for name, cell in zip(self.names, self.cells, strict=True):
            if name in changed:
                cell.assign(changed[name])

    def _restore(self, *values: Tensor) -> dict[str, Tensor]:
        for cell, value in zip(self.cells, values, strict=True):
            cell.assign(value)
        return {"ok": tf.constant([1], tf.int32)}


class ResourceVariableModule(VariableModule):
    """Holds the training state and offers `train`, `infer`, `save` and `restore`."""

    def __init__(self, training: Training) -> None:
        super().__init__(
            {w.name: w.shape for w in training.weights},
            {name: value.shape for name, value in training.state().items()},
        )
        self._training = training

    def concrete_functions(self) -> dict[str, Any]:
        """Signature name → concrete function of fixed shapes."""
        training = self._training
        batch = tensor_specs(training.arguments())
        inputs = tensor_specs(training.inputs(training.infer_graph))
        return {
            "train": concrete(self._train, batch.values(), batch),
            "infer": concrete(self._infer, inputs.values(), inputs),
            **self.state_functions(),
        }

    def _train(self, *batch: Tensor) -> dict[str, Tensor]:
        values = self.read()
        named = dict(zip(self._training.arguments(), batch, strict=True))
        result = self._training.step(named, {n: values[n] for n in self.weight_names}, values)
        self.assign(result.weights | result.state)
        return result.metrics

    def _infer(self, *inputs: Tensor) -> dict[str, Tensor]:
        named = dict(zip(self._training.infer_graph.inputs, inputs, strict=True))
        return self._training.predictions(named, self.read())


def tensor_specs(described: Mapping[str, TensorInfo]) -> dict[str, Any]:
    """What TensorFlow calls a description of tensors, by name."""
    return {
        name: tf.TensorSpec(info.shape, info.dtype, name=f"v{i}")
        for i, (name, info) in enumerate(described.items())
    }


def concrete(function: Callable[..., Any], specs: Iterable[Any], names: Iterable[str]) -> Any:
    """A function of fixed shapes whose arguments have any names, such as `shared/conv/bias`."""
    wrapped = tf.function(function, autograph=False, input_signature=list(specs))
    traced = wrapped.get_concrete_function()
    # Argument names must be identifiers, a signature's names need not.
    traced._arg_keywords = list(names)
    return traced
