"""Stage `compare`: does the file compute what TensorFlow computes?"""

from __future__ import annotations

from typing import Any

from tfplus.errors import ExportError
from tfplus_export.conversion import quantized_storage
from tfplus_export.parity import parity
from tfplus_export.pipeline.manifest import declared, manifest_fields
from tfplus_export.pipeline.stages.fill import TrainGraph
from tfplus_export.pipeline.stages.request import Request
from tfplus_export.pipeline.stages.samples import Samples


def compared(asked: Request, graph: TrainGraph, samples: Samples) -> dict[str, Any]:
    """Trains the file and the model on the same batches.

    Args:
      asked: what to export.
      graph: the file.
      samples: the user's own, if any, and what is declared of them.

    Returns:
      What was measured, and warnings, for the manifest.

    Raises:
      ExportError: an error is above its tolerance, or LiteRT cannot run the step.
    """
    options, step, values = asked.options, graph.step, graph.values
    stored = {w.index: values[w.name] for w in step.weights}
    try:
        with quantized_storage.rounded(asked.model, stored):
            measured = parity.verify(
                graph.content,
                asked.model,
                step,
                steps=options.parity_steps,
                seed=options.seed,
                real=samples.real,
            )
    except RuntimeError as error:
        # LiteRT's own, which often says nothing.
        raise ExportError(
            f"LiteRT cannot run the exported step ({error or 'it gives no reason'}): a smaller "
            "batch needs less memory; else it is a bug worth reporting"
        ) from error
    warnings = declared.objections(samples.preprocessing, samples.real)
    if samples.real is not None:
        first = next(run["first_loss"] for run in measured["runs"] if run["data"] == "real")
        outputs, regularization = (
            manifest_fields.outputs(step),
            declared.regularization(step, values),
        )
        warnings += declared.first_loss(first, outputs, step, samples.real, regularization)
    return measured | {"warnings": list(warnings)}
