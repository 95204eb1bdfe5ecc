from __future__ import annotations

import dataclasses
import errno
import json
import os
from pathlib import Path

import pytest

from tfplus.data.scaling import Scaling
from tfplus.errors import BusyError, UsageError
from tfplus_agent.storage.directory import LoadedModel, StateDirectory

LOADED = b'{"sha256": "%s", "threads": 2, "disable_xnnpack": true}' % (b"a" * 64)


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


@pytest.mark.parametrize("damage", [b"-5", b"1" + b"0" * 23, b"7 7", b"\xff", b"9" * 5000])
def test_a_damaged_incarnation_is_set_aside(tmp_path: Path, damage: bytes) -> None:
    (tmp_path / "incarnation").write_bytes(damage)
    state = StateDirectory(tmp_path)
    assert 1_000_000_000 < state.next_incarnation() < 2**63
    assert (tmp_path / "incarnation.damaged").read_bytes() == damage
    state.release()


def test_the_loaded_model_is_remembered(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    assert state.loaded() is None
    state.set_loaded(LoadedModel("a" * 64, 2, True))
    assert state.loaded() == LoadedModel("a" * 64, 2, True)
    scaled = LoadedModel("a" * 64, 2, True, Scaling(0.5, -1.0))
    state.set_loaded(scaled)
    assert state.loaded() == scaled
    # As before there were scalings.
    text = json.dumps({"sha256": "b" * 64, "threads": 1, "disable_xnnpack": False})
    (tmp_path / "loaded.json").write_text(text)
    assert state.loaded() == LoadedModel("b" * 64, 1, False)
    zero = json.dumps(dataclasses.asdict(scaled)).replace("0.5", "0.0")
    for damage in (b"", b"{}", b"[1]", b"\xff", zero.encode()):
        (tmp_path / "loaded.json").write_bytes(damage)
        assert state.loaded() is None
    state.release()


@pytest.mark.parametrize(
    ("damage", "expected"),
    [
        (b"", "expected JSON"),
        (b"{}", "sha256 is missing"),
        (b"[1]", "expected an object"),
        (b"\xff", "UTF-8"),
        (b"[" * 100_000, "nests deeper"),
        (b"{" + b" " * (2 << 20), "at most 1048576 bytes"),
        (b'{"sha256": "../x", "threads": 1, "disable_xnnpack": true}', "64 hex digits"),
        (LOADED.replace(b" 2", b" 1e9"), "threads: expected an integer"),
        (LOADED.replace(b" 2", b" 257"), "at least 0 and at most 256, got 257"),
        (LOADED.replace(b"true", b"1"), "disable_xnnpack: expected true or false"),
    ],
)
def test_a_damaged_note_of_the_loaded_model_is_set_aside(
    tmp_path: Path, caplog: pytest.LogCaptureFixture, damage: bytes, expected: str
) -> None:
    state = StateDirectory(tmp_path)
    (tmp_path / "loaded.json").write_bytes(damage)
    assert state.loaded() is None
    assert state.loaded() is None
    state.release()
    (line,) = caplog.messages
    assert line.startswith(f"{tmp_path}/loaded.json: damaged: ")
    assert expected in line
    assert line.endswith("; set aside as loaded.json.damaged")
    assert len(line) < 500
    assert (tmp_path / "loaded.json.damaged").read_bytes() == damage


def test_a_directory_or_a_pipe_in_the_place_of_a_file_is_set_aside(tmp_path: Path) -> None:
    (tmp_path / "incarnation").mkdir()
    os.mkfifo(tmp_path / "loaded.json")
    state = StateDirectory(tmp_path)
    assert state.loaded() is None
    assert state.next_incarnation() > 1_000_000_000
    state.release()
    assert (tmp_path / "incarnation").is_file()


def test_what_cannot_be_read_now_stays(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    state = StateDirectory(tmp_path)
    state.set_loaded(LoadedModel("a" * 64, 2, True))

    def none_left(path: object, flags: int) -> int:
        raise OSError(errno.EMFILE, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(os, "open", none_left)
        assert state.loaded() is None
    assert state.loaded() == LoadedModel("a" * 64, 2, True)
    state.release()


def test_what_a_killed_agent_left_half_written_is_removed_and_nothing_else(tmp_path: Path) -> None:
    half = [".loaded.json.ab12.part", "models/tmp1.part", f"checkpoints/{'a' * 64}/.1.x.part"]
    half += ["gossip/.last.x.part", "gossip/run/.plan.json.x.part"]
    others = ["download.part", ".plan.part", "deep/down/models/tmp1.part", "models/whole.tflite"]
    for name in (*half, *others):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_bytes(b"half")
    StateDirectory(tmp_path).release()
    assert [name for name in half if (tmp_path / name).exists()] == []
    assert [name for name in others if not (tmp_path / name).exists()] == []


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
