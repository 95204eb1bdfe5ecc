"""A model whose training state lives on the GPU, and the trial that decides whether it may."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from tfplus import accelerator_process, artifact, gpu
from tfplus.accelerator_process import Step
from tfplus.artifact import Artifact
from tfplus.errors import ArtifactError, TensorError, WorkerError
from tfplus.manifest import Manifest, TensorInfo
from tfplus.slices import Tensor, Tensors, check_against
from tfplus.stateless import StatelessModel
from tfplus_agent.results import LOSS
from tfplus_agent.runtime import Model, check_batch, check_tensors

AUTO, GPU = "auto", "gpu"
NAMES = (AUTO, Model.accelerator, GPU)
# Of the loss and of all variables together, relative to the CPU's after one step: far above what
# rounding explains, far below what a wrong kernel makes of it.
_LOSS_TOLERANCE = 1e-3
_UPDATE_TOLERANCE = 1e-2


class GpuModel:
    """An open model as `runtime.Model` is one, with its state in the GPU's own buffers.

    Args:
      read: an exported file with a graph for the GPU.

    Raises:
      ArtifactError: the graph is not what the manifest says.
      WorkerError: the GPU cannot be used.
    """

    accelerator = GPU

    def __init__(self, read: Artifact) -> None:
        self.manifest: Manifest = read.manifest
        compiled = gpu.compiled(artifact.accelerated_graph(read, GPU) or b"")
        self._train = self.manifest.signatures["train"]
        self._infer = self.manifest.signatures["infer"]
        variables = {v.name: TensorInfo(v.shape, v.dtype) for v in self.manifest.variables}
        try:
            self._model = StatelessModel(compiled, variables, tuple(self._train.outputs))
        except ValueError as error:
            raise ArtifactError(f"{self.manifest.name}: graph for the GPU: {error}") from None
        self._model.restore(artifact.initial_values(read))

    def train_step(self, batch: Tensors) -> dict[str, float]:
        """See `runtime.Model`; a GPU that fails raises WorkerError."""
        check_batch(batch, self.manifest)
        try:
            self._model.step(batch)
            return self._model.metrics()
        except RuntimeError as error:
            raise WorkerError(f"the GPU failed in a training step: {error}") from None

    def infer(self, inputs: Tensors) -> dict[str, npt.NDArray[np.float32]]:
        """See `runtime.Model`."""
        check_tensors(inputs, self._infer.inputs)
        try:
            return self._model.infer(inputs)
        except RuntimeError as error:
            raise WorkerError(f"the GPU failed to infer: {error}") from None

    def save(self) -> dict[str, Tensor]:
        """See `runtime.Model`."""
        return self._model.save()

    def restore(self, tensors: Tensors) -> None:
        """See `runtime.Model`."""
        check_against(tensors, self.manifest.expected())
        self._model.restore({n: np.ascontiguousarray(t) for n, t in tensors.items()})


def objection(read: Artifact, on_cpu: Model, batch: Tensors) -> str | None:
    """Why a model cannot train on the GPU of this device; None where it can.

    One step is taken on the GPU, in a process of its own since a delegate may abort, and on the
    CPU, and the two are compared.

    Args:
      read: the exported file.
      on_cpu: the same model; its state is put back afterwards.
      batch: as the signature `train` says.
    """
    try:
        graph = artifact.accelerated_graph(read, GPU)
    except ArtifactError as error:
        return str(error)
    if graph is None:
        return "the file has no graph for it: export the model with --accelerator gpu"
    before = on_cpu.save()
    try:
        metrics = tuple(read.manifest.signatures["train"].outputs)
        ran = accelerator_process.run(graph, [Step(before, batch)], metrics)
        loss = on_cpu.train_step(batch)[LOSS]
        want = on_cpu.save()
    except (WorkerError, TensorError, OSError) as error:
        # A full disk keeps the trial from its files, not the model from the CPU.
        return str(error)
    finally:
        on_cpu.restore(before)
    return difference(before, want, ran.after[0], loss)


def difference(before: Tensors, want: Tensors, got: Tensors, loss: float) -> str | None:
    """What an accelerator computes wrongly in one step; None where it does not.

    Args:
      before: every variable before the step.
      want: every variable after it, on the CPU.
      got: the accelerator's, and its loss, [1].
      loss: the CPU's.
    """
    found = float(got[LOSS][0])
    if not abs(found - loss) <= _LOSS_TOLERANCE * max(abs(loss), 1e-6):
        return f"it computes wrongly: a loss of {found:.6g} where the CPU has {loss:.6g}"
    update = np.sqrt(sum(_squares(want[n], before[n]) for n in want))
    error = np.sqrt(sum(_squares(got[n], want[n]) for n in want))
    if not error <= _UPDATE_TOLERANCE * max(update, 1e-12):
        return f"it computes wrongly: an update that is off by {error / max(update, 1e-12):.2g}"
    return None


def _squares(a: Tensor, b: Tensor) -> float:
    return float(np.sum(np.square(a.astype(np.float64) - b.astype(np.float64))))
