"""A service that is made at its first call."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from tfplus_agent.server.first_use import FirstUse


class Service:
    """Answers with what it was asked."""

    made = 0

    def __init__(self) -> None:
        type(self).made += 1

    def Ask(self, request: str, context: str) -> tuple[str, str]:  # noqa: N802
        """Says what came."""
        return request, context


def test_it_is_made_once_by_whoever_calls_first(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Service, "made", 0)
    service, together = FirstUse(Service), Barrier(4)
    method = service.Ask
    assert Service.made == 0

    def call(number: int) -> tuple[str, str]:
        together.wait()
        return method(str(number), "context")

    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(call, range(4)))
    assert answers == [(str(number), "context") for number in range(4)]
    assert Service.made == 1


def test_one_that_cannot_be_made_is_tried_again() -> None:
    attempts: list[int] = []

    def make() -> Service:
        attempts.append(len(attempts))
        if len(attempts) == 1:
            raise OSError("too many open files")
        return Service()

    service = FirstUse(make)
    with pytest.raises(OSError, match="too many open files"):
        service.Ask("a", "b")
    assert service.Ask("a", "b") == ("a", "b")
    assert service.Ask("c", "d") == ("c", "d")
    assert attempts == [0, 1]
