from __future__ import annotations

import errno
import hashlib
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors import safe_open

from tfplus.errors import TensorError
from tfplus.tensors.hashing import tensor_hash
from tfplus.tensors.slice_set import SliceSet
from tfplus_agent.storage import checkpoint_file
from tfplus_agent.storage.checkpoint_draft import StorageError
from tfplus_agent.storage.checkpoints import Checkpoint, CheckpointStore

SHA = "a" * 64
EXPECTED = {"shared/d/kernel": ((3, 2), "float32"), "optimizer/step": ((1,), "int32")}


def values(seed: float, **changes: Any) -> SliceSet:
    return SliceSet(
        {
            "shared/d/kernel": np.full((3, 2), seed, np.float32),
            "optimizer/step": np.array([int(seed)], np.int32),
            **changes,
        }
    )


def store(path: Path, sha: str = SHA) -> CheckpointStore:
    return CheckpointStore(path / "checkpoints", sha, EXPECTED)


def files(path: Path) -> list[Path]:
    return sorted((path / "checkpoints").iterdir())


def loaded_step(path: Path) -> int:
    checkpoint = store(path).load()
    assert checkpoint is not None
    for name, value in values(checkpoint.step).items():
        np.testing.assert_array_equal(checkpoint.tensors[name], value)
    return checkpoint.step


def test_there_is_none_at_first(tmp_path: Path) -> None:
    assert store(tmp_path).load() is None


def test_the_newest_is_loaded_and_two_are_kept(tmp_path: Path) -> None:
    for step in (1, 2, 3, 4):
        store(tmp_path).save(Checkpoint(step, values(step)))
        assert loaded_step(tmp_path) == step
    assert len(files(tmp_path)) == 2
    files(tmp_path)[-1].unlink()
    assert loaded_step(tmp_path) == 3


