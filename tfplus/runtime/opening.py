"""The one place that opens a model for training, on whatever it is to run on."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

from tfplus.errors import UsageError
from tfplus.model_file.artifact import Artifact
from tfplus.runtime import accelerators, gpu_model, interpreter
from tfplus.runtime.gpu import Precision
from tfplus.runtime.trainable_model import TrainableModel


@dataclass(frozen=True)
class OpenOptions:
    """How a model is opened.

    Attributes:
      accelerator: `cpu` or `gpu`; who wants the faster one that is right decides before.
      runtime: `auto` or the distribution of the CPU's runtime.
      threads: of the CPU's interpreter; 0 for one on each fast core that this process may use.
      xnnpack: whether XNNPACK takes what it can; never where the installed version fails with it.
      gpu_precision: of a GPU's arithmetic; state is float32 either way.
    """

    accelerator: str = accelerators.CPU
    runtime: str = interpreter.AUTO
    threads: int = 0
    xnnpack: bool = True
    gpu_precision: Precision = "float32"


def open_model(read: Artifact, options: OpenOptions | None = None) -> TrainableModel:
    """Opens an exported file for training.

    Args:
      read: the file, and the manifest to go by.
      options: how; the CPU with all its fast cores where none are given.

    Raises:
      ArtifactError: the runtime does not take the file, or its graph is not what the manifest says.
      MissingExtraError: no runtime is installed.
      RuntimeVersionError: the one that is installed is known to fail.
      UsageError: nothing of that name can be trained on.
      WorkerError: the accelerator cannot be used.
    """
    chosen = options or OpenOptions()
    opener = _OPENERS.get(chosen.accelerator)
    if opener is None:
        raise UsageError(
            f"accelerator '{chosen.accelerator}': expected one of {', '.join(_OPENERS)}"
        )
    return opener(read, chosen)


def _on_cpu(read: Artifact, options: OpenOptions) -> TrainableModel:
    installed = interpreter.find(options.runtime)
    xnnpack = options.xnnpack and not installed.xnnpack_warning
    return installed.open(read.path, read.manifest, threads=options.threads, xnnpack=xnnpack)


def _on_gpu(read: Artifact, options: OpenOptions) -> TrainableModel:
    return gpu_model.GpuModel(read, options.gpu_precision)


_OPENERS: Mapping[str, Callable[[Artifact, OpenOptions], TrainableModel]] = MappingProxyType(
    {accelerators.CPU: _on_cpu, accelerators.GPU: _on_gpu}
)
