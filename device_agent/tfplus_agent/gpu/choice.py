"""On what a model trains: the GPU where it was asked for and computes rightly, else the CPU."""

from __future__ import annotations

from dataclasses import replace

from tfplus.errors import WorkerError
from tfplus.model_file.artifact import Artifact
from tfplus.runtime import accelerators
from tfplus.runtime.opening import OpenOptions, open_model
from tfplus.runtime.trainable_model import TrainableModel
from tfplus.tensors.slices import Tensors
from tfplus_agent.gpu import calibration


def open_fit(
    read: Artifact, options: OpenOptions, batch: Tensors | None
) -> tuple[TrainableModel, str]:
    """Opens a model on the accelerator that was asked for, if it is fit for it.

    Args:
      read: the exported file.
      options: with `auto`, `cpu` or `gpu` as accelerator.
      batch: of the device's data, as the signature `train` says; without one it is the CPU.

    Returns:
      The model, and why it is not on the GPU although that was asked for; empty otherwise.

    Raises:
      TfplusError: as `open_model` on the CPU.
    """
    asked = options.accelerator
    on_cpu = replace(options, accelerator=accelerators.CPU)
    model = open_model(read, on_cpu)
    if asked == accelerators.CPU or batch is None:
        return model, ""
    if asked == accelerators.AUTO and not read.manifest.accelerated:
        return model, ""
    tried = calibration.of(
        read,
        model,
        batch,
        options.gpu_precision,
        lambda: open_model(read, replace(on_cpu, xnnpack=not options.xnnpack)),
    )
    note = tried.objection or (tried.no_gain if asked == accelerators.AUTO else "")
    if note:
        return model, note
    try:
        on_gpu = open_model(read, replace(options, accelerator=accelerators.GPU))
    except WorkerError as error:
        return model, str(error)
    model.close()
    return on_gpu, ""
