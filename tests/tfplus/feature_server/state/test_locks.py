"""Locks between processes: two holders of one process exclude each other alike."""

from __future__ import annotations

from pathlib import Path

from tfplus.feature_server.state import database, locks


def test_one_holds_it_at_a_time(state: Path | str) -> None:
    one, other = database.opened(state), database.opened(state)
    with locks.tried(one, "a") as first:
        with locks.tried(other, "a") as second, locks.tried(other, "b") as another:
            assert (first, second, another) == (True, False, True)
        # The second let go of nothing.
        with locks.tried(other, "a") as third:
            assert not third
    with locks.held(one, "a"), locks.tried(other, "a") as fourth:
        assert not fourth
    with locks.tried(other, "a") as again:
        assert again
    one.dispose()
    other.dispose()
