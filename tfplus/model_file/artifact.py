"""Reading and writing an exported file: a flatbuffer with a ZIP behind it that holds the manifest.

That is TFLite's own convention for associated files. Any runtime ignores the ZIP, `zipfile` reads
it, and the flatbuffer's hash in the manifest shows whether the file is the one that was written.
"""

from __future__ import annotations

import dataclasses
import hashlib
import io
import lzma
import struct
import zipfile
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np

from tfplus.codecs.codec import Encoded
from tfplus.codecs.registry import codec
from tfplus.errors import ArtifactError
from tfplus.model_file import baking, layout
from tfplus.model_file.baking import Inference
from tfplus.model_file.companion_graphs import FeatureGraph, InferenceGraph
from tfplus.model_file.layout import SCALE_BYTES
from tfplus.model_file.manifest import Manifest
from tfplus.model_file.manifest_reader import from_json
from tfplus.system.files import sha256_of, write_atomic
from tfplus.tensors.slices import Tensor, Tensors, check_against

MANIFEST_NAME = "tfplus.json"
LABELS_NAME = "labels.txt"
_INFER_NAME = "infer.tflite"
_CONSTANTS_NAME = "constants.tflite"
_IDENTIFIER = b"TFL3"
_MAX_MANIFEST_BYTES = 16 * 1024 * 1024
_MAX_GRAPH_BYTES = 256 * 1024 * 1024

_NO_GRAPHS: Mapping[str, bytes] = MappingProxyType({})

# What `zipfile` raises on damaged bytes: a flipped bit can announce a password, an unknown
# compression, an impossible date.
_DAMAGED_ZIP = (
    zipfile.BadZipFile,
    zlib.error,
    struct.error,
    lzma.LZMAError,
    RuntimeError,
    ValueError,
    OSError,
    EOFError,
    OverflowError,
)


@dataclass(frozen=True)
class Artifact:
    """An exported file that was read and checked.

    Attributes:
      path: where it lies.
      manifest: what it says of itself.
      sha256: hash of the whole file (hex); its address on a device.
      size_bytes: length of the whole file.
    """

    path: Path
    manifest: Manifest
    sha256: str
    size_bytes: int


def write(
    path: Path,
    flatbuffer: bytes,
    manifest: Manifest,
    graphs: Mapping[str, bytes] = _NO_GRAPHS,
    inference: Inference | None = None,
    features: Sequence[bytes] = (),
) -> Artifact:
    """Writes flatbuffer and manifest as one file; equal input gives an equal file.

    Args:
      path: where to; replaced only once the new file is whole.
      flatbuffer: the TFLite model.
      manifest: its length and hash fields are set here.
      graphs: accelerator → graph, for each that the manifest names.
      inference: the graphs of inference with constant weights; its entry in the manifest is made
        here.
      features: the graphs that make features, those that the manifest names.
    """
    members = {_graph_name(name): graph for name, graph in graphs.items()}
    if inference is not None:
        members |= {
            _INFER_NAME: baking.without_constants(inference),
            _CONSTANTS_NAME: inference.constants,
        }
        constant = InferenceGraph(
            len(inference.infer),
            hashlib.sha256(members[_INFER_NAME]).hexdigest(),
            hashlib.sha256(inference.constants).hexdigest(),
            inference.places,
        )
        manifest = dataclasses.replace(manifest, inference=(constant,))
    members |= {_features_name(i): graph for i, graph in enumerate(features)}
    manifest = dataclasses.replace(
        manifest,
        features=tuple(
            dataclasses.replace(
                entry, size_bytes=len(graph), sha256=hashlib.sha256(graph).hexdigest()
            )
            for entry, graph in zip(manifest.features, features, strict=True)
        ),
    )
    manifest = dataclasses.replace(
        manifest,
        flatbuffer_bytes=len(flatbuffer),
        flatbuffer_sha256=hashlib.sha256(flatbuffer).hexdigest(),
        accelerated=tuple(
            dataclasses.replace(
                entry,
                size_bytes=len(graphs[entry.accelerator]),
                sha256=hashlib.sha256(graphs[entry.accelerator]).hexdigest(),
            )
            for entry in manifest.accelerated
        ),
    )
    buffer = io.BytesIO()
    buffer.write(flatbuffer)
    # Not compressed: what zlib makes of it differs by version, and with it the file's address.
    with zipfile.ZipFile(buffer, "a", zipfile.ZIP_STORED) as archive:
        labels = "".join(f"{label}\n" for label in manifest.classes)
        described = {MANIFEST_NAME: manifest.to_json(), LABELS_NAME: labels}
        for name, member in {**described, **members}.items():
            # A fixed date keeps the file, and so its address, the same from run to run.
            archive.writestr(zipfile.ZipInfo(name, (1980, 1, 1, 0, 0, 0)), member)
    content = buffer.getvalue()
    write_atomic(path, content)
    return Artifact(path, manifest, hashlib.sha256(content).hexdigest(), len(content))


