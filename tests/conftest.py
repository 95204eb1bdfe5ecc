"""What tests of several areas share: a hypothesis profile, and small artifacts."""

from __future__ import annotations

import contextlib
import dataclasses
import os
import sqlite3
import subprocess
import sys
import uuid
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np
import pytest
from hypothesis import settings

from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus.model_file.manifest import (
    Manifest,
    Output,
    Preprocessing,
    Signature,
    TensorInfo,
    Variable,
)

# The same examples on every machine, and no deadline: a shared machine is slow now and then.
settings.register_profile("tfplus", derandomize=True, deadline=None, max_examples=60)
settings.load_profile("tfplus")

# In a process of its own: TensorFlow's start-up warnings would count as errors here.
_EXPORT = """
import sys
from pathlib import Path
from tfplus_export.pipeline import api
from tfplus_export.sources import source
from tfplus_export.optimizers import Adam, Sgd
model = source.load("zoo:digits", input_shape=None, classes=None, seed=0)
optimizer = {"sgd": Sgd, "adam": Adam}[sys.argv[2]]()
accelerators = tuple(sys.argv[3:])
options = api.Options(16, 24, optimizer, parity_steps=1, accelerators=accelerators)
api.export(model, Path(sys.argv[1]), options, lambda text: None)
"""
SHAPES = {
    "shared/dense/kernel": (4, 3),
    "shared/dense/bias": (3,),
    "task/7/dense/kernel": (3, 1),
    "optimizer/learning_rate": (1,),
}
FLATBUFFER_BYTES = 512


def toy_values(seed: int = 0) -> dict[str, np.ndarray]:
    """A value for each variable of the toy artifact."""
    rng = np.random.default_rng(seed)
    return {n: rng.normal(size=s).astype(np.float32) for n, s in SHAPES.items()}


def toy_flatbuffer(seed: int = 0) -> bytes:
    """Bytes that start like a TFLite file and hold the variables one after the other from 64 on."""
    content = bytearray(np.random.default_rng(99).bytes(FLATBUFFER_BYTES))
    content[4:8] = b"TFL3"
    offset = 64
    for value in toy_values(seed).values():
        raw = value.tobytes()
        content[offset : offset + len(raw)] = raw
        offset += len(raw)
    return bytes(content)


def toy_manifest() -> Manifest:
    """A manifest for `toy_flatbuffer`; its length and hash are set by `artifact.write`."""
    offset = 64
    variables: list[Variable] = []
    for name, shape in SHAPES.items():
        is_weight = not name.startswith("optimizer/")
        variables.append(
            Variable(
                name=name,
                shape=shape,
                dtype="float32",
                role="weight" if is_weight else "hyperparameter",
                trainable=is_weight,
                offset=offset,
            )
        )
        offset += variables[-1].size_bytes
    state = {v.name: TensorInfo(v.shape, v.dtype) for v in variables}
    scalar = TensorInfo((1,), "float32")
    return Manifest(
        name="test:toy",
        tfplus_version="0.1.0",
        architecture_hash="ab" * 32,
        flatbuffer_bytes=1,
        flatbuffer_sha256="",
        batch_size=8,
        infer_batch_size=16,
        classes=(7, 2),
        outputs=(
            Output(
                name="dense",
                kind="logits",
                logits="",
                target="y",
                targets="label",
                padding=-1.0,
                metric="accuracy",
                loss={"name": "sparse_categorical_crossentropy", "from_logits": True},
                loss_weight=1.0,
            ),
        ),
        optimizer={"name": "sgd", "learning_rate": 0.1, "momentum": 0.0},
        parameters=18,
        flops_per_step=1234,
        signatures={
            "train": Signature(
                {"x": TensorInfo((8, 4), "float32"), "y": TensorInfo((8,), "int32")},
                {"loss": scalar, "accuracy": scalar},
            ),
            "infer": Signature(
                {"x": TensorInfo((16, 4), "float32")}, {"dense": TensorInfo((16, 2), "float32")}
            ),
            "save": Signature({}, state),
            "restore": Signature(state, {"ok": TensorInfo((1,), "int32")}),
        },
        variables=tuple(variables),
        operators={"BATCH_MATMUL": 3, "ADD": 2},
        flex_operators=(),
        parity={"steps": 3, "max_relative_loss_error": 1e-7},
        preprocessing=Preprocessing(scale=1 / 16, offset=-0.5),
    )


