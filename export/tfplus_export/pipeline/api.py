"""Export as a function: from a source to a checked artifact."""

from __future__ import annotations

from pathlib import Path

from tfplus.errors import UsageError
from tfplus.model_file.artifact import Artifact
from tfplus_export.pipeline import driver, sub_model
from tfplus_export.pipeline.stages.failures import guarded
from tfplus_export.pipeline.stages.options import Options, Progress
from tfplus_export.pipeline.stages.request import Request
from tfplus_export.sources.source import Source

__all__ = ["Options", "export", "export_sub_model"]


def export(source: Source, path: Path, options: Options, progress: Progress) -> Artifact:
    """Exports a model and checks the file against TensorFlow before it is written.

    Args:
      source: the model.
      path: where the file goes.
      options: how.
      progress: told what is being done.

    Raises:
      ExportError: the model cannot be exported, or the file does not compute what TensorFlow does;
        nothing is written then.

    Examples:
      >>> from pathlib import Path
      >>> from tfplus_export.pipeline.api import Options, export
      >>> from tfplus_export.sources.source import load
      >>> model = load("zoo:fc-d1-w8", input_shape=(4, 4, 1), classes=(0, 1), seed=0)
      >>> written = export(model, Path("m.tflite"), Options(batch_size=4, parity_steps=1), print)
      looking at the model
      tracing the training step
      ...
      writing the file
      >>> sorted(written.manifest.signatures)
      ['infer', 'restore', 'save', 'train']
      >>> written.manifest.parameters
      154
    """
    return _export(Request(source, source.model, source.classes, path, options), progress)


def export_sub_model(
    source: Source, classes: tuple[int, ...], path: Path, options: Options, progress: Progress
) -> Artifact:
    """Exports the sub-model of some classes: the shared layers and their branches.

    Its initial weights are those of the whole model, slice by slice.

    Raises:
      UsageError: the source cannot build sub-models, or a class is not one of the model's.

    Examples:
      >>> from pathlib import Path
      >>> from tfplus_export.pipeline.api import Options, export_sub_model
      >>> from tfplus_export.sources.source import load
      >>> model = load("zoo:digits", input_shape=None, classes=None, seed=0)
      >>> options = Options(batch_size=4, parity_steps=1)
      >>> part = export_sub_model(model, (0, 2), Path("part.tflite"), options, lambda text: None)
      >>> part.manifest.classes
      (0, 2)
    """
    model = sub_model.build(source, classes)
    return _export(Request(source, model, classes, path, options), progress)


def _export(asked: Request, progress: Progress) -> Artifact:
    if not asked.path.parent.is_dir():
        raise UsageError(f"{asked.path.parent}: no such directory for the output")
    # What fails between stages, such as the parts of the model that shall not train.
    with guarded("the export"):
        return driver.run(asked, progress)
