"""Events from thread to thread."""

from __future__ import annotations

import threading

import pytest

from tfplus.errors import DataError
from tfplus_agent.server.callers.event_stream import Mailbox

TIMEOUT_S = 20.0


def test_events_come_in_order_and_the_result_last() -> None:
    box: Mailbox[int] = Mailbox()

    def work() -> int:
        for i in range(100):
            box.put(i)
        return 100

    thread = threading.Thread(target=box.run, args=(work,))
    thread.start()
    assert list(box) == list(range(101))
    thread.join(TIMEOUT_S)


def test_a_slow_reader_loses_the_oldest_and_never_the_last() -> None:
    box: Mailbox[int] = Mailbox(capacity=3)
    for i in range(10):
        box.put(i)
    box.run(lambda: 10)
    assert list(box) == [8, 9, 10]


def test_an_error_comes_after_the_events_before_it() -> None:
    box: Mailbox[int] = Mailbox()

    def work() -> int:
        box.put(1)
        raise DataError("no data")

    box.run(work)
    events = iter(box)
    assert next(events) == 1
    with pytest.raises(DataError, match="no data"):
        next(events)
