"""A member by the clock: a thread that says when time has gone by, and what it asks for done."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from tfplus.gossip.membership.swim.messages import (
    Admit,
    Effect,
    Event,
    Heard,
    Joined,
    Kind,
    Leave,
    Message,
    SendTo,
    Timer,
    Update,
)
from tfplus.gossip.membership.swim.node import SwimNode

# What one that rests still answers: who goes on shall not hold it for dead.
_ANSWERED_AT_REST = frozenset({Kind.PING, Kind.SYNC})
_LONGEST_WAIT_S = 3600.0


class Member:
    """Drives a `SwimNode`. Thread-safe.

    Args:
      node: the protocol; nobody else feeds it.
      perform: carries an effect out, from any thread, with no lock held; returns at once.
    """

    def __init__(self, node: SwimNode, perform: Callable[[Effect], object]) -> None:
        self._node = node
        self._perform = perform
        self._changed = threading.Condition()
        self._resting = False
        self._over = False
        self._thread = threading.Thread(target=self._main, name="gossip-members", daemon=True)

    def join(self) -> None:
        """Is there from now on, and says so."""
        self._handle(Joined(time.monotonic()))
        self._thread.start()

    def hear(self, message: Message) -> None:
        """Takes in a message."""
        if not self._resting or message.kind in _ANSWERED_AT_REST:
            self._handle(Heard(time.monotonic(), message))

    def not_begun(self, sent: SendTo) -> None:
        """Takes in that an agent answers, where the run is not under way.

        While a run is started on one agent after the other, those who are told last must not be
        held for dead. Of whom something was heard in this run, it ended there.
        """
        message = sent.message
        with self._changed:
            heard_of = self._node.view.of(sent.to).incarnation > 0
        if message.kind is Kind.PING and not heard_of:
            self.hear(Message(Kind.ACK, sent.to, message.sequence))

    def admit(self, member: str, address: str) -> None:
        """Lets another be a member from now on."""
        self._handle(Admit(time.monotonic(), member, address))

    def leave(self) -> None:
        """Says that it goes; returns at once."""
        self._handle(Leave(time.monotonic()))

    def rest(self) -> None:
        """Answers from now on, and asks nobody any more."""
        with self._changed:
            self._resting = True
            self._changed.notify_all()

    def close(self) -> None:
        """Ends it, without a word."""
        with self._changed:
            self._over = True
            self._changed.notify_all()

    def believed(self, names: tuple[str, ...]) -> tuple[Update, ...]:
        """What it believes of others now, in the given order."""
        with self._changed:
            return tuple(self._node.view.of(name) for name in names)

    def there(self, names: tuple[str, ...]) -> frozenset[str]:
        """Those of the names that are there in its view, itself among them."""
        with self._changed:
            view = self._node.view
            return frozenset(n for n in names if n == self._node.own or view.there(n))

    def _handle(self, event: Event) -> None:
        with self._changed:
            if self._over:
                return
            effects = self._node.handle(event)
            self._changed.notify_all()
        for effect in effects:
            self._perform(effect)

    def _main(self) -> None:
        while True:
            with self._changed:
                while not self._over and (wait_s := self._wait_s()) > 0:
                    self._changed.wait(min(wait_s, _LONGEST_WAIT_S))
                if self._over:
                    return
            self._handle(Timer(time.monotonic()))

    def _wait_s(self) -> float:
        if self._resting:
            return _LONGEST_WAIT_S
        return self._node.deadline - time.monotonic()
