"""The owner of the device: threads ask it, and wait for its answer without polling."""

from __future__ import annotations

import itertools
import threading
import time
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import replace

from tfplus.errors import BusyError
from tfplus_agent.jobs.decisions import (
    Ask,
    Decision,
    Kind,
    Use,
    arrive,
    decide,
    leave,
    settle,
    step_aside,
)

# An operation that stepped aside works for so long before it does so again.
_LEAST_WORK_S = 0.5


class WithdrawnError(BusyError):
    """A reservation was withdrawn while it, or an operation of it, waited for the device."""


class DeviceOwner:
    """Says who may use the device now; see `decisions` for the rules. Thread-safe.

    Args:
      wait_s: how long who is not patient waits for short operations to end.

    Attributes:
      long_begun: how many long operations have begun so far.
    """

    def __init__(self, wait_s: float = 120.0) -> None:
        self._wait_s = wait_s
        self._changed = threading.Condition()
        self._use = Use()
        self._refused: dict[int, Decision] = {}
        self._numbers = itertools.count(1)
        self._this_thread = threading.local()
        self.long_begun = 0

    @contextmanager
    def operation(
        self, what: str, *, changes: bool = False, long: bool = False, steps_aside: bool = False
    ) -> Generator[UnderWay]:
        """Has the device for one operation while the body runs.

        A thread that works for a reservation, see `Reservation.here`, asks on its behalf.

        Args:
          what: named in the error that others get meanwhile, such as `training`.
          changes: whether it changes model or weights; else it reads.
          long: others are refused at once instead of waiting.
          steps_aside: but those who read, for it calls `let_others_read` between its steps.

        Raises:
          BusyError: something else is under way, or short operations did not end in time.
          WithdrawnError: the reservation that it belongs to was withdrawn.
        """
        under, last = self._behalf()
        kind = Kind.CHANGE if changes else Kind.READ
        number = next(self._numbers)
        ask = Ask(number, what, kind, long, under=under, last=last, steps_aside=steps_aside)
        self.admit(ask)
        self.long_begun += long
        try:
            yield UnderWay(self, ask)
        finally:
            self.update(lambda use: leave(use, ask))

    def reservation(self, what: str) -> Reservation:
        """Makes a reservation, which holds nothing before it is taken.

        Args:
          what: named in the error that others get meanwhile, such as `gossip run 'x'`.
        """
        return Reservation(self, next(self._numbers), what)

    @contextmanager
    def on_behalf_of(self, number: int, *, last: bool) -> Generator[None]:
        """Makes this thread's operations, while the body runs, those of a reservation."""
        before = self._behalf()
        self._this_thread.behalf = (number, last)
        try:
            yield
        finally:
            self._this_thread.behalf = before

    def _behalf(self) -> tuple[int | None, bool]:
        return getattr(self._this_thread, "behalf", (None, False))

    def end(self, timeout_s: float) -> bool:
        """Lets nobody begin any more; returns whether the operation under way ended in time."""
        self.update(lambda use: replace(use, ending=True))
        with self._changed:
            return self._changed.wait_for(
                lambda: self._use.running is None and self._use.aside is None, timeout_s
            )

    def others_wait_to_read(self) -> bool:
        """Whether somebody waits that an operation could step aside for."""
        return any(ask.kind is Kind.READ for ask in self._use.waiting)

    def let_others_read(self, ask: Ask) -> None:
        """Lets those read who wait now, while the operation under way waits behind them."""
        with self._changed:
            self.update(lambda use: step_aside(use, ask))
            self._changed.wait_for(lambda: ask not in self._use.waiting)

    def admit(self, ask: Ask) -> None:
        """Waits until somebody may begin; for `operation` and for reservations.

        Raises:
          BusyError: it may not.
          WithdrawnError: it was withdrawn.
        """
        with self._changed:
            patient = ask.patient or ask.under is not None
            self.update(lambda use: arrive(use, ask))
            try:
                self._changed.wait_for(
                    lambda: ask not in self._use.waiting, None if patient else self._wait_s
                )
            except BaseException:
                self.update(lambda use: leave(use, ask))
                raise
            decision = self._refused.pop(ask.number, None)
            if decision is None and ask in self._use.waiting:
                decision = decide(self._use, ask)
                self.update(lambda use: leave(use, ask))
        if decision is not None:
            kind = WithdrawnError if decision.withdrawn else BusyError
            raise kind(f"{ask.what} cannot begin: {decision.because}")

    def update(self, change: Callable[[Use], Use]) -> None:
        """Changes who uses the device, and tells everybody who waits."""
        with self._changed:
            self._use, refused = settle(change(self._use))
            self._refused.update((ask.number, decision) for ask, decision in refused)
            self._changed.notify_all()


class UnderWay:
    """An operation under way, made by `DeviceOwner.operation`; for its own thread.

    Args:
      owner: of the device.
      ask: of the operation.
      clock: monotonic seconds.
    """

    def __init__(
        self, owner: DeviceOwner, ask: Ask, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._owner = owner
        self._ask = ask
        self._clock = clock
        self._not_before = 0.0

    def others_wait(self) -> bool:
        """Whether it should step aside now: others never get more than half of the time."""
        return self._owner.others_wait_to_read() and self._clock() >= self._not_before

    def let_others_read(self) -> None:
        """Steps aside for those who wait to read, if it should; must not hold what they read."""
        if not self.others_wait():
            return
        began = self._clock()
        self._owner.let_others_read(self._ask)
        self._not_before = 2 * self._clock() - began + _LEAST_WORK_S


class Reservation:
    """Keeps the device for many operations; made by `DeviceOwner.reservation`. Thread-safe.

    Attributes:
      what: it is for.
    """

    def __init__(self, owner: DeviceOwner, number: int, what: str) -> None:
        self.what = what
        self._owner = owner
        self._number = number
        self._ask = Ask(number, what, Kind.RESERVATION)

    def take(self, *, patient: bool = False) -> None:
        """Takes the device.

        Args:
          patient: wait where others are refused, until it is free or this is withdrawn.

        Raises:
          BusyError: something else is under way.
          WithdrawnError: it was withdrawn.
        """
        self._ask = replace(self._ask, patient=patient)
        self._owner.admit(self._ask)

    @contextmanager
    def here(self, *, last: bool = False) -> Generator[None]:
        """Makes the operations of this thread, while the body runs, this reservation's own.

        Args:
          last: they are what must be done at its end, also where it was withdrawn.
        """
        with self._owner.on_behalf_of(self._number, last=last):
            yield

    def withdraw(self) -> None:
        """Calls it off: what waits for the device in its name is refused, now and later.

        An operation of it that is under way goes on, and what it holds it keeps until `release`.
        """
        self._owner.update(lambda use: replace(use, withdrawn=use.withdrawn | {self._number}))

    def wait_no_longer(self) -> None:
        """Calls it off if it still waits for the device; does nothing once it has it."""
        self._owner.update(
            lambda use: (
                replace(use, withdrawn=use.withdrawn | {self._number})
                if self._ask in use.waiting
                else use
            )
        )

    def release(self) -> None:
        """Gives the device back; does nothing where it does not hold it."""
        self._owner.update(
            lambda use: replace(leave(use, self._ask), withdrawn=use.withdrawn - {self._number})
        )
