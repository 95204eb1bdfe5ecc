"""Export as a function: from a source to a checked artifact."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfplus import __version__
from tfplus.errors import ArtifactError, ExportError, UsageError
from tfplus.model_file import artifact, manifest_reader
from tfplus.model_file.artifact import Artifact
from tfplus.model_file.companion_graphs import AcceleratedGraph, Accelerator
from tfplus.model_file.manifest import Lowering, Manifest
from tfplus_export.conversion import flatbuffer, quantized_storage
from tfplus_export.costs import budget, cost, savings
from tfplus_export.costs.preview import Preview, preview
from tfplus_export.costs.savings import Savings
from tfplus_export.parity import agreement, parity, real_data, rounding_alone
from tfplus_export.parity.real_data import RealSamples
from tfplus_export.parity.samples import vocabularies
from tfplus_export.passes.microbatching import choice
from tfplus_export.pipeline import declared, manifest_fields
from tfplus_export.pipeline.options import Options, Progress
from tfplus_export.pipeline.stages import stage
from tfplus_export.pipeline.train_graph import Lowered, lower
from tfplus_export.sources.source import Source
from tfplus_export.targets import targets
from tfplus_export.tracing.checks import check_model
from tfplus_export.tracing.naming import variable_names, variable_places
from tfplus_export.variants import gpu_graph, inference


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
    """
    with stage("the export"):
        return _export(source, source.model, source.classes, path, options, progress)


def export_sub_model(
    source: Source, classes: tuple[int, ...], path: Path, options: Options, progress: Progress
) -> Artifact:
    """Exports the sub-model of some classes: the shared layers and their branches.

    Its initial weights are those of the whole model, slice by slice.

    Raises:
      UsageError: the source cannot build sub-models, or a class is not one of the model's.
    """
    rebuild = check_sub_model(source, classes)
    model = rebuild(classes)
    whole_names, names = variable_names(source.model), variable_names(model)
    whole = {whole_names[id(v)]: v for v in source.model.variables}
    places = variable_places(source.model) | variable_places(model)
    for variable in model.variables:
        original = whole.get(names[id(variable)])
        # A name that only the whole model had to make longer would stand for another tensor here.
        same_place = original is not None and places.get(id(original)) == places.get(id(variable))
        if original is None or not same_place or tuple(original.shape) != tuple(variable.shape):
            raise ExportError(
                f"sub-model: '{names[id(variable)]}' of shape {tuple(variable.shape)} is no slice "
                "of the whole model: give every layer a name, those of a class's branch "
                "task_<class>_<layer>"
            )
        variable.assign(original)
    with stage("the export"):
        return _export(source, model, classes, path, options, progress)


def fit_batch(source: Source, options: Options, progress: Progress) -> Options:
    """Chooses the largest batch that fits into the memory budget and the targets' memory.

    Args:
      source: the model.
      options: with a memory budget; their batch size is replaced.
      progress: told what is being done.

    Raises:
      ExportError: not even one sample fits, or the model cannot be exported.
    """
    limit = targets.memory_limit([t for t, _ in options.targets], options.memory_budget_bytes)
    if limit is None:
        return options
    progress("looking for the largest batch that fits")
    seen = preview_step(source, options)
    return dataclasses.replace(
        options, batch_size=budget.choose_batch(seen, options.runtimes, limit)
    )


def preview_step(source: Source, options: Options) -> Preview:
    """Converts the step for two small batches, to tell what any batch costs.

    Raises:
      ExportError: the model cannot be exported.
    """
    check_model(source.model)

    def convert_for(batch_size: int) -> tuple[bytes, int]:
        small = dataclasses.replace(options, batch_size=batch_size)
        lowered = lower(source, source.model, small, lambda text: None, arrange=False)
        return lowered.content, lowered.variables_bytes

    with options.freeze.applied(source.model):
        return preview(convert_for, options.runtimes)


def measure_savings(
    source: Source, exported: Artifact, options: Options, progress: Progress
) -> Savings:
    """Compares an exported file with the one that trains all that the source trains.

    Args:
      source: the model.
      exported: what `export` made of it.
      options: with which.
      progress: told what is being done.
    """
    progress("measuring what freezing saves")
    unfrozen = lower(source, source.model, options, lambda text: None)
    frozen = exported.path.read_bytes()[: exported.manifest.flatbuffer_bytes]
    return savings.measure(unfrozen.content, frozen)


def check_sub_model(
    source: Source, classes: tuple[int, ...]
) -> Callable[[Sequence[int]], keras.Model]:
    """Checks that a source has a sub-model of these classes, and returns what builds it.

    Raises:
      UsageError: the source cannot build sub-models, or a class is not one of the model's.
    """
    if source.rebuild is None:
        raise UsageError(f"{source.name} takes no classes: it cannot be cut into sub-models")
    known = source.classes or tuple(range(int(source.model.outputs[0].shape[-1])))
    unknown = sorted(set(classes) - set(known))
    if unknown or not classes or len(set(classes)) != len(classes):
        raise UsageError(
            f"sub-model of classes {list(classes)}: expected distinct classes out of {list(known)}"
        )
    return source.rebuild


