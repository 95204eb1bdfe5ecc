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


class ResourceVariableModule(tf.Module):
    """Holds the training state and offers `train`, `infer`, `save` and `restore`.

    Each variable starts from a marker and not from its value, see `markers`.
    """

    def __init__(self, training: Training) -> None:
        super().__init__()
        self._training = training
        state = training.state()
        shapes = {w.name: w.shape for w in training.weights}
        self._weight_names = list(shapes)
        shapes |= {name: value.shape for name, value in state.items()}
        self.names = list(shapes)
        self.shapes = list(shapes.values())
        self.cells = [
            tf.Variable(tf.fill(shape, marker(i)), trainable=False)
            for i, shape in enumerate(self.shapes)
        ]

    def concrete_functions(self) -> dict[str, Any]:
        """Signature name → concrete function of fixed shapes."""
        training = self._training
        batch = tensor_specs(training.arguments())
        inputs = tensor_specs(training.inputs(training.infer_graph))
        values = [tf.TensorSpec(c.shape, c.dtype, name=f"v{i}") for i, c in enumerate(self.cells)]
        return {
            "train": concrete(self._train, batch.values(), batch),
            "infer": concrete(self._infer, inputs.values(), inputs),
            "save": concrete(self._save, [], []),
            "restore": concrete(self._restore, values, self.names),
        }

    def _train(self, *batch: Tensor) -> dict[str, Tensor]:
        # Every variable is read once, before any is written: XNNPACK cannot handle a variable that
        # changes within one subgraph.
        values = self._read()
        named = dict(zip(self._training.arguments(), batch, strict=True))
        result = self._training.step(named, {n: values[n] for n in self._weight_names}, values)
        changed = result.weights | result.state
        for name, cell in zip(self.names, self.cells, strict=True):
            if name in changed:
                cell.assign(changed[name])
        return result.metrics

    def _infer(self, *inputs: Tensor) -> dict[str, Tensor]:
        named = dict(zip(self._training.infer_graph.inputs, inputs, strict=True))
        return self._training.predictions(named, self._read())

    def _save(self) -> dict[str, Tensor]:
        return self._read()

    def _restore(self, *values: Tensor) -> dict[str, Tensor]:
        for cell, value in zip(self.cells, values, strict=True):
            cell.assign(value)
        return {"ok": tf.constant([1], tf.int32)}

    def _read(self) -> dict[str, Tensor]:
        values: dict[str, Tensor] = {}
        for name, cell in zip(self.names, self.cells, strict=True):
            phase: Phase = "forward" if name in self._weight_names else "update"
            with scope(phase, layer_of(name)):
                values[name] = cell.read_value()
        return values


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
