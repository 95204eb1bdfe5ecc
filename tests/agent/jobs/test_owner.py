"""Real threads before the owner of a device; events say who is where."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager
from typing import Any

import pytest

from tfplus.errors import BusyError, DataError
from tfplus_agent.jobs.owner import DeviceOwner, WithdrawnError

TIMEOUT_S = 20.0


class WatchedOwner(DeviceOwner):
    """Counts who waits, so that a test knows when a thread does."""

    def wait_for_waiting(self, count: int) -> None:
        with self._changed:
            assert self._changed.wait_for(lambda: len(self._use.waiting) == count, TIMEOUT_S)


@pytest.fixture
def owner() -> WatchedOwner:
    return WatchedOwner(wait_s=TIMEOUT_S)


class Thread(threading.Thread):
    """Keeps what its work raised."""

    def __init__(self, work: Callable[[], Any]) -> None:
        super().__init__(daemon=True)
        self._work = work
        self.error: BaseException | None = None
        self.start()

    def run(self) -> None:
        try:
            self._work()
        except BaseException as error:
            self.error = error

    def ended(self) -> BaseException | None:
        self.join(TIMEOUT_S)
        assert not self.is_alive()
        return self.error


@contextmanager
def held_by_another(owner: DeviceOwner, what: str, **how: bool) -> Generator[None]:
    """Another thread's operation, for as long as the body runs."""
    inside, end = threading.Event(), threading.Event()

    def work() -> None:
        with owner.operation(what, **how):
            inside.set()
            assert end.wait(TIMEOUT_S)

    thread = Thread(work)
    assert inside.wait(TIMEOUT_S)
    try:
        yield
    finally:
        end.set()
        assert thread.ended() is None


def test_others_are_refused_at_once_during_a_long_operation(owner: DeviceOwner) -> None:
    with (
        owner.operation("training", changes=True, long=True),
        pytest.raises(BusyError, match="evaluating cannot begin: training is under way"),
        owner.operation("evaluating"),
    ):
        pass
    with owner.operation("evaluating"):
        pass


def test_others_wait_for_a_short_operation(owner: WatchedOwner) -> None:
    order: list[str] = []

    def second() -> None:
        with owner.operation("training", changes=True, long=True):
            order.append("second")

    with held_by_another(owner, "reading"):
        thread = Thread(second)
        owner.wait_for_waiting(1)
        order.append("first")
    assert thread.ended() is None
    assert order == ["first", "second"]


def test_a_short_operation_that_does_not_end_is_named() -> None:
    owner = DeviceOwner(wait_s=0.01)
    with (
        owner.operation("evaluating"),
        pytest.raises(BusyError, match="evaluating is under way"),
        owner.operation("training"),
    ):
        pass
    with owner.operation("training"):
        pass


def test_an_error_lets_go(owner: DeviceOwner) -> None:
    with pytest.raises(DataError), owner.operation("a", changes=True, long=True):
        raise DataError("x")
    assert owner.end(0)


def test_a_reservation_is_of_the_threads_that_work_for_it(owner: DeviceOwner) -> None:
    run = owner.reservation("gossip run 'x'")
    run.take()
    change = dict.fromkeys(("changes",), True)
    with run.here(), owner.operation("setting weights", **change):
        pass
    with pytest.raises(BusyError, match="gossip run 'x' is under way"):
        owner.operation("setting weights", **change).__enter__()
    with owner.operation("reading weights"):
        pass
    run.release()
    with owner.operation("setting weights", **change):
        pass
    run.release()


def test_an_operation_of_a_reservation_waits_for_a_read(owner: WatchedOwner) -> None:
    run = owner.reservation("gossip run 'x'")
    run.take()
    began = threading.Event()

    def work() -> None:
        with run.here(), owner.operation("training", changes=True, long=True):
            began.set()

    with held_by_another(owner, "reading weights"):
        thread = Thread(work)
        owner.wait_for_waiting(1)
        assert not began.is_set()
    assert thread.ended() is None
    assert began.is_set()


def test_what_is_withdrawn_does_not_wait_on(owner: WatchedOwner) -> None:
    run = owner.reservation("gossip run 'x'")
    run.take()

    def work() -> None:
        with run.here(), owner.operation("training", changes=True, long=True):
            raise AssertionError("it began")

    with held_by_another(owner, "reading weights"):
        thread = Thread(work)
        owner.wait_for_waiting(1)
        run.withdraw()
        assert isinstance(thread.ended(), WithdrawnError)
    run.release()
    with owner.operation("training", changes=True):
        pass


def test_the_patient_wait_for_a_training_and_for_each_other(owner: WatchedOwner) -> None:
    order: list[str] = []
    first, second = owner.reservation("job 1"), owner.reservation("job 2")
    go_on = threading.Event()

    def work(job: Any, wait: bool) -> None:
        job.take(patient=True)
        order.append(job.what)
        assert not wait or go_on.wait(TIMEOUT_S)
        job.release()

    with held_by_another(owner, "training", changes=True, long=True):
        threads = [Thread(lambda: work(first, True))]
        owner.wait_for_waiting(1)
        threads.append(Thread(lambda: work(second, False)))
        owner.wait_for_waiting(2)
        assert order == []
    owner.wait_for_waiting(1)
    go_on.set()
    assert [t.ended() for t in threads] == [None, None]
    assert order == ["job 1", "job 2"]


def test_a_patient_one_that_is_withdrawn_ends(owner: WatchedOwner) -> None:
    job = owner.reservation("job 1")
    with owner.operation("training", changes=True, long=True):
        thread = Thread(lambda: job.take(patient=True))
        owner.wait_for_waiting(1)
        job.withdraw()
        assert isinstance(thread.ended(), WithdrawnError)


def test_the_end_waits_for_what_is_under_way_and_refuses_the_rest(owner: WatchedOwner) -> None:
    inside = threading.Event()

    def wait_in_line() -> None:
        inside.set()
        with owner.operation("evaluating"):
            raise AssertionError("it began")

    with held_by_another(owner, "reading weights"):
        waiting = Thread(wait_in_line)
        owner.wait_for_waiting(1)
        assert not owner.end(0)
        error = waiting.ended()
        assert isinstance(error, BusyError)
        assert "closing is under way" in str(error)
    assert owner.end(TIMEOUT_S)
    with pytest.raises(BusyError, match="closing"), owner.operation("training"):
        pass


def test_many_threads_never_meet(owner: DeviceOwner) -> None:
    inside: list[int] = []
    most = 0
    start = threading.Barrier(8)

    def work(number: int) -> None:
        nonlocal most
        start.wait(TIMEOUT_S)
        for _ in range(50):
            with owner.operation("evaluating", changes=number % 2 == 0):
                inside.append(number)
                most = max(most, len(inside))
                inside.pop()

    threads = [Thread(lambda n=n: work(n)) for n in range(8)]
    assert [t.ended() for t in threads] == [None] * 8
    assert most == 1
