"""Running a stateless graph: the outputs of one step are the inputs of the next.

Works on whatever LiteRT compiled: a CPU, a GPU. The buffers are the runtime's own, and lie where
the accelerator wants them; what is not asked for never crosses to Python.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.model_file.manifest import TensorInfo
from tfplus.tensors.slices import Tensor, Tensors

TRAIN = "train"
INFER = "infer"


class StatelessModel:
    """A compiled graph with the signatures `train` and `infer`, and the training state between.

    Args:
      compiled: a `CompiledModel` of LiteRT.
      variables: name → shape and dtype of all weights and optimizer state.
      metrics: names of what a step reports, each float32 [1].

    Raises:
      ValueError: the graph's signatures are not those of the description.
    """

    def __init__(
        self, compiled: Any, variables: Mapping[str, TensorInfo], metrics: tuple[str, ...]
    ) -> None:
        self._compiled = compiled
        self._variables = dict(variables)
        self._metrics = metrics
        signatures = compiled.get_signature_list()
        if set(signatures) != {TRAIN, INFER}:
            raise ValueError(f"expected the signatures train and infer, got {sorted(signatures)}")
        self._details = {
            (name, kind): {n: _described(d) for n, d in read(name).items()}
            for name in (TRAIN, INFER)
            for kind, read in (
                ("inputs", compiled.get_input_tensor_details),
                ("outputs", compiled.get_output_tensor_details),
            )
        }
        self._check()
        # What changes needs two buffers: the step reads one and writes the other.
        self._inputs = {
            n: compiled.create_input_buffer_by_name(TRAIN, n)
            for n in self._details[TRAIN, "inputs"]
        }
        self._outputs = {
            n: compiled.create_output_buffer_by_name(TRAIN, n)
            for n in self._details[TRAIN, "outputs"]
        }
        self._infer_inputs = {
            n: compiled.create_input_buffer_by_name(INFER, n)
            for n in self._details[INFER, "inputs"]
            if n not in self._variables
        }
        self._infer_outputs = {
            n: compiled.create_output_buffer_by_name(INFER, n)
            for n in self._details[INFER, "outputs"]
        }

    def step(self, batch: Tensors) -> None:
        """Takes one training step; `metrics` and `save` tell what came of it.

        Args:
          batch: name → array, for every input that is no variable.

        Raises:
          ValueError: a name, shape or dtype differs.
          RuntimeError: the accelerator failed.
        """
        _write(self._inputs, batch, self._given(TRAIN))
        self._compiled.run_by_name(TRAIN, self._inputs, self._outputs)
        for name in self._variables.keys() & self._outputs.keys():
            self._inputs[name], self._outputs[name] = self._outputs[name], self._inputs[name]

    def metrics(self) -> dict[str, float]:
        """What the last step reported; waits for it to end."""
        return {n: float(self._outputs[n].read(1, np.float32)[0]) for n in self._metrics}

    def infer(self, inputs: Tensors) -> dict[str, npt.NDArray[np.float32]]:
        """Predictions with the weights as they are: name → float32 array.

        Raises:
          ValueError: a name, shape or dtype differs.
        """
        _write(self._infer_inputs, inputs, self._given(INFER))
        weights = {
            n: self._inputs[n] for n in self._details[INFER, "inputs"] if n in self._variables
        }
        self._compiled.run_by_name(INFER, self._infer_inputs | weights, self._infer_outputs)
        outputs = self._details[INFER, "outputs"]
        read = {n: _read(b, outputs[n]) for n, b in self._infer_outputs.items()}
        return {n: value.astype(np.float32, copy=False) for n, value in read.items()}

    def save(self) -> dict[str, Tensor]:
        """A copy of every variable: name → array."""
        return {n: _read(self._inputs[n], info) for n, info in self._variables.items()}

    def restore(self, values: Tensors) -> None:
        """Sets every variable.

        Raises:
          ValueError: a name, shape or dtype differs.
        """
        _write(self._inputs, values, self._variables)

    def _given(self, signature: str) -> dict[str, TensorInfo]:
        inputs = self._details[signature, "inputs"]
        return {n: info for n, info in inputs.items() if n not in self._variables}

    def _check(self) -> None:
        inputs, outputs = self._details[TRAIN, "inputs"], self._details[TRAIN, "outputs"]
        for name, info in self._variables.items():
            if inputs.get(name) != info or outputs.get(name, info) != info:
                raise ValueError(f"train: variable '{name}': expected {info}")
        scalar = TensorInfo((1,), "float32")
        unknown = [n for n in outputs if n not in self._variables and n not in self._metrics]
        missing = [n for n in self._metrics if outputs.get(n) != scalar]
        if unknown or missing:
            raise ValueError(f"train: unexpected outputs {unknown}, missing {missing}")
        for name, info in self._details[INFER, "inputs"].items():
            if self._variables.get(name, info) != info:
                raise ValueError(f"infer: variable '{name}': got {info}")


def _write(buffers: Mapping[str, Any], values: Tensors, expected: Mapping[str, TensorInfo]) -> None:
    if values.keys() != expected.keys():
        raise ValueError(f"expected {sorted(expected)}, got {sorted(values)}")
    # Checked all before any is written: a buffer takes whatever it is given.
    for name, info in expected.items():
        value = values[name]
        if value.shape != info.shape or value.dtype.name != info.dtype:
            raise ValueError(f"'{name}': expected {info}, got {value.dtype.name}{value.shape}")
    for name in expected:
        buffers[name].write(np.ascontiguousarray(values[name]))


def _described(detail: Mapping[str, Any]) -> TensorInfo:
    return TensorInfo(tuple(int(d) for d in detail["shape"]), np.dtype(detail["dtype"]).name)


def _read(buffer: Any, info: TensorInfo) -> Tensor:
    count = int(np.prod(info.shape))
    return buffer.read(count, np.dtype(info.dtype).type).reshape(info.shape)
