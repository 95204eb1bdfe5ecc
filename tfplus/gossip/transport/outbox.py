"""A transport over links: each neighbour has a link, and a thread of its own.

A slow or dead neighbour holds nobody else up. Where one falls behind, older contributions make room
for newer ones.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from collections.abc import Collection, Mapping
from typing import Protocol

from tfplus.errors import TfplusError
from tfplus.gossip.messages import RoundContribution
from tfplus.gossip.transport.protocol import Delivered, Delivery, Report

_LOG = logging.getLogger(__name__)
_MAX_QUEUED = 2


class Link(Protocol):
    """Brings contributions to one neighbour, one after the other, and waits for its answer."""

    def send(self, contribution: RoundContribution, give_up_at: float) -> Delivery:
        """Sends until the neighbour has answered, or until `give_up_at`, monotonic seconds."""
        ...

    def refuses(self) -> bool:
        """Whether nobody listens at the neighbour's address; from any thread, at most 2 s."""
        ...

    def close(self) -> None:
        """Ends the connection, and a call under way; from any thread."""
        ...


class Outbox:
    """Sends to all neighbours of one run: a `Transport`.

    Args:
      links: neighbour → its link; closed here.
      cancelled: the event that the links watch; set by `close`.
      report: called with the name and the end of every sending, from the neighbour's thread.
    """

    def __init__(
        self, links: Mapping[str, Link], cancelled: threading.Event, report: Report
    ) -> None:
        self._links: dict[str, Link] = {}
        self._cancelled = cancelled
        self._report = report
        self._changed = threading.Condition()
        self._queues: dict[str, deque[tuple[RoundContribution, float]]] = {}
        self._sending: set[str] = set()
        self._threads: dict[str, threading.Thread] = {}
        self._looked_for: set[str] = set()
        for name, link in links.items():
            self.add(name, link)

    def add(self, name: str, link: Link) -> None:
        """Takes in a link to another neighbour."""
        with self._changed:
            self._links[name] = link
            self._queues[name] = deque(maxlen=_MAX_QUEUED)

    def put(
        self,
        contribution: RoundContribution,
        give_up_at: float,
        to: Collection[str] | None = None,
    ) -> None:
        """Queues a contribution, see `Transport`; returns at once."""
        with self._changed:
            for name, queue in self._queues.items():
                if to is None or name in to:
                    queue.append((contribution, give_up_at))
                    self._served(name)
            self._changed.notify_all()

    def look(self, names: Collection[str]) -> None:
        """Reports those of the neighbours as unreachable that are gone; returns at once."""
        with self._changed:
            links = {n: self._links[n] for n in names if n in self._links.keys() - self._looked_for}
            self._looked_for.update(links)
        for name, link in links.items():
            thread = threading.Thread(
                target=self._look, args=(name, link), name=f"gossip-look-{name}", daemon=True
            )
            thread.start()

    def drain(self, timeout_s: float) -> bool:
        """Waits until everything is sent or given up; false if that takes longer."""
        with self._changed:
            return self._changed.wait_for(
                lambda: (
                    self._cancelled.is_set() or not (self._sending or any(self._queues.values()))
                ),
                timeout_s,
            )

    def close(self, timeout_s: float = 5.0) -> None:
        """Ends all sending at once."""
        self._cancelled.set()
        with self._changed:
            self._changed.notify_all()
            links, threads = [*self._links.values()], [*self._threads.values()]
        for link in links:
            link.close()
        give_up_at = time.monotonic() + timeout_s
        for thread in threads:
            thread.join(max(0.0, give_up_at - time.monotonic()))

    def _served(self, name: str) -> None:
        # Who never gets anything, such as a member that is no neighbour, costs no thread.
        if name not in self._threads and not self._cancelled.is_set():
            thread = threading.Thread(
                target=self._serve, args=(name,), name=f"gossip-to-{name}", daemon=True
            )
            self._threads[name] = thread
            thread.start()

    def _look(self, name: str, link: Link) -> None:
        gone = link.refuses()
        with self._changed:
            self._looked_for.discard(name)
        if gone and not self._cancelled.is_set():
            reason = f"{name} is gone: nobody listens at its address"
            self._report(name, Delivery(Delivered.UNREACHABLE, reason=reason))

    def _serve(self, name: str) -> None:
        queue, link = self._queues[name], self._links[name]
        while True:
            with self._changed:
                self._sending.discard(name)
                self._changed.notify_all()
                self._changed.wait_for(lambda: self._cancelled.is_set() or bool(queue))
                if self._cancelled.is_set():
                    break
                contribution, give_up_at = queue.popleft()
                self._sending.add(name)
            self._report(name, self._send(link, contribution, give_up_at))
        link.close()

    def _send(self, link: Link, contribution: RoundContribution, give_up_at: float) -> Delivery:
        try:
            return link.send(contribution, give_up_at)
        except TfplusError as error:
            return Delivery(Delivered.UNREACHABLE, reason=str(error))
        except Exception as error:
            # A closed channel raises ValueError in the middle of a call.
            if self._cancelled.is_set():
                return Delivery(Delivered.CANCELLED)
            _LOG.exception("sending a contribution failed")
            return Delivery(Delivered.UNREACHABLE, reason=f"{type(error).__name__}: {error}")
