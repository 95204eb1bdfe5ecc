"""Reading `tfplus.json`: every field is checked, for the file may come from anyone."""

from __future__ import annotations

from typing import cast, get_args

from tfplus.errors import ArtifactError, DamagedFileError
from tfplus.model_file import companion_reader
from tfplus.model_file.manifest import (
    SCHEMA_VERSION,
    CheckedTarget,
    FrozenWeight,
    Kind,
    Lowering,
    Manifest,
    Output,
    Role,
    Signature,
    Targets,
    TensorInfo,
    Variable,
)
from tfplus.model_file.manifest_fields import ManifestFields
from tfplus.model_file.preprocessing import InputRange, Preprocessing, RangeSource
from tfplus.model_file.storage import STORAGES
from tfplus.system.checked_json import parse
from tfplus.wire.limits import DEFAULT_LIMITS, Limits


def from_json(text: str, limits: Limits = DEFAULT_LIMITS) -> Manifest:
    """Reads a manifest.

    Fields that are not known are passed over, so that a later tfplus can add some without a new
    schema version.

    Args:
      text: JSON.
      limits: caps the number of variables, their rank, size and the length of their names.

    Raises:
      ArtifactError: it is no JSON, of a newer schema, or a field is missing or of a wrong form; the
        message names the field.
    """
    try:
        raw = parse(text.encode(errors="surrogatepass"))
    except DamagedFileError as error:
        raise ArtifactError(f"tfplus.json: {error}") from None
    fields = ManifestFields(raw)
    version = fields.integer("schema_version", minimum=1)
    if version > SCHEMA_VERSION:
        raise ArtifactError(
            f"tfplus.json: schema version {version} is newer than {SCHEMA_VERSION}, the newest "
            "that this tfplus reads: upgrade tfplus, or export again with this version"
        )
    if version < SCHEMA_VERSION:
        raise ArtifactError(
            f"tfplus.json: schema version {version} is older than {SCHEMA_VERSION}, which this "
            "tfplus reads: export the model again"
        )
    variables = tuple(_variable(f, limits) for f in fields.objects("variables"))
    if len(variables) > limits.tensors:
        raise fields.wrong("variables", f"at most {limits.tensors}", len(variables))
    if len({v.name for v in variables}) < len(variables):
        raise fields.wrong("variables", "distinct names", "a name twice")
    classes = fields.integers("classes")
    if len(set(classes)) < len(classes):
        raise fields.wrong("classes", "distinct labels", list(classes))
    manifest = Manifest(
        name=fields.text("name"),
        tfplus_version=fields.text("tfplus_version"),
        architecture_hash=fields.text("architecture_hash"),
        flatbuffer_bytes=fields.integer("flatbuffer_bytes", minimum=1),
        flatbuffer_sha256=fields.text("flatbuffer_sha256"),
        batch_size=fields.integer("batch_size", minimum=1),
        infer_batch_size=fields.integer("infer_batch_size", minimum=1),
        classes=classes,
        outputs=tuple(_output(f) for f in fields.objects("outputs")),
        optimizer=fields.object("optimizer").settings(),
        parameters=fields.integer("parameters"),
        flops_per_step=fields.integer("flops_per_step"),
        signatures={n: _signature(s) for n, s in fields.object("signatures").members()},
        variables=variables,
        operators=fields.object("operators").counts(),
        flex_operators=fields.texts("flex_operators"),
        parity=fields.mapping("parity"),
        preprocessing=_preprocessing(fields.object("preprocessing")),
        regularization=fields.number_or_none("regularization"),
        frozen=tuple(_frozen(f, limits) for f in fields.objects("frozen")),
        lowerings=tuple(_lowering(f) for f in fields.objects("lowerings")),
        vocabularies=fields.object("vocabularies").counts(),
        declared_dtypes=fields.object("declared_dtypes").dtypes(),
        targets=tuple(_target(f) for f in fields.objects("targets")),
        accelerated=tuple(companion_reader.accelerated(f) for f in fields.objects("accelerated")),
        inference=tuple(companion_reader.inference(f, limits) for f in fields.objects("inference")),
        features=companion_reader.features(fields, limits),
        schema_version=version,
    )
    _check_interface(fields, manifest)
    companion_reader.check_features(fields, manifest)
    return manifest


