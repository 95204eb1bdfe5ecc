"""Exporting a Keras model that a program holds; `tfplus.export` finds it by its entry point."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras

from tfplus.errors import UsageError
from tfplus.model_file.artifact import Artifact
from tfplus_export.pipeline import api
from tfplus_export.pipeline.stages.options import Options, Progress
from tfplus_export.sources import source


def export_model(
    model: Any,
    path: Path,
    *,
    batch_size: int,
    infer_batch_size: int | None,
    sample_weights: bool,
    freezable: bool,
    gpu: bool,
    parity_steps: int,
    seed: int,
    progress: Progress,
) -> Artifact:
    """Exports a model; the arguments are those of `tfplus.export`.

    Raises:
      ExportError: the model cannot be exported; nothing is written then.
      UsageError: it is no Keras model, or has no inputs yet.
    """
    if not isinstance(model, keras.Model):
        raise UsageError(f"export: expected a keras.Model, got {type(model).__name__}")
    options = Options(
        batch_size=batch_size,
        infer_batch_size=infer_batch_size,
        parity_steps=parity_steps,
        seed=seed,
        sample_weights=sample_weights,
        accelerators=("gpu",) if gpu else (),
        bakeable=freezable,
    )
    return api.export(source.of_model(model), path, options, progress)
