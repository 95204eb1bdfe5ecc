"""A checkpoint that is written while its tensors come: in any order, cut anywhere, or given up."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from safetensors.numpy import load_file

from tfplus.system import aside
from tfplus.tensors.hashing import tensor_hash
from tfplus_agent.storage.checkpoint_draft import CheckpointDraft, StorageError
from tfplus_agent.storage.checkpoints import CheckpointStore
from tfplus_agent.storage.epoch_position import EpochPosition

VALUES = {
    "shared/a": np.arange(6, dtype=np.float32).reshape(2, 3),
    "none": np.zeros((0, 4), np.float32),
    "shared/b": np.arange(5, dtype=np.int32),
    "optimizer/step": np.array(7, np.int32),
    "shared/c": np.arange(9, dtype=np.float32),
}
EXPECTED = {name: (v.shape, v.dtype.name) for name, v in VALUES.items()}
HASHES = {name: tensor_hash(v) for name, v in VALUES.items()}


def store(folder: Path) -> CheckpointStore:
    return CheckpointStore(folder, "a" * 64, EXPECTED)


@given(st.permutations(list(VALUES)), st.integers(0, 5), st.lists(st.integers(1, 20)))
def test_tensors_in_any_order_cut_anywhere(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], came: int, cuts: list[int]
) -> None:
    folder = tmp_path_factory.mktemp("draft")
    held = store(folder)
    with held.draft() as draft:
        first, rest = names[:came], names[came:]
        draft.expect(first)
        raw = b"".join(VALUES[n].tobytes() for n in first)
        for cut in cuts:
            draft.append(raw[:cut])
            raw = raw[cut:]
        draft.append(raw)
        for name, value in draft.tensors(first).items():
            np.testing.assert_array_equal(value, VALUES[name])
            assert not (value.size and value.flags.writeable)
        draft.write({n: VALUES[n] for n in rest})
        path = held.finish(draft, 2**59, HASHES, EpochPosition(2**64 - 1, 2, 3, 4).text())
    assert [p.name for p in folder.iterdir()] == [path.name]
    found = load_file(path)
    assert found.keys() == VALUES.keys()
    for name, value in VALUES.items():
        np.testing.assert_array_equal(found[name], value)
    loaded = store(folder).load()
    assert loaded is not None
    assert (loaded.step, loaded.position) == (2**59, EpochPosition(2**64 - 1, 2, 3, 4))


def test_what_is_not_finished_is_gone(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), store(tmp_path / "made").draft() as draft:
        draft.write({"shared/a": VALUES["shared/a"]})
        raise ZeroDivisionError
    assert not list((tmp_path / "made").iterdir())


def test_a_disk_that_fails_in_the_background_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    # The kernel tells only once: the last sync would succeed.
    monkeypatch.setattr(aside, "_SYNC_BYTES", 1)
    monkeypatch.setattr(os, "fdatasync", full)
    with CheckpointDraft(tmp_path, EXPECTED) as draft:
        draft.write(VALUES)
        with pytest.raises(StorageError, match=r"No space left.*the last one, if any, is intact"):
            draft.keep(tmp_path / "x.safetensors", {})
    assert not list(tmp_path.iterdir())


def test_a_full_disk_while_they_come(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    with CheckpointDraft(tmp_path, EXPECTED) as draft:
        monkeypatch.setattr(os, "pwrite", full)
        draft.expect(["shared/a"])
        with pytest.raises(StorageError, match="cannot write a checkpoint of 84 bytes"):
            draft.append(b"abcd")
    assert not list(tmp_path.iterdir())


def test_a_short_write_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    real = os.pwrite
    monkeypatch.setattr(os, "pwrite", lambda fd, data, at: real(fd, data[:3], at))
    with CheckpointDraft(tmp_path, EXPECTED) as draft:
        draft.write(VALUES)
        draft.keep(tmp_path / "x.safetensors", {"step": "1"})
    found = load_file(tmp_path / "x.safetensors")
    assert all((found[n] == v).all() for n, v in VALUES.items())


def test_a_file_is_removed_at_once_though_its_pages_are_not(tmp_path: Path) -> None:
    path = tmp_path / "old"
    path.write_bytes(b"x" * 100)
    aside.remove(path)
    assert not path.exists()
    aside.remove(path)
    path.symlink_to(tmp_path / "elsewhere")
    aside.remove(path)
    assert not path.is_symlink()
