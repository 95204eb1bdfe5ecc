"""`tfplus.load`: from an exported file to a model that trains."""

from __future__ import annotations

import logging
from dataclasses import replace
from pathlib import Path

from tfplus.api.intake import Intake
from tfplus.api.model import Model
from tfplus.data.scaling import Scaling
from tfplus.features import opening
from tfplus.features.opening import Features
from tfplus.model_file import artifact
from tfplus.runtime import interpreter
from tfplus.runtime.opening import OpenOptions, open_model

_LOG = logging.getLogger(__name__)


def load(
    path: str | Path,
    *,
    threads: int = 0,
    accelerator: str = "cpu",
    runtime: str = "auto",
    xnnpack: bool = True,
    scale: float | None = None,
    offset: float = 0.0,
    feature_cache: str | Path | None = None,
) -> Model:
    """Opens an exported file for training; no TensorFlow is needed.

    It starts from the weights in the file.

    Args:
      path: a .tflite file that `tfplus.export` or `tfplus export` wrote.
      threads: of the interpreter; 0 for one on each fast core.
      accelerator: `cpu`, or `gpu` where the file has a graph for it.
      runtime: `auto`, `ai-edge-litert` or `tflite-runtime`.
      xnnpack: whether XNNPACK takes what it can.
      scale: a sample's value becomes value * scale + offset, also where it is a float, instead of
        what the file declares.
      offset: see `scale`.
      feature_cache: a folder where what frozen layers make of samples is kept for later runs, of a
        file that was exported with `--cached`; one that lasts as long as the model if not given.

    Raises:
      ArtifactError: the file is missing, damaged, or was not written by tfplus.
      MissingExtraError: no runtime is installed.
      WorkerError: the accelerator cannot be used.

    Examples:
        >>> import tfplus
        >>> model = tfplus.load(path)
        >>> model.manifest.batch_size
        16
    """
    read = artifact.read(Path(path))
    if scale is not None:
        declared = Scaling(scale, offset).declared_in(read.manifest.preprocessing)
        read = replace(read, manifest=replace(read.manifest, preprocessing=declared))
    options = OpenOptions(accelerator, runtime, threads, xnnpack)
    taken = replace(read, manifest=opening.of_features(read.manifest))
    model = open_model(taken, options)
    try:
        features = Features(
            read,
            interpreter.find(runtime),
            None if feature_cache is None else Path(feature_cache),
            threads=threads,
            note=_LOG.warning,
        )
    except BaseException:
        model.close()
        raise
    return Model(model, Intake(read.manifest, features))
