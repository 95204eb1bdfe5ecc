"""Locks between processes: two open files of one process exclude each other alike."""

from __future__ import annotations

from pathlib import Path

from tfplus.feature_server import locks


def test_one_holds_it_at_a_time(tmp_path: Path) -> None:
    path = tmp_path / "lock"
    with locks.tried(path) as first:
        with locks.tried(path) as second:
            assert (first, second) == (True, False)
        # The second let go of nothing.
        with locks.tried(path) as third:
            assert not third
    with locks.held(path), locks.tried(path) as other:
        assert not other
    with locks.tried(path) as again:
        assert again
