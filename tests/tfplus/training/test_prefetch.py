"""Batches are put together ahead of the step that takes them."""

from __future__ import annotations

import threading
from collections.abc import Iterator

import pytest

from tfplus.training.prefetch import ahead

TIMEOUT_S = 20.0


def test_the_next_item_is_made_before_it_is_asked_for() -> None:
    made = threading.Event()

    def items() -> Iterator[int]:
        yield 1
        made.set()
        yield 2

    taken = ahead(items())
    assert next(taken) == 1
    assert made.wait(TIMEOUT_S)
    assert list(taken) == [2]


def test_no_more_than_one_is_made_ahead() -> None:
    made: list[int] = []

    def items() -> Iterator[int]:
        for number in range(10):
            made.append(number)
            yield number

    taken = ahead(items())
    assert next(taken) == 0
    # Closing waits for what is being made.
    taken.close()
    assert len(made) <= 2


def test_an_error_comes_in_its_place() -> None:
    def items() -> Iterator[int]:
        yield 1
        raise ValueError("bad row")

    taken = ahead(items())
    assert next(taken) == 1
    with pytest.raises(ValueError, match="bad row"):
        next(taken)


def test_nothing_gives_nothing() -> None:
    assert list(ahead(iter(()))) == []
