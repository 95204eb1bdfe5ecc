"""Reading what `tfplus.json` says of graphs beside the one that trains."""

from __future__ import annotations

import math
from typing import cast, get_args

import numpy as np

from tfplus.model_file.companion_graphs import (
    AcceleratedGraph,
    Accelerator,
    FeatureGraph,
    InferenceConstant,
    InferenceGraph,
    TensorInfo,
)
from tfplus.model_file.manifest import Manifest
from tfplus.model_file.manifest_fields import ManifestFields
from tfplus.wire.limits import DEFAULT_LIMITS, Limits

_MOST_FEATURE_GRAPHS = 8


def accelerated(fields: ManifestFields) -> AcceleratedGraph:
    """Reads the description of a graph for an accelerator."""
    return AcceleratedGraph(
        accelerator=cast("Accelerator", fields.choice("accelerator", get_args(Accelerator))),
        size_bytes=fields.integer("size_bytes", minimum=1),
        sha256=fields.text("sha256"),
        checked_by=fields.text("checked_by"),
        rounding=fields.texts("rounding"),
    )


def inference(fields: ManifestFields, limits: Limits) -> InferenceGraph:
    """Reads the description of a graph of inference."""
    size = fields.integer("size_bytes", minimum=1)
    if size > limits.model_bytes:
        raise fields.wrong("size_bytes", f"at most {limits.model_bytes} bytes", size)
    constants = tuple(_constant(f, limits) for f in fields.objects("constants"))
    end = 0
    for place in sorted(constants, key=lambda place: place.offset):
        if place.offset < end or place.offset + place.size_bytes > size:
            raise fields.wrong("constants", "places apart, within the graph", place.name)
        end = place.offset + place.size_bytes
    return InferenceGraph(size, fields.text("sha256"), fields.text("constants_sha256"), constants)


def features(fields: ManifestFields, limits: Limits) -> tuple[FeatureGraph, ...]:
    """Reads the descriptions of the graphs that make features."""
    if "features" not in fields:
        # A file of an earlier tfplus.
        return ()
    found = fields.objects("features")
    if len(found) > _MOST_FEATURE_GRAPHS:
        raise fields.wrong("features", f"at most {_MOST_FEATURE_GRAPHS} graphs", len(found))
    return tuple(_feature(f, limits) for f in found)


def _feature(fields: ManifestFields, limits: Limits) -> FeatureGraph:
    size = fields.integer("size_bytes", minimum=1)
    if size > limits.model_bytes:
        raise fields.wrong("size_bytes", f"at most {limits.model_bytes} bytes", size)
    feature = tensor(fields.object("feature"), limits)
    if feature.dtype != "float32":
        raise fields.wrong("feature", "float32", feature.dtype)
    return FeatureGraph(
        layer=fields.text("layer"),
        input=fields.text("input"),
        sample=tensor(fields.object("sample"), limits),
        feature=feature,
        batch_size=fields.integer("batch_size", minimum=1),
        size_bytes=size,
        sha256=fields.text("sha256"),
    )


def _constant(fields: ManifestFields, limits: Limits) -> InferenceConstant:
    shape, order = fields.shape(limits), fields.integers("order", minimum=0)
    if sorted(order) != list(range(len(shape))):
        raise fields.wrong("order", f"an order of {len(shape)} axes", list(order))
    return InferenceConstant(fields.text("name"), fields.integer("offset"), shape, order)


def check_features(fields: ManifestFields, manifest: Manifest) -> None:
    """Checks that features are what the file takes."""
    taken = manifest.signatures["infer"].inputs
    for place, graph in enumerate(manifest.features):
        rest = manifest.features[place + 1 :]
        # The next piece takes what this one makes; behind the last one that is the file itself.
        wanted = rest[0].sample if rest else manifest.inputs.get(graph.input)
        if set(taken) != {graph.input} or wanted != graph.feature:
            raise fields.wrong("features", f"what makes the inputs {sorted(taken)}", graph.input)
        batch = TensorInfo((graph.batch_size, *graph.sample.shape), graph.sample.dtype)
        size_bytes = math.prod(batch.shape) * np.dtype(batch.dtype).itemsize
        if size_bytes > DEFAULT_LIMITS.tensor_bytes:
            raise fields.wrong("features", "a batch below the limit", list(batch.shape))


def tensor(fields: ManifestFields, limits: Limits) -> TensorInfo:
    """Reads shape and dtype of a tensor, below the limit."""
    info = TensorInfo(fields.shape(limits), fields.dtype())
    size_bytes = math.prod(info.shape) * np.dtype(info.dtype).itemsize
    if size_bytes > limits.tensor_bytes:
        raise fields.wrong("shape", f"at most {limits.tensor_bytes} bytes", size_bytes)
    return info