def _export(
    source: Source,
    model: keras.Model,
    classes: tuple[int, ...] | None,
    path: Path,
    options: Options,
    progress: Progress,
) -> Artifact:
    if not path.parent.is_dir():
        raise UsageError(f"{path.parent}: no such directory for the output")
    progress("tracing the training step")
    check_model(model)
    with options.freeze.applied(model):
        lowered = lower(source, model, options, progress)
        step, content, places = lowered.step, lowered.content, lowered.places
        classes = manifest_fields.class_labels(step, classes)
        values = lowered.values
        counts = flatbuffer.operators(content)
        flex = flatbuffer.flex_operators(counts)
        if flex:
            raise ExportError(f"operators {', '.join(flex)} need the Flex delegate")
        memory = cost.step_memory(content, lowered.variables_bytes)
        if options.memory_budget_bytes is not None:
            budget.check_batch(
                memory, options.runtimes, options.memory_budget_bytes, options.batch_size
            )
        checked = tuple(targets.check(content, memory, *pair) for pair in options.targets)
        real, preprocessing = None, source.preprocessing
        if options.data is not None:
            given = (options.data, step, classes, preprocessing, options.scaling)
            real = real_data.load(*given)
            preprocessing = real.preprocessing
        elif options.scaling is not None:
            preprocessing = options.scaling.declared_in(preprocessing, floats=False)
        expects = declared.ranges(step.train_graph, preprocessing, real)
        preprocessing = dataclasses.replace(preprocessing, expects=expects)
        with quantized_storage.rounded(model, {w.index: values[w.name] for w in step.weights}):
            measured = _compare(lowered, model, options, real, progress)
    regularization = declared.regularization(step, values)
    outputs = manifest_fields.outputs(step)
    warnings = declared.objections(preprocessing, real)
    if real is not None:
        first = next(run["first_loss"] for run in measured["runs"] if run["data"] == "real")
        warnings += declared.first_loss(first, outputs, step, real, regularization)
    measured["warnings"] = list(warnings)
    graphs: dict[Accelerator, gpu_graph.Accelerated] = {}
    for accelerator in options.accelerators:
        progress(f"converting for the {accelerator} and comparing with the CPU")
        rounding = rounding_alone.weights(model, step, options.seed)
        graphs[accelerator] = gpu_graph.gpu(step, content, values, options.seed, rounding)
        measured[accelerator] = {
            "tolerance": agreement.TOLERANCE,
            "runs": graphs[accelerator].measured,
        }
    frozen_inference = None
    if options.freezable:
        progress("converting inference with constant weights")
        frozen_inference = inference.build(step, content, values, options.seed)
    progress("writing")
    variables = manifest_fields.variables(step, values, places)
    frozen = manifest_fields.frozen_weights(step)
    signatures = manifest_fields.signatures(step, variables)
    optimizer = step.optimizer.describe()
    problem = choice.problem(source.name, options.batch_size)
    parts = Lowering(choice.EVERY_LAYER, problem, lowered.parts)
    manifest = Manifest(
        name=source.name,
        tfplus_version=__version__,
        architecture_hash=manifest_fields.architecture_hash(
            variables, frozen, signatures, optimizer
        ),
        flatbuffer_bytes=len(content),
        flatbuffer_sha256="",
        batch_size=options.batch_size,
        infer_batch_size=options.infer_batch_size or options.batch_size,
        classes=classes,
        outputs=outputs,
        optimizer=optimizer,
        parameters=sum(int(np.prod(w.shape)) for w in step.weights if w.trainable),
        flops_per_step=cost.product_flops(content, "train"),
        signatures=signatures,
        variables=variables,
        operators=counts,
        flex_operators=flex,
        parity=measured,
        preprocessing=preprocessing,
        regularization=regularization,
        vocabularies=vocabularies(step.train_graph),
        declared_dtypes=manifest_fields.declared_dtypes(model),
        frozen=frozen,
        lowerings=manifest_fields.lowerings(step, parts),
        targets=checked,
        accelerated=tuple(
            AcceleratedGraph(name, 1, "", graph.checked_by, graph.rounding)
            for name, graph in graphs.items()
        ),
    )
    try:
        # What a device would refuse to read, such as a layer's name of 300 characters.
        manifest_reader.from_json(manifest.to_json())
    except ArtifactError as error:
        raise ExportError(f"no device would take the file: {error}") from error
    contents = {name: graph.content for name, graph in graphs.items()}
    return artifact.write(path, content, manifest, contents, frozen_inference)


def _compare(
    lowered: Lowered,
    model: keras.Model,
    options: Options,
    real: RealSamples | None,
    progress: Progress,
) -> dict[str, Any]:
    progress(f"comparing {options.parity_steps} steps with TensorFlow")
    try:
        return parity.verify(
            lowered.content,
            model,
            lowered.step,
            steps=options.parity_steps,
            seed=options.seed,
            real=real,
        )
    except RuntimeError as error:
        # LiteRT's own, which often says nothing.
        raise ExportError(
            f"LiteRT cannot run the exported step ({error or 'it gives no reason'}): a smaller "
            "batch needs less memory; else it is a bug worth reporting"
        ) from error