def read(path: Path) -> Artifact:
    """Reads the manifest of an exported file and checks the file against it.

    Raises:
      ArtifactError: the file is missing, foreign, truncated, corrupt, or of a newer schema.
    """
    if not path.is_file():
        raise ArtifactError(f"{path}: no such file; expected a .tflite made by `tfplus export`")
    with path.open("rb") as file:
        if file.read(8)[4:] != _IDENTIFIER:
            raise ArtifactError(f"{path}: expected a TFLite flatbuffer, got another kind of file")
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(MANIFEST_NAME)
            if info.file_size > _MAX_MANIFEST_BYTES:
                raise ArtifactError(f"{path}: {MANIFEST_NAME} of {info.file_size} bytes is too big")
            text = archive.read(info).decode()
    except (*_DAMAGED_ZIP, KeyError, UnicodeDecodeError):
        raise ArtifactError(
            f"{path}: no {MANIFEST_NAME} in it: it was truncated, or is a TFLite model that "
            "`tfplus export` did not write"
        ) from None
    try:
        manifest = from_json(text)
    except ArtifactError as error:
        raise ArtifactError(f"{path}: {error}") from None
    layout.check(path, manifest)
    if layout.flatbuffer_hash(path, manifest.flatbuffer_bytes) != manifest.flatbuffer_sha256:
        raise ArtifactError(f"{path}: the graph does not match its SHA-256: the file is corrupt")
    return Artifact(path, manifest, sha256_of(path), path.stat().st_size)


def accelerated_graph(artifact: Artifact, accelerator: str) -> bytes | None:
    """Reads the graph for an accelerator; None where the file has none.

    Raises:
      ArtifactError: it is not what the manifest says.
    """
    entry = next((e for e in artifact.manifest.accelerated if e.accelerator == accelerator), None)
    if entry is None:
        return None
    return _member(artifact.path, _graph_name(accelerator), entry.sha256, entry.size_bytes)


def inference_graphs(artifact: Artifact) -> Inference | None:
    """Reads the graphs of inference with constant weights; None where the file has none.

    Raises:
      ArtifactError: they are not what the manifest says.
    """
    entry = next(iter(artifact.manifest.inference), None)
    if entry is None:
        return None
    left = entry.size_bytes - sum(place.size_bytes for place in entry.constants)
    cut = _member(artifact.path, _INFER_NAME, entry.sha256, left)
    constants = _member(artifact.path, _CONSTANTS_NAME, entry.constants_sha256)
    return Inference(baking.with_room(cut, entry.constants), constants, entry.constants)


def feature_graph(artifact: Artifact, graph: FeatureGraph) -> bytes:
    """Reads a graph that makes features.

    Args:
      artifact: the file.
      graph: one that its manifest names.

    Raises:
      ArtifactError: it is not what the manifest says.
    """
    name = _features_name(artifact.manifest.features.index(graph))
    return _member(artifact.path, name, graph.sha256, graph.size_bytes)


def _member(path: Path, name: str, sha256: str, size_bytes: int | None = None) -> bytes:
    try:
        with zipfile.ZipFile(path) as archive:
            info = archive.getinfo(name)
            expected = info.file_size if size_bytes is None else size_bytes
            if info.file_size != expected or expected > _MAX_GRAPH_BYTES:
                raise ArtifactError(
                    f"{path}: {name} has {info.file_size} bytes, the manifest says "
                    f"{expected}; expected at most {_MAX_GRAPH_BYTES}"
                )
            content = archive.read(info)
    except (*_DAMAGED_ZIP, KeyError):
        raise ArtifactError(f"{path}: {name} is missing or damaged") from None
    if hashlib.sha256(content).hexdigest() != sha256:
        raise ArtifactError(f"{path}: {name} does not match its SHA-256")
    return content


def initial_values(artifact: Artifact) -> dict[str, Tensor]:
    """Reads the value that each variable starts from: name → array."""
    values: dict[str, Tensor] = {}
    with artifact.path.open("rb") as file:
        for variable in artifact.manifest.variables:
            file.seek(variable.offset)
            raw = file.read(variable.stored_bytes)
            if variable.dtype != "float32":
                flat = np.frombuffer(raw, np.dtype(variable.dtype).newbyteorder("<"))
            else:
                scale = 1.0
                if variable.scale_offset:
                    file.seek(variable.scale_offset)
                    scale = float(np.frombuffer(file.read(SCALE_BYTES), "<f4")[0])
                flat = codec(variable.storage).decode(Encoded(raw, scale), variable.elements)
            values[variable.name] = flat.reshape(variable.shape)
    return values


def with_values(artifact: Artifact, values: Tensors, path: Path) -> Artifact:
    """Writes a copy of the file whose variables start from other values.

    Constant buffers are overwritten in place, so this needs neither TensorFlow nor a runtime. What
    the file stores as float16 or int8 is rounded to that.

    Args:
      artifact: the file to copy.
      values: name → array for some or all variables.
      path: where to.

    Raises:
      TensorError: a name, shape or dtype that the file does not have.
    """
    expected = artifact.manifest.expected()
    check_against(values, {n: e for n, e in expected.items() if n in values})
    content = bytearray(artifact.path.read_bytes()[: artifact.manifest.flatbuffer_bytes])
    for variable in artifact.manifest.variables:
        if variable.name not in values:
            continue
        value = values[variable.name]
        if variable.dtype != "float32":
            raw = np.ascontiguousarray(value, value.dtype.newbyteorder("<")).tobytes()
        else:
            encoded = codec(variable.storage).encode(variable.name, value)
            raw = encoded.raw
            if variable.scale_offset:
                scale_bytes = np.array([encoded.scale], "<f4").tobytes()
                content[variable.scale_offset : variable.scale_offset + SCALE_BYTES] = scale_bytes
        content[variable.offset : variable.offset + len(raw)] = raw
    graphs = {
        entry.accelerator: accelerated_graph(artifact, entry.accelerator) or b""
        for entry in artifact.manifest.accelerated
    }
    features = [feature_graph(artifact, graph) for graph in artifact.manifest.features]
    inference = inference_graphs(artifact)
    return write(path, bytes(content), artifact.manifest, graphs, inference, features)


def _features_name(place: int) -> str:
    return f"features-{place}.tflite" if place else "features.tflite"


def _graph_name(accelerator: str) -> str:
    return f"{accelerator}.tflite"