def test_every_truncation_falls_back_to_the_one_before(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    for step in (1, 2):
        store(tmp_path).save(Checkpoint(step, values(step)))
    newest = files(tmp_path)[-1]
    whole = newest.read_bytes()
    for length in range(len(whole)):
        newest.write_bytes(whole[:length])
        assert loaded_step(tmp_path) == 1
    assert "damaged" in caplog.text
    newest.write_bytes(whole)
    assert loaded_step(tmp_path) == 2


def test_every_damaged_byte_falls_back_or_changes_nothing(tmp_path: Path) -> None:
    for step in (1, 2):
        store(tmp_path).save(Checkpoint(step, values(step)))
    newest = files(tmp_path)[-1]
    whole = newest.read_bytes()
    fell_back = 0
    for at in range(len(whole)):
        newest.write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
        fell_back += loaded_step(tmp_path) == 1
    # Some bytes of the header are spaces that mean nothing.
    assert fell_back > 0.9 * len(whole)


def test_two_damaged_checkpoints_are_none(tmp_path: Path) -> None:
    for step in (1, 2):
        store(tmp_path).save(Checkpoint(step, values(step)))
    for file in files(tmp_path):
        file.write_bytes(b"")
    assert store(tmp_path).load() is None
    store(tmp_path).save(Checkpoint(3, values(3)))
    assert loaded_step(tmp_path) == 3


def test_a_full_disk_leaves_the_last_one_intact(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    store(tmp_path).save(Checkpoint(1, values(1)))
    before = [(file, file.read_bytes()) for file in files(tmp_path)]

    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", full)
        with pytest.raises(StorageError, match=r"No space left.*free some space"):
            store(tmp_path).save(Checkpoint(2, values(2)))
    assert [(file, file.read_bytes()) for file in files(tmp_path)] == before
    assert loaded_step(tmp_path) == 1
    store(tmp_path).save(Checkpoint(2, values(2)))
    assert loaded_step(tmp_path) == 2


def test_it_is_synced_before_it_gets_its_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    sync, replace = os.fsync, Path.replace
    monkeypatch.setattr(os, "fsync", lambda fd: (events.append("sync"), sync(fd))[1])
    monkeypatch.setattr(
        Path, "replace", lambda self, to: (events.append("rename"), replace(self, to))[1]
    )
    store(tmp_path).save(Checkpoint(1, values(1)))
    assert events == ["sync", "rename", "sync"]


def test_the_checkpoint_of_another_model_is_not_taken(tmp_path: Path) -> None:
    store(tmp_path, "b" * 64).save(Checkpoint(1, values(1)))
    assert store(tmp_path).load() is None


def test_tensors_of_another_model_are_not_written(tmp_path: Path) -> None:
    with pytest.raises(TensorError, match=r"float32\[3, 2\], got float32\[2, 3\]"):
        turned = np.zeros((2, 3), np.float32)
        store(tmp_path).save(Checkpoint(1, values(1, **{"shared/d/kernel": turned})))
    with pytest.raises(TensorError, match="finite"):
        nan = np.full((3, 2), np.nan, np.float32)
        store(tmp_path).save(Checkpoint(1, values(1, **{"shared/d/kernel": nan})))
    assert store(tmp_path).load() is None


def test_tensors_that_are_not_contiguous_keep_their_values(tmp_path: Path) -> None:
    kernel = np.arange(6, dtype=np.float32).reshape(2, 3).T
    store(tmp_path).save(Checkpoint(1, values(1, **{"shared/d/kernel": kernel})))
    checkpoint = store(tmp_path).load()
    assert checkpoint is not None
    np.testing.assert_array_equal(checkpoint.tensors["shared/d/kernel"], kernel)


def test_what_was_written_is_read_again_with_its_hashes(tmp_path: Path) -> None:
    kept = store(tmp_path)
    assert kept.again(list(EXPECTED)) is None
    kept.save(Checkpoint(1, values(1)))
    kept.save(Checkpoint(2, values(2)))
    for reader in (kept, reloaded(tmp_path)):
        found = reader.again(["shared/d/kernel"])
        assert found is not None
        np.testing.assert_array_equal(found["shared/d/kernel"], values(2)["shared/d/kernel"])
        assert found.known_hashes == {"shared/d/kernel": tensor_hash(values(2)["shared/d/kernel"])}


def test_a_checkpoint_that_somebody_touched_is_not_read_again(tmp_path: Path) -> None:
    kept = store(tmp_path)
    kept.save(Checkpoint(1, values(1)))
    (file,) = files(tmp_path)
    whole = file.read_bytes()
    for touched in (whole[:-1], whole[:-1] + bytes([whole[-1] ^ 1])):
        kept.save(Checkpoint(1, values(1)))
        file = files(tmp_path)[-1]
        file.unlink()
        file.write_bytes(touched)
        assert kept.again(list(EXPECTED)) is None
    assert kept.again(list(EXPECTED)) is None
    file.unlink()
    assert kept.again(list(EXPECTED)) is None


@pytest.mark.parametrize("block_bytes", [1, 7, 1 << 20])
def test_what_is_read_while_it_is_sent_outlives_its_file(tmp_path: Path, block_bytes: int) -> None:
    kept = store(tmp_path)
    kept.save(Checkpoint(1, values(1)))
    names = sorted(EXPECTED)
    stored = kept.stored(names)
    assert stored is not None
    for step in (2, 3, 4):
        kept.save(Checkpoint(step, values(step)))
    with stored.file as file:
        blocks = [bytes(block) for block in file.blocks(block_bytes)]
    assert b"".join(blocks) == b"".join(values(1)[name].tobytes() for name in names)
    assert {len(block) for block in blocks[:-1]} <= {block_bytes}
    assert stored.hashes == {n: hashlib.sha256(values(1)[n].tobytes()).digest() for n in names}


@pytest.mark.parametrize("damage", [b"", b"\xff" * 64, b"\x08" + bytes(7) + b"[[[[[[[[", b"{}"])
def test_a_file_that_is_none_is_an_error_of_its_own(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "x").write_bytes(damage)
    with pytest.raises(TensorError):
        checkpoint_file.read(tmp_path / "x", list(EXPECTED), EXPECTED)


def test_the_file_is_one_that_safetensors_reads(tmp_path: Path) -> None:
    store(tmp_path).save(Checkpoint(5, values(5)))
    with safe_open(files(tmp_path)[0], "numpy") as file:
        assert set(file.keys()) == set(EXPECTED)
        assert file.metadata()["step"] == "5"
        for name, value in values(5).items():
            np.testing.assert_array_equal(file.get_tensor(name), value)


def reloaded(path: Path) -> CheckpointStore:
    kept = store(path)
    assert kept.load() is not None
    return kept