MakeArtifact = Callable[..., Artifact]


@pytest.fixture
def make_artifact(tmp_path: Path) -> MakeArtifact:
    """Writes the toy artifact, with fields of its manifest replaced by keyword."""

    def make(file_name: str = "toy.tflite", **changes: object) -> Artifact:
        manifest = dataclasses.replace(toy_manifest(), **changes)
        return artifact.write(tmp_path / file_name, toy_flatbuffer(), manifest)

    return make


@pytest.fixture
def toy(make_artifact: MakeArtifact) -> Artifact:
    """The toy artifact as it is."""
    return make_artifact()


@pytest.fixture(scope="session")
def model(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """A trainable model for 8×8 digits; TFPLUS_TEST_MODEL names one where TensorFlow is absent."""
    ready = os.environ.get("TFPLUS_TEST_MODEL")
    if ready:
        return artifact.read(Path(ready))
    return _exported(tmp_path_factory.mktemp("model") / "digits.tflite", "sgd")


@pytest.fixture(scope="session")
def adam_model(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The same model, trained with Adam."""
    return _exported(tmp_path_factory.mktemp("model") / "adam.tflite", "adam")


def _exported(path: Path, optimizer: str, *accelerators: str) -> Artifact:
    command = [sys.executable, "-c", _EXPORT, str(path), optimizer, *accelerators]
    subprocess.run(command, check=True, timeout=120, capture_output=True)
    return artifact.read(path)


@pytest.fixture(scope="session")
def gpu_model(tmp_path_factory: pytest.TempPathFactory) -> Artifact:
    """The model with a graph for the GPU as well."""
    path = tmp_path_factory.mktemp("model") / "gpu.tflite"
    return _exported(path, "sgd", "gpu")


@pytest.fixture(scope="session")
def gpu(gpu_model: Artifact) -> None:
    """Skips where LiteRT finds no GPU; fails there if TFPLUS_REQUIRE_GPU is set."""
    (entry,) = gpu_model.manifest.accelerated
    if entry.checked_by.startswith("its delegate"):
        return
    reason = 'LiteRT finds no GPU: eval "$(scripts/software-vulkan)" makes one of software'
    if os.environ.get("TFPLUS_REQUIRE_GPU"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture(scope="session")
def postgresql() -> Iterator[str]:
    """The URL of a PostgreSQL of these tests; skips where there is none.

    Fails there if TFPLUS_REQUIRE_POSTGRESQL is set.
    """
    command = [str(Path(__file__).parents[1] / "scripts" / "postgresql")]
    pipe = subprocess.PIPE
    with subprocess.Popen(command, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as server:
        assert server.stdin is not None and server.stdout is not None and server.stderr is not None
        url = server.stdout.readline().strip()
        if url:
            yield url
            server.stdin.close()
            return
        reason = server.stderr.read().strip()
    if os.environ.get("TFPLUS_REQUIRE_POSTGRESQL"):
        pytest.fail(reason)
    pytest.skip(reason)


@pytest.fixture
def database(postgresql: str) -> str:
    """The URL of an empty data base of PostgreSQL."""
    from pg8000.native import Connection

    name, parts = f"t{uuid.uuid4().hex}", urlsplit(postgresql)
    connection = Connection(parts.username, parts.hostname, "postgres", parts.port, parts.password)
    connection.run(f"CREATE DATABASE {name}")
    connection.close()
    return postgresql.removesuffix("postgres") + name


@pytest.fixture(params=["sqlite", "postgresql"])
def state(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    """An empty state of a server of features: a folder, then a URL of PostgreSQL."""
    return tmp_path / "hub" if request.param == "sqlite" else request.getfixturevalue("database")


Asked = Callable[[Path | str, str], list[list[Any]]]


@pytest.fixture
def asked() -> Asked:
    """Asks a state by SQL, past the code under test: state, query → rows."""

    def ask(state: Path | str, query: str) -> list[list[Any]]:
        if isinstance(state, Path):
            with contextlib.closing(sqlite3.connect(state / "server.sqlite")) as db:
                return [list(row) for row in db.execute(query)]
        from pg8000.native import Connection

        parts = urlsplit(state)
        name = parts.path.removeprefix("/")
        connection = Connection(parts.username, parts.hostname, name, parts.port, parts.password)
        with contextlib.closing(connection):
            return [list(row) for row in connection.run(query) or ()]

    return ask
