"""A file is whole or absent, whatever happens while it is written."""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import tracemalloc
from collections.abc import Iterator
from pathlib import Path

import pytest

from tfplus.errors import DamagedFileError
from tfplus.system.files import link_atomic, read_capped, sha256_of, write_atomic


def test_writes_and_replaces(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"one")
    write_atomic(path, iter([b"tw", b"o"]))
    assert path.read_bytes() == b"two"
    assert list(tmp_path.iterdir()) == [path]


def test_failure_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")

    def source() -> Iterator[bytes]:
        yield b"new"
        raise RuntimeError("the source broke")

    with pytest.raises(RuntimeError, match="broke"):
        write_atomic(path, source())
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_readers_see_the_old_file_until_the_new_one_is_whole(tmp_path: Path) -> None:
    path = tmp_path / "file"
    write_atomic(path, b"old")
    seen: list[bytes] = []

    def source() -> Iterator[bytes]:
        yield b"new"
        seen.append(path.read_bytes())
        yield b"er"

    write_atomic(path, source())
    assert seen == [b"old"]
    assert path.read_bytes() == b"newer"


def test_content_is_on_disk_before_the_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    events: list[str] = []
    real_fsync, real_replace = os.fsync, Path.replace

    def fsync(handle: int) -> None:
        events.append("sync directory" if stat.S_ISDIR(os.fstat(handle).st_mode) else "sync file")
        real_fsync(handle)

    def replace(self: Path, target: Path) -> Path:
        events.append("rename")
        return real_replace(self, target)

    monkeypatch.setattr(os, "fsync", fsync)
    monkeypatch.setattr(Path, "replace", replace)
    write_atomic(tmp_path / "file", b"content")
    assert events == ["sync file", "rename", "sync directory"]


def test_permissions(tmp_path: Path) -> None:
    write_atomic(tmp_path / "open", b"")
    write_atomic(tmp_path / "secret", b"", mode=0o600)
    assert stat.S_IMODE((tmp_path / "open").stat().st_mode) == 0o644
    assert stat.S_IMODE((tmp_path / "secret").stat().st_mode) == 0o600


def test_missing_directory(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        write_atomic(tmp_path / "none" / "file", b"")


def test_errors_name_the_file_and_not_the_temporary_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(handle: int) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space") as raised:
        write_atomic(tmp_path / "file", b"x")
    assert raised.value.filename == str(tmp_path / "file")
    with pytest.raises(FileNotFoundError) as missing:
        write_atomic(tmp_path / "none" / "file", b"")
    assert missing.value.filename == str(tmp_path / "none" / "file")
    assert list(tmp_path.iterdir()) == []


def test_what_is_no_regular_file_is_not_replaced(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", tmp_path):
        with pytest.raises(FileExistsError, match="regular file"):
            write_atomic(path, b"x")
    assert stat.S_ISFIFO((tmp_path / "pipe").stat().st_mode)


def test_sha256_of_a_file_longer_than_one_piece(tmp_path: Path) -> None:
    content = bytes(range(256)) * 5000
    (tmp_path / "file").write_bytes(content)
    assert sha256_of(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_a_second_name_of_a_file_and_again(tmp_path: Path) -> None:
    first, other, name = tmp_path / "first", tmp_path / "other", tmp_path / "name"
    write_atomic(first, b"one")
    write_atomic(other, b"two")
    for source in (first, first, other):
        link_atomic(source, name)
        assert name.samefile(source)
        assert sorted(tmp_path.iterdir()) == [first, name, other]
    other.unlink()
    assert name.read_bytes() == b"two"


@pytest.mark.parametrize("number", [errno.EPERM, errno.EXDEV, errno.EMLINK, errno.EACCES])
def test_where_there_are_no_links_a_file_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, number: int
) -> None:
    def no_links(*_: object) -> None:
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "link", no_links)
    first, name = tmp_path / "first", tmp_path / "name"
    write_atomic(first, bytes(3_000_000))
    link_atomic(first, name)
    assert name.read_bytes() == bytes(3_000_000)
    assert not name.samefile(first)
    with pytest.raises(FileNotFoundError):
        link_atomic(tmp_path / "none", name)
    assert name.read_bytes() == bytes(3_000_000)
    assert sorted(tmp_path.iterdir()) == [first, name]


def test_a_link_left_by_a_crash_is_in_nobodys_way(tmp_path: Path) -> None:
    first, name = tmp_path / "first", tmp_path / "name"
    write_atomic(first, b"one")
    os.link(first, tmp_path / ".name.link.part")
    link_atomic(first, name)
    assert sorted(tmp_path.iterdir()) == [first, name]


def test_a_cap_is_no_memory_that_is_taken(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"abc")
    tracemalloc.start()
    assert read_capped(path, 4 << 30) == b"abc"
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 << 20
    assert read_capped(path, 3) == b"abc"
    with pytest.raises(DamagedFileError, match="at most 2 bytes"):
        read_capped(path, 2)


def test_files_of_the_kernel_are_read_though_they_say_that_they_are_empty() -> None:
    path = Path("/proc/self/status")
    assert path.stat().st_size == 0
    assert read_capped(path, 1 << 20).startswith(b"Name:")
