"""One operation at a time, and events from thread to thread."""

from __future__ import annotations

import threading

import pytest

from tfplus.errors import BusyError, DataError
from tfplus_agent.jobs.device_lock import Exclusive
from tfplus_agent.server.event_stream import Mailbox

TIMEOUT_S = 20.0


def test_others_are_refused_at_once_during_a_long_operation() -> None:
    exclusive = Exclusive(wait_s=TIMEOUT_S)
    with (
        exclusive.hold("training", long=True),
        pytest.raises(BusyError, match="evaluating cannot begin: training is under way"),
        exclusive.hold("evaluating"),
    ):
        pass
    with exclusive.hold("evaluating"):
        pass


def test_others_wait_for_a_short_operation() -> None:
    exclusive = Exclusive(wait_s=TIMEOUT_S)
    order: list[str] = []
    inside, go_on = threading.Event(), threading.Event()

    def first() -> None:
        with exclusive.hold("reading"):
            inside.set()
            assert go_on.wait(TIMEOUT_S)
            order.append("first")

    def second() -> None:
        go_on.set()
        with exclusive.hold("training", long=True):
            order.append("second")

    threads = [threading.Thread(target=work) for work in (first, second)]
    threads[0].start()
    assert inside.wait(TIMEOUT_S)
    threads[1].start()
    for thread in threads:
        thread.join(TIMEOUT_S)
    assert order == ["first", "second"]


def test_a_short_operation_that_does_not_end_is_named() -> None:
    exclusive = Exclusive(wait_s=0.01)
    with (
        exclusive.hold("evaluating"),
        pytest.raises(BusyError, match="evaluating is under way"),
        exclusive.hold("training"),
    ):
        pass


def test_an_error_lets_go() -> None:
    exclusive = Exclusive(wait_s=0.01)
    with pytest.raises(DataError), exclusive.hold("a"):
        raise DataError("x")
    assert exclusive.wait_until_free(0)


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
