"""When the memory of large calls goes back to the kernel."""

from __future__ import annotations

import pytest

from tfplus.system import allocator
from tfplus_agent.server.callers.admission import CONTROL, EXCHANGES, TRANSFERS, Group, Places


@pytest.mark.parametrize("group", [TRANSFERS, EXCHANGES])
def test_it_goes_back_behind_the_last_of_them(
    group: Group, monkeypatch: pytest.MonkeyPatch
) -> None:
    given: list[int] = []
    monkeypatch.setattr(allocator, "give_back", lambda: given.append(len(given)))
    places = Places(group)
    for peer in ("a", "a", "b"):
        places.take(peer)
    for peer, times in ("a", 0), ("b", 0), ("a", 1):
        places.give_back(peer)
        assert len(given) == times
    places.take("a")
    places.give_back("a")
    assert len(given) == 2


def test_small_calls_leave_it_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []
    monkeypatch.setattr(allocator, "give_back", lambda: given.append(len(given)))
    places = Places(CONTROL)
    places.take("a")
    places.give_back("a")
    assert given == []
