"""Export as a function: from a source to a checked artifact."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from tfplus import __version__, artifact, manifest_reader
from tfplus.artifact import Artifact
from tfplus.errors import ArtifactError, ExportError, UsageError
from tfplus.manifest import (
    AcceleratedGraph,
    Accelerator,
    FrozenWeight,
    Manifest,
    Output,
    Signature,
    TensorInfo,
    Variable,
)
from tfplus.storage import Storage
from tfplus_export import (
    accelerated,
    budget,
    convert,
    cost,
    flatbuffer,
    parity,
    ports,
    real_data,
    savings,
    stored,
    targets,
    training,
)
from tfplus_export.checks import check_model
from tfplus_export.freeze import Freeze
from tfplus_export.losses import compiled, padding
from tfplus_export.losses.compiled import OutputLoss
from tfplus_export.optimizers import LEARNING_RATE, Optimizer, Sgd
from tfplus_export.preview import Preview, preview
from tfplus_export.real_data import RealSamples
from tfplus_export.samples import vocabularies
from tfplus_export.savings import Savings
from tfplus_export.signatures import StatefulModule
from tfplus_export.source import Source
from tfplus_export.stored import Place
from tfplus_export.training import Training

Progress = Callable[[str], None]


@dataclass(frozen=True)
class Options:
    """How to export.

    Attributes:
      batch_size: samples in a training step.
      infer_batch_size: samples in one `infer`; None for `batch_size`.
      optimizer: None for the compiled one, or SGD at 0.01.
      parity_steps: optimizer steps that are compared with TensorFlow.
      seed: of the data for that comparison.
      loss: name in Keras of the loss of every output; None for the compiled one.
      sample_weights: whether `train` takes a weight for each sample.
      data: an `.npz` of samples for the comparison, beside random ones.
      freeze: what does not train, besides what the model itself has frozen.
      targets: device and runtime, pair by pair, whose limits the file must meet.
      weights: how initial values are stored; they train in float32 either way.
      memory_budget_bytes: what the estimated peak of training may be; None for the devices' limits.
      accelerators: what the file gets a stateless graph for, besides the one with variables.
    """

    batch_size: int = 32
    infer_batch_size: int | None = None
    optimizer: Optimizer | None = None
    parity_steps: int = 5
    seed: int = 0
    loss: str | None = None
    sample_weights: bool = False
    data: Path | None = None
    freeze: Freeze = field(default_factory=Freeze)
    targets: tuple[tuple[str, str], ...] = (("host", "ai-edge-litert"),)
    weights: Storage = "float32"
    memory_budget_bytes: int | None = None
    accelerators: tuple[Accelerator, ...] = ()

    @property
    def runtimes(self) -> tuple[str, ...]:
        """The runtimes of the targets."""
        return tuple(dict.fromkeys(runtime for _, runtime in self.targets))


@dataclass(frozen=True)
class Lowered:
    """A model's step as a flatbuffer, that nobody has compared with TensorFlow yet.

    Attributes:
      step: what was converted.
      content: the flatbuffer, with initial values in it.
      places: name of a variable → where its initial value lies, and in which form.
      values: name of a variable → its initial value.
    """

    step: Training
    content: bytes
    places: dict[str, Place]
    values: dict[str, np.ndarray]

    @property
    def variables_bytes(self) -> int:
        """Bytes of weights and optimizer state."""
        return sum(value.nbytes for value in self.values.values())


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
    whole = {v.path: v for v in source.model.variables}
    for variable in model.variables:
        original = whole.get(variable.path)
        if original is None or tuple(original.shape) != tuple(variable.shape):
            raise ExportError(
                f"sub-model: '{variable.path}' of shape {tuple(variable.shape)} is not a slice of "
                "the whole model: give every layer a name, those of a class's branch "
                "task_<class>_<layer>"
            )
        variable.assign(original)
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
        lowered = lower(source, source.model, small, lambda text: None)
        return lowered.content, lowered.variables_bytes

    with options.freeze.applied(source.model):
        return preview(convert_for)


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
        classes = _classes(step, classes)
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
        real = None
        if options.data is not None:
            real = real_data.load(options.data, step, classes, source.preprocessing)
        with stored.rounded(model, {w.index: values[w.name] for w in step.weights}):
            measured = _compare(lowered, model, options, real, progress)
    graphs: dict[Accelerator, accelerated.Accelerated] = {}
    for accelerator in options.accelerators:
        progress(f"converting for the {accelerator} and comparing with the CPU")
        graphs[accelerator] = accelerated.gpu(step, content, values, options.seed)
        measured[accelerator] = {
            "tolerance": accelerated.TOLERANCE,
            "runs": graphs[accelerator].measured,
        }
    progress("writing")
    variables = _variables(step, values, places)
    frozen = _frozen(step)
    signatures = _signatures(step, variables)
    optimizer = step.optimizer.describe()
    manifest = Manifest(
        name=source.name,
        tfplus_version=__version__,
        architecture_hash=_architecture_hash(variables, frozen, signatures, optimizer),
        flatbuffer_bytes=len(content),
        flatbuffer_sha256="",
        batch_size=options.batch_size,
        infer_batch_size=options.infer_batch_size or options.batch_size,
        classes=classes,
        outputs=_outputs(step),
        optimizer=optimizer,
        parameters=sum(int(np.prod(w.shape)) for w in step.weights if w.trainable),
        flops_per_step=cost.product_flops(content, "train"),
        signatures=signatures,
        variables=variables,
        operators=counts,
        flex_operators=flex,
        parity=measured,
        preprocessing=source.preprocessing,
        vocabularies=vocabularies(step.train_graph),
        frozen=frozen,
        targets=checked,
        accelerated=tuple(
            AcceleratedGraph(name, size_bytes=1, sha256="", checked_by=graph.checked_by)
            for name, graph in graphs.items()
        ),
    )
    try:
        # What a device would refuse to read, such as a layer's name of 300 characters.
        manifest_reader.from_json(manifest.to_json())
    except ArtifactError as error:
        raise ExportError(f"no device would take the file: {error}") from error
    return artifact.write(path, content, manifest, {n: g.content for n, g in graphs.items()})


def lower(source: Source, model: keras.Model, options: Options, progress: Progress) -> Lowered:
    """Traces, lowers and converts a model as it is, whatever `options.freeze` says.

    Raises:
      ExportError: it cannot be lowered or converted.
    """
    step = _training(source, model, options)
    progress("converting to TFLite operators")
    module = StatefulModule(step)
    marked = convert.to_flatbuffer(module)
    values = _initial_values(step, model)
    if options.weights != "float32":
        weights = {w.name for w in step.weights}
        forms = stored.choose(values, weights, options.weights)
        content, places, values = stored.shrink(marked, module.names, values, forms)
        return Lowered(step, content, places, values)
    offsets = flatbuffer.variable_offsets(marked, module.shapes)
    places = {n: Place(offset) for n, offset in zip(module.names, offsets, strict=True)}
    return Lowered(step, _fill(marked, places, values), places, values)


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


def _training(source: Source, model: keras.Model, options: Options) -> Training:
    step = training.build(
        model,
        options.optimizer or source.optimizer or Sgd(),
        losses=losses_of(source, model, options.loss),
        sample_weights=options.sample_weights,
        batch_size=options.batch_size,
        infer_batch_size=options.infer_batch_size or options.batch_size,
    )
    if not any(w.trainable for w in step.weights):
        raise ExportError("the model has no trainable weight")
    return step


def losses_of(source: Source, model: keras.Model, name: str | None) -> Mapping[str, OutputLoss]:
    """The loss of each output: the one that was asked for, the compiled ones, or the default.

    Args:
      source: where the model comes from.
      model: the source's own, or a sub-model of it.
      name: in Keras; None for the compiled one.

    Raises:
      UsageError: there is no such loss.
    """
    outputs = list(ports.outputs(model))
    if name is not None or source.losses is None:
        return compiled.named(name or compiled.DEFAULT, outputs)
    # A sub-model has the outputs of the whole.
    return dict(zip(outputs, source.losses.values(), strict=True))


def _classes(step: Training, classes: tuple[int, ...] | None) -> tuple[int, ...]:
    """Labels of the only output, if it is the choice of a class."""
    head, *others = step.heads
    shape = [int(d) for d in head.at(step.infer_graph).shape]
    if others or head.loss.targets not in ("label", "distribution"):
        if classes is not None:
            raise UsageError(
                f"--classes does not apply: the loss {head.given.name} has no classes, or the "
                "model several outputs"
            )
        return ()
    if classes is not None and len(classes) != shape[-1]:
        raise ExportError(
            f"the model has {shape[-1]} outputs, but {len(classes)} classes are named"
        )
    return classes or tuple(range(shape[-1]))


def _outputs(step: Training) -> tuple[Output, ...]:
    return tuple(
        Output(
            name=head.output,
            kind=head.loss.kind,
            prediction=head.prediction,
            target=head.target,
            targets=head.loss.targets,
            padding=padding.fill(head.loss.targets),
            metric=head.metric,
            loss=head.given.describe() | {"reduction": head.reduction},
            loss_weight=head.weight,
        )
        for head in step.heads
    )


def _initial_values(step: Training, model: keras.Model) -> dict[str, np.ndarray]:
    weights = {w.name: np.array(model.variables[w.index].numpy(), np.float32) for w in step.weights}
    return weights | step.state()


def _fill(content: bytes, places: Mapping[str, Place], values: Mapping[str, np.ndarray]) -> bytes:
    filled = bytearray(content)
    for name, value in values.items():
        raw = np.ascontiguousarray(value, "<f4").tobytes()
        filled[places[name].offset : places[name].offset + len(raw)] = raw
    return bytes(filled)


def _variables(
    step: Training, values: Mapping[str, np.ndarray], places: Mapping[str, Place]
) -> tuple[Variable, ...]:
    trainable = {w.name: w.trainable for w in step.weights}
    return tuple(
        Variable(
            name=name,
            shape=tuple(value.shape),
            dtype="float32",
            role="weight"
            if name in trainable
            else ("hyperparameter" if name == LEARNING_RATE else "optimizer"),
            trainable=trainable.get(name, False),
            offset=places[name].offset,
            storage=places[name].storage,
            scale_offset=places[name].scale_offset,
        )
        for name, value in values.items()
    )


def _frozen(step: Training) -> tuple[FrozenWeight, ...]:
    return tuple(
        FrozenWeight(
            c.name,
            tuple(c.value.shape),
            hashlib.sha256(
                np.ascontiguousarray(c.value, c.value.dtype.newbyteorder("<")).tobytes()
            ).hexdigest(),
        )
        for c in step.constants
    )


def _signatures(step: Training, variables: tuple[Variable, ...]) -> dict[str, Signature]:
    state = {v.name: TensorInfo(v.shape, v.dtype) for v in variables}
    scalar = TensorInfo((1,), "float32")
    predictions = {
        head.prediction: TensorInfo(
            tuple(int(d) for d in head.at(step.infer_graph).shape), "float32"
        )
        for head in step.heads
    }
    return {
        "train": Signature(step.arguments(), dict.fromkeys(step.reported(), scalar)),
        "infer": Signature(step.inputs(step.infer_graph), predictions),
        "save": Signature({}, state),
        "restore": Signature(state, {"ok": TensorInfo((1,), "int32")}),
    }


def _architecture_hash(
    variables: tuple[Variable, ...],
    frozen: tuple[FrozenWeight, ...],
    signatures: dict[str, Signature],
    optimizer: dict[str, Any],
) -> str:
    described = {
        "variables": [[v.name, v.shape, v.dtype, v.trainable] for v in variables],
        "frozen": [[f.name, f.shape, f.sha256] for f in frozen],
        "signatures": {k: dataclasses.asdict(s) for k, s in signatures.items()},
        "optimizer": optimizer,
    }
    return hashlib.sha256(json.dumps(described, sort_keys=True).encode()).hexdigest()
