from __future__ import annotations

import errno
import hashlib
import os
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tfplus.errors import ArtifactError, TensorError, TfplusError
from tfplus.model_file.artifact import Artifact
from tfplus.wire.limits import Limits
from tfplus_agent.storage.checkpoint_draft import StorageError
from tfplus_agent.storage.models import ModelStore


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path / "models", Limits(chunk_bytes=64, model_bytes=10_000))


def chunks(content: bytes, size: int = 64) -> list[bytes]:
    return [content[i : i + size] for i in range(0, len(content), size)]


def test_a_model_is_kept_under_its_hash(store: ModelStore, toy: Artifact) -> None:
    content = toy.path.read_bytes()
    assert toy.sha256 not in store
    store.add(toy.sha256, len(content), chunks(content))
    assert toy.sha256 in store
    assert store.open(toy.sha256).path.read_bytes() == content
    assert store.open(toy.sha256).manifest == toy.manifest


def refused(
    store: ModelStore, error: type[TfplusError], message: str, add: Callable[[], None]
) -> None:
    with pytest.raises(error, match=message):
        add()
    assert list(store.path("0" * 64).parent.iterdir()) == []


def test_an_upload_that_is_not_what_was_announced_leaves_nothing(
    store: ModelStore, toy: Artifact
) -> None:
    content = toy.path.read_bytes()
    size = len(content)
    for length in range(0, size, 97):
        refused(
            store,
            ArtifactError,
            f"expected {size} bytes, it ended after {length}",
            lambda n=length: store.add(toy.sha256, size, chunks(content[:n])),
        )
    refused(
        store,
        ArtifactError,
        "more came",
        lambda: store.add(toy.sha256, size, chunks(content + b"x")),
    )
    refused(
        store,
        ArtifactError,
        "expected a file with SHA-256 0000",
        lambda: store.add("0" * 64, size, chunks(content)),
    )
    refused(
        store,
        TensorError,
        "chunk of 65 bytes",
        lambda: store.add(toy.sha256, size, chunks(content, 65)),
    )
    refused(store, TensorError, "expected 1 to 10000", lambda: store.add(toy.sha256, 10_001, []))
    refused(store, TensorError, "expected 1 to 10000", lambda: store.add(toy.sha256, 0, []))


def test_a_file_that_is_no_artifact_is_refused(store: ModelStore) -> None:
    for content in (b"hello", b"\0\0\0\0TFL3" + b"\0" * 100):
        refused(
            store,
            ArtifactError,
            "^upload: ",
            lambda c=content: store.add(hashlib.sha256(c).hexdigest(), len(c), chunks(c)),
        )


def test_an_upload_whose_sender_fails_leaves_nothing(store: ModelStore, toy: Artifact) -> None:
    def vanish() -> Iterator[bytes]:
        yield toy.path.read_bytes()[:64]
        raise RuntimeError("gone")

    with pytest.raises(RuntimeError, match="gone"):
        store.add(toy.sha256, toy.size_bytes, vanish())
    assert list(store.path("0" * 64).parent.iterdir()) == []


def test_a_full_disk_is_said_and_leaves_nothing(
    store: ModelStore, toy: Artifact, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "fsync", full)
    refused(
        store,
        StorageError,
        "No space left",
        lambda: store.add(toy.sha256, toy.size_bytes, chunks(toy.path.read_bytes())),
    )


@pytest.mark.parametrize("name", ["", "../../etc/passwd", "A" * 64, "0" * 63, "0" * 64 + "\n"])
def test_nothing_but_a_hash_becomes_part_of_a_path(store: ModelStore, name: str) -> None:
    with pytest.raises(ArtifactError, match="expected a SHA-256"):
        store.path(name)
    with pytest.raises(ArtifactError, match="expected a SHA-256"):
        store.add(name, 1, [b"x"])


def test_a_model_that_is_not_there_says_so(store: ModelStore) -> None:
    with pytest.raises(ArtifactError, match="upload it first"):
        store.open("0" * 64)


@pytest.mark.parametrize("at", [100, -100])
def test_a_model_damaged_on_disk_is_removed(store: ModelStore, toy: Artifact, at: int) -> None:
    content = bytearray(toy.path.read_bytes())
    store.add(toy.sha256, len(content), chunks(bytes(content)))
    content[at] ^= 1
    store.path(toy.sha256).write_bytes(content)
    with pytest.raises(ArtifactError, match="removed"):
        store.open(toy.sha256)
    assert toy.sha256 not in store


def test_the_one_used_last_is_the_last_even_if_the_clock_goes_back(
    store: ModelStore, make_artifact: Callable[..., Artifact], monkeypatch: pytest.MonkeyPatch
) -> None:
    models = [make_artifact(f"{i}.tflite", name=f"test:{i}") for i in range(3)]
    for model, now in zip(models, (5_000, 9_000, 1_000), strict=True):
        monkeypatch.setattr(time, "time_ns", lambda now=now: now)
        content = model.path.read_bytes()
        store.add(model.sha256, len(content), chunks(content))

    def order() -> list[str]:
        return sorted(store.addresses(), key=store.last_used_ns)

    assert order() == [m.sha256 for m in models]
    store.use(models[0].sha256)
    assert order() == [models[i].sha256 for i in (1, 2, 0)]
