"""The stateful shell: the pure step around TFLite resource variables, as four signatures."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import tensorflow as tf

from tfplus_export.tf_types import Tensor
from tfplus_export.training import Training


class StatefulModule(tf.Module):
    """Holds the training state and offers `train`, `infer`, `save` and `restore`.

    Each variable starts from a marker, its index plus one in every element, and not from its value:
    equal constants are stored once, and a zero bias must not share its bytes with a zero velocity
    when values are written into the file.
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
            tf.Variable(tf.fill(shape, float(i + 1)), trainable=False)
            for i, shape in enumerate(self.shapes)
        ]

    def concrete_functions(self) -> dict[str, Any]:
        """Signature name → concrete function of fixed shapes."""
        train_graph, infer_graph = self._training.train_graph, self._training.infer_graph
        batch = train_graph.x.shape[0]
        x = tf.TensorSpec(train_graph.x.shape, tf.float32, name="x")
        y = tf.TensorSpec([batch], tf.int32, name="y")
        infer_x = tf.TensorSpec(infer_graph.x.shape, tf.float32, name="x")
        values = [tf.TensorSpec(c.shape, c.dtype, name=f"v{i}") for i, c in enumerate(self.cells)]
        restore = _concrete(self._restore, values)
        # Argument names must be identifiers; the signature's names are the variables' own.
        restore._arg_keywords = list(self.names)
        return {
            "train": _concrete(self._train, [x, y]),
            "infer": _concrete(self._infer, [infer_x]),
            "save": _concrete(self._save, []),
            "restore": restore,
        }

    def _train(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        # Every variable is read once, before any is written: XNNPACK cannot handle a variable that
        # changes within one subgraph.
        values = self._read()
        result = self._training.step(x, y, {n: values[n] for n in self._weight_names}, values)
        changed = result.weights | result.state
        for name, cell in zip(self.names, self.cells, strict=True):
            if name in changed:
                cell.assign(changed[name])
        return {"loss": result.loss, "accuracy": result.accuracy}

    def _infer(self, x: Tensor) -> dict[str, Tensor]:
        return {"logits": self._training.logits(x, self._read())}

    def _save(self) -> dict[str, Tensor]:
        return self._read()

    def _restore(self, *values: Tensor) -> dict[str, Tensor]:
        for cell, value in zip(self.cells, values, strict=True):
            cell.assign(value)
        return {"ok": tf.constant([1], tf.int32)}

    def _read(self) -> dict[str, Tensor]:
        return {n: c.read_value() for n, c in zip(self.names, self.cells, strict=True)}


def _concrete(function: Callable[..., Any], specs: list[Any]) -> Any:
    wrapped = tf.function(function, autograph=False, input_signature=specs)
    return wrapped.get_concrete_function()