def _check_interface(fields: ManifestFields, manifest: Manifest) -> None:
    """Checks that signatures, outputs, batch sizes and classes say the same."""
    signatures = manifest.signatures
    for name in ("train", "infer", "save", "restore"):
        if name not in signatures:
            raise fields.wrong("signatures", f"one named '{name}'", sorted(signatures))
    train, infer = signatures["train"], signatures["infer"]
    if not manifest.outputs or not infer.inputs:
        raise fields.wrong("signatures", "at least one input and one output", sorted(signatures))
    for name, info in infer.inputs.items():
        want = TensorInfo((manifest.batch_size, *info.shape[1:]), info.dtype)
        if info.shape[:1] != (manifest.infer_batch_size,) or train.inputs.get(name) != want:
            raise fields.wrong(
                "signatures", f"input '{name}' of both batch sizes", train.inputs.get(name)
            )
    for output in manifest.outputs:
        target, found = train.inputs.get(output.target), infer.outputs.get(output.name)
        logits = infer.outputs.get(output.logits) if output.logits else found
        known = found is not None and found == logits and output.metric in train.outputs
        if found is None or not known or len(found.shape) < 2:
            raise fields.wrong("outputs", "names of tensors of the signatures", output.name)
        shape = (manifest.batch_size, *found.shape[1:])
        labels = output.targets == "label"
        want = TensorInfo(shape[:-1], "int32") if labels else TensorInfo(shape, "float32")
        if target != want:
            raise fields.wrong("signatures", f"input '{output.target}' as {want}", target)
        if manifest.classes and (len(manifest.outputs) > 1 or len(manifest.classes) != shape[-1]):
            raise fields.wrong("classes", f"{shape[-1]} labels of one output", manifest.classes)


def _output(fields: ManifestFields) -> Output:
    return Output(
        name=fields.text("name"),
        kind=cast("Kind", fields.choice("kind", get_args(Kind))),
        logits=fields.text("logits"),
        target=fields.text("target"),
        targets=cast("Targets", fields.choice("targets", get_args(Targets))),
        padding=fields.number("padding"),
        metric=fields.text("metric"),
        loss=fields.mapping("loss"),
        loss_weight=fields.number("loss_weight"),
    )


def _preprocessing(fields: ManifestFields) -> Preprocessing:
    return Preprocessing(
        scale=fields.single("scale"),
        offset=fields.single("offset"),
        floats=fields.boolean("floats"),
        expects=tuple(_range(f) for f in fields.objects("expects")),
    )


def _range(fields: ManifestFields) -> InputRange:
    low, high = fields.single("low"), fields.single("high")
    if low > high:
        raise fields.wrong("high", f"at least {low:g}", high)
    return InputRange(
        input=fields.text("input"),
        source=cast("RangeSource", fields.choice("source", get_args(RangeSource))),
        low=low,
        high=high,
        mean=fields.number_or_none("mean"),
        std=fields.number_or_none("std"),
        dtype=fields.text("dtype"),
    )


def _name(fields: ManifestFields, limits: Limits) -> str:
    name = fields.text("name")
    if not name or len(name) > limits.name_chars or not name.isprintable():
        raise fields.wrong("name", f"1 to {limits.name_chars} printable characters", name)
    return name


def _frozen(fields: ManifestFields, limits: Limits) -> FrozenWeight:
    return FrozenWeight(_name(fields, limits), fields.shape(limits), fields.text("sha256"))


def _lowering(fields: ManifestFields) -> Lowering:
    return Lowering(fields.text("layer"), fields.text("problem"), fields.text("name"))


def _target(fields: ManifestFields) -> CheckedTarget:
    return CheckedTarget(
        name=fields.text("name"),
        runtime=fields.text("runtime"),
        runtime_version=fields.text("runtime_version"),
        peak_memory_bytes=fields.integer("peak_memory_bytes"),
    )


def _variable(fields: ManifestFields, limits: Limits) -> Variable:
    name = _name(fields, limits)
    variable = Variable(
        name=name,
        shape=fields.shape(limits),
        dtype=fields.dtype(),
        role=cast("Role", fields.choice("role", get_args(Role))),
        trainable=fields.boolean("trainable"),
        offset=fields.integer("offset"),
        storage=fields.choice("storage", STORAGES),
        scale_offset=fields.integer("scale_offset"),
    )
    if variable.size_bytes > limits.tensor_bytes:
        raise fields.wrong("shape", f"at most {limits.tensor_bytes} bytes", variable.size_bytes)
    return variable


def _signature(fields: ManifestFields) -> Signature:
    return Signature(_tensors(fields.object("inputs")), _tensors(fields.object("outputs")))


def _tensors(fields: ManifestFields) -> dict[str, TensorInfo]:
    return {n: companion_reader.tensor(f, DEFAULT_LIMITS) for n, f in fields.members()}
