from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from tfplus.errors import BusyError, UsageError
from tfplus_agent.storage.directory import LoadedModel, StateDirectory


def test_a_second_agent_is_refused_until_the_first_lets_go(tmp_path: Path) -> None:
    first = StateDirectory(tmp_path / "s")
    with pytest.raises(BusyError, match=rf"pid {os.getpid()}.*--state-dir"):
        StateDirectory(tmp_path / "s")
    first.release()
    StateDirectory(tmp_path / "s").release()


def test_the_incarnation_grows_with_every_start(tmp_path: Path) -> None:
    seen: list[int] = []
    for _ in range(3):
        state = StateDirectory(tmp_path)
        seen.append(state.next_incarnation())
        state.release()
    assert seen == [1, 2, 3]


def test_a_damaged_incarnation_still_grows(tmp_path: Path) -> None:
    (tmp_path / "incarnation").write_bytes(b"")
    state = StateDirectory(tmp_path)
    # Far above any count of starts that peers may have seen.
    assert state.next_incarnation() > 1_000_000_000
    state.release()


def test_the_loaded_model_is_remembered(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    assert state.loaded() is None
    state.set_loaded(LoadedModel("a" * 64, 2, True))
    assert state.loaded() == LoadedModel("a" * 64, 2, True)
    for damage in (b"", b"{}", b"[1]", b"\xff"):
        (tmp_path / "loaded.json").write_bytes(damage)
        assert state.loaded() is None
    state.release()


def test_a_path_that_cannot_be_a_directory_is_a_usage_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be the state directory"):
        StateDirectory(tmp_path / "file")


def test_a_full_disk_is_told_of_the_directory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int, content: bytes) -> int:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    with pytest.raises(UsageError, match="state directory: No space left"):
        StateDirectory(tmp_path)
