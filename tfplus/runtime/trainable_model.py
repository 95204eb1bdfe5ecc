"""The interface of a model that trains, whatever runs it.

The CPU's interpreter (`interpreter.Model`) and the GPU (`gpu_model.GpuModel`) implement it. A
further implementation is a new file and a line in `opening`, and must pass
`tests/tfplus/runtime/test_trainable_model.py`.
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import numpy.typing as npt

from tfplus.model_file.manifest import Manifest
from tfplus.tensors.slices import Tensor, Tensors


class TrainableModel(Protocol):
    """An open model with its training state: weights, optimizer, random state.

    What it is given is checked against the manifest before a runtime sees it, and a refusal changes
    nothing. Not thread-safe.
    """

    @property
    def manifest(self) -> Manifest:
        """What the file says of itself."""
        ...

    @property
    def accelerator(self) -> str:
        """What it runs on, one of `accelerators.NAMES` but `auto`."""
        ...

    @property
    def runs_ahead(self) -> bool:
        """Whether `step` may return before the step is computed, so that `metrics` has to wait."""
        ...

    def step(self, batch: Tensors) -> None:
        """Takes one training step; `metrics` tells what it reports.

        Args:
          batch: name → array, as the signature `train` says. A row whose target holds
            `Output.padding` counts for nothing.

        Raises:
          TensorError: a name, shape or dtype differs, or a label is out of range.
          WorkerError: the accelerator failed.
        """
        ...

    def metrics(self) -> dict[str, float]:
        """What the last step reported by name, the loss among it: means over the rows that count.

        Of no meaning before the first step.

        Raises:
          WorkerError: the accelerator failed.
        """
        ...

    def infer(self, inputs: Tensors) -> dict[str, npt.NDArray[np.float32]]:
        """Returns what the model makes of one inference batch: name → float32 [batch, ...].

        Args:
          inputs: name → array, as the signature `infer` says.

        Raises:
          TensorError: a name, shape or dtype differs.
          WorkerError: the accelerator failed.
        """
        ...

    def save(self) -> dict[str, Tensor]:
        """Returns a copy of every variable: name → array, in the manifest's order.

        Raises:
          WorkerError: the accelerator failed.
        """
        ...

    def restore(self, tensors: Tensors) -> None:
        """Sets every variable.

        Raises:
          TensorError: they are not exactly the model's variables, or not finite.
          WorkerError: the accelerator failed.
        """
        ...

    def close(self) -> None:
        """Frees what the runtime holds; nothing but `close` may follow."""
        ...
