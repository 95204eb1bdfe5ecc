"""A model whose training state lives on the GPU; the agent's `gpu.choice` says whether it may."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from tfplus.errors import ArtifactError, WorkerError
from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus.model_file.manifest import Manifest, TensorInfo
from tfplus.runtime import accelerators, gpu
from tfplus.runtime.batch_checks import check_batch, check_tensors
from tfplus.runtime.functional import StatelessModel
from tfplus.runtime.gpu import Precision
from tfplus.tensors.slices import Tensor, Tensors, check_against


class GpuModel:
    """A `TrainableModel` on the GPU, with its state in the GPU's own buffers.

    Args:
      read: an exported file with a graph for the GPU.
      precision: of its arithmetic; state and metrics are float32 either way.

    Raises:
      ArtifactError: the graph is not what the manifest says.
      WorkerError: the GPU cannot be used.
    """

    accelerator = accelerators.GPU
    runs_ahead = True

    def __init__(self, read: Artifact, precision: Precision = "float32") -> None:
        self.manifest: Manifest = read.manifest
        compiled = gpu.compiled(
            artifact.accelerated_graph(read, accelerators.GPU) or b"", precision
        )
        self._train = self.manifest.signatures["train"]
        self._infer = self.manifest.signatures["infer"]
        variables = {v.name: TensorInfo(v.shape, v.dtype) for v in self.manifest.variables}
        try:
            self._model: Any = StatelessModel(compiled, variables, tuple(self._train.outputs))
            self._model.restore(artifact.initial_values(read))
        except ValueError as error:
            raise ArtifactError(f"{self.manifest.name}: graph for the GPU: {error}") from None
        except RuntimeError as error:
            raise WorkerError(f"the GPU has no room for the model: {error}") from None

    def step(self, batch: Tensors) -> None:
        """See `TrainableModel`; it returns when the GPU has been told, not when it is done.

        Raises:
          TensorError: a name, shape or dtype differs, or a label is out of range.
          WorkerError: the GPU failed.
        """
        check_batch(batch, self.manifest)
        try:
            self._model.step(batch)
        except RuntimeError as error:
            raise WorkerError(f"the GPU failed in a training step: {error}") from None

    def metrics(self) -> dict[str, float]:
        """What the last step reported; waits for all steps to end.

        Raises:
          WorkerError: the GPU failed.
        """
        try:
            return self._model.metrics()
        except RuntimeError as error:
            raise WorkerError(f"the GPU failed in a training step: {error}") from None

    def infer(self, inputs: Tensors) -> dict[str, npt.NDArray[np.float32]]:
        """See `TrainableModel`."""
        check_tensors(inputs, self._infer.inputs)
        try:
            return self._model.infer(inputs)
        except RuntimeError as error:
            raise WorkerError(f"the GPU failed to infer: {error}") from None

    def save(self) -> dict[str, Tensor]:
        """See `TrainableModel`; a GPU that fails raises WorkerError."""
        try:
            return self._model.save()
        except RuntimeError as error:
            raise WorkerError(f"the GPU failed to give the weights: {error}") from None

    def restore(self, tensors: Tensors) -> None:
        """See `TrainableModel`; a GPU that fails raises WorkerError."""
        check_against(tensors, self.manifest.expected())
        try:
            self._model.restore({n: np.ascontiguousarray(t) for n, t in tensors.items()})
        except RuntimeError as error:
            raise WorkerError(f"the GPU failed to take the weights: {error}") from None

    def close(self) -> None:
        """Drops the graph and its buffers."""
        self._model = None
