"""Models and weights at rest: exported files, their manifests, checkpoints, safetensors."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import numpy as np
from safetensors.numpy import save

from readers.target import Target
from tfplus.decoupling import slice_file
from tfplus.model_file import artifact, weights_file
from tfplus.model_file.artifact import MANIFEST_NAME
from tfplus.model_file.manifest_reader import from_json
from tfplus.tensors.slice_set import SliceSet
from tfplus.tensors.slices import check_against
from tfplus_agent.doctor.patient import probe
from tfplus_agent.storage.checkpoints import Checkpoint, CheckpointStore

_SHAPES = {"shared/a": ((2, 3), "float32"), "optimizer/n": ((1,), "int32")}
_VALUES = {n: np.ones(shape, dtype) for n, (shape, dtype) in _SHAPES.items()}
_MODEL = "a" * 64


def _file(content: bytes, folder: Path, name: str) -> Path:
    path = folder / name
    path.write_bytes(content)
    return path


def _read_artifact(content: bytes, folder: Path) -> object:
    read = artifact.read(_file(content, folder, "m.tflite"))
    values = artifact.initial_values(read)
    check_against(values, read.manifest.expected())
    for entry in read.manifest.accelerated:
        artifact.accelerated_graph(read, entry.accelerator)
    return artifact.inference_graphs(read)


def _manifest_seeds(folder: Path) -> list[bytes]:
    with zipfile.ZipFile(io.BytesIO(probe().read.path.read_bytes())) as archive:
        return [archive.read(MANIFEST_NAME)]


def _read_manifest(content: bytes, folder: Path) -> object:
    # What is behind the hash of a file can be made by anybody.
    manifest = from_json(content.decode())
    assert manifest.expected()
    return from_json(manifest.to_json())


def _checkpoint_seeds(folder: Path) -> list[bytes]:
    store = CheckpointStore(folder / "c", _MODEL, _SHAPES)
    return [store.save(Checkpoint(7, SliceSet(_VALUES))).read_bytes()]


def _read_checkpoint(content: bytes, folder: Path) -> object:
    (folder / "c").mkdir(exist_ok=True)
    path = _file(content, folder / "c", "0000000001.safetensors")
    found = CheckpointStore(folder / "c", _MODEL, _SHAPES).load()
    # Set aside, so that no later start meets with it again.
    assert (found is None) != path.exists()
    if found is not None:
        check_against(found.tensors, _SHAPES)
    return found


def _tensors_seeds(folder: Path) -> list[bytes]:
    return [save({"shared/a": np.ones((2, 3), np.float32), "b": np.zeros(4, np.int64)})]


TARGETS = (
    Target("artifact", lambda _: [probe().read.path.read_bytes()], _read_artifact),
    Target("manifest", _manifest_seeds, _read_manifest, (UnicodeDecodeError,)),
    Target("checkpoint", _checkpoint_seeds, _read_checkpoint),
    Target(
        "weights-file",
        _tensors_seeds,
        lambda content, folder: weights_file.read(_file(content, folder, "w.safetensors")),
    ),
    Target(
        "slice-file",
        _tensors_seeds,
        lambda content, folder: slice_file.read(_file(content, folder, "s.safetensors")),
    ),
)
