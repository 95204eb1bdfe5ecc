"""Stage `describe`: the manifest, as a device will read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from tfplus import __version__
from tfplus.errors import ArtifactError, ExportError
from tfplus.model_file import manifest_reader
from tfplus.model_file.companion_graphs import AcceleratedGraph
from tfplus.model_file.manifest import Lowering, Manifest
from tfplus_export.conversion import flatbuffer
from tfplus_export.costs import cost
from tfplus_export.parity.samples.draw import vocabularies
from tfplus_export.passes.microbatching import choice
from tfplus_export.pipeline.manifest import declared, manifest_fields
from tfplus_export.pipeline.stages import accelerate, features
from tfplus_export.pipeline.stages.accelerate import Graphs
from tfplus_export.pipeline.stages.features import SharedGraph
from tfplus_export.pipeline.stages.fill import TrainGraph
from tfplus_export.pipeline.stages.limits import WithinLimits
from tfplus_export.pipeline.stages.request import Request
from tfplus_export.pipeline.stages.samples import Samples


def described(
    asked: Request,
    graph: TrainGraph,
    limits: WithinLimits,
    samples: Samples,
    measured: Mapping[str, Any],
    graphs: Graphs,
    shared: tuple[SharedGraph, ...],
) -> Manifest:
    """Puts together what the file says of itself.

    Args:
      asked: what was exported.
      graph: the file.
      limits: what it was checked against.
      samples: what is known of its data.
      measured: by the comparison with TensorFlow.
      graphs: for accelerators.
      shared: the frozen layers that make what the step takes; none where it takes samples.

    Raises:
      ExportError: no device would read it.
    """
    options, step, values = asked.options, graph.step, graph.values
    variables = manifest_fields.variables(step, values, graph.places)
    behind = manifest_fields.frozen_weights(step)
    frozen = (*(weight for piece in shared for weight in piece.frozen), *behind)
    signatures = manifest_fields.signatures(step, variables)
    optimizer = step.optimizer.describe()
    workload = choice.workload(asked.source.name, options.batch_size)
    microbatches = Lowering(choice.EVERY_LAYER, workload, graph.microbatches)
    manifest = Manifest(
        name=asked.source.name,
        tfplus_version=__version__,
        architecture_hash=manifest_fields.architecture_hash(
            variables, frozen, signatures, optimizer
        ),
        flatbuffer_bytes=len(graph.content),
        flatbuffer_sha256="",
        batch_size=options.batch_size,
        infer_batch_size=options.infer_batch_size or options.batch_size,
        classes=samples.classes,
        outputs=manifest_fields.outputs(step),
        optimizer=optimizer,
        parameters=sum(int(np.prod(w.shape)) for w in step.weights if w.trainable),
        flops_per_step=cost.product_flops(graph.content, "train"),
        signatures=signatures,
        variables=variables,
        operators=limits.operators,
        flex_operators=flatbuffer.flex_operators(limits.operators),
        parity={**measured, **accelerate.measured(graphs), **features.measured(shared)},
        preprocessing=samples.preprocessing,
        regularization=declared.regularization(step, values),
        vocabularies=vocabularies(step.train_graph),
        declared_dtypes=manifest_fields.declared_dtypes(asked.model),
        frozen=frozen,
        lowerings=manifest_fields.lowerings(step, microbatches),
        targets=limits.targets,
        accelerated=tuple(
            AcceleratedGraph(name, 1, "", one.checked_by, one.rounding)
            for name, one in graphs.items()
        ),
        features=tuple(piece.described for piece in shared),
    )
    try:
        # What a device would refuse to read, such as a layer's name of 300 characters.
        manifest_reader.from_json(manifest.to_json())
    except ArtifactError as error:
        raise ExportError(f"no device would take the file: {error}") from error
    return manifest
