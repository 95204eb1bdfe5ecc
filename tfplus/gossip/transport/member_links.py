"""Sends a member's messages to others: each is one call, and whether it arrives is not asked."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from typing import Any

import grpc

from tfplus.gossip.membership.swim.messages import SendTo
from tfplus.gossip.transport.member_wire import to_wire
from tfplus.proto.v1 import membership_pb2_grpc
from tfplus.wire.tls import TlsFiles, channel

# To one member; what comes on top is lost, as it is on a network.
_MOST_UNDER_WAY = 16
# With loss, one alone says nothing of the connection.
_MOST_LOST = 3


class _Way:
    """The connection to one member, and what is under way on it."""

    def __init__(self, address: str) -> None:
        self.address = address
        self.channel: grpc.Channel | None = None
        self.under_way: set[Any] = set()
        self.broken = False
        # Messages in a row that nobody answered in time.
        self.lost = 0


class MemberLinks:
    """Brings messages of one run to its other members. Thread-safe.

    Args:
      run_id: of the run.
      addresses: member → its `host:port`.
      tls: own certificate; None for plaintext.
      insecure: allows plaintext beyond loopback.
      timeout_s: after which a message is lost.

    Attributes:
      on_untaken: told of a message to an agent that answers, and has no such run under way; from
        any thread.
    """

    def __init__(
        self,
        run_id: str,
        addresses: Mapping[str, str],
        *,
        tls: TlsFiles | None,
        insecure: bool,
        timeout_s: float,
    ) -> None:
        self.on_untaken: Callable[[SendTo], object] = lambda _: None
        self._run_id = run_id
        self._tls = tls
        self._insecure = insecure
        self._timeout_s = timeout_s
        self._changed = threading.Condition()
        self._ways = {name: _Way(address) for name, address in addresses.items()}
        self._closed = False

    def add(self, name: str, address: str) -> None:
        """Says where a member is reached that was admitted later."""
        with self._changed:
            self._ways.setdefault(name, _Way(address))

    def send(self, effect: SendTo) -> None:
        """Sends a message; returns at once."""
        wire = to_wire(self._run_id, effect.message)
        with self._changed:
            way = self._ways.get(effect.to)
            if way is None or self._closed or len(way.under_way) >= _MOST_UNDER_WAY:
                return
            stub = membership_pb2_grpc.MembershipStub(self._open(way))
            call: Any = stub.Tell.future(wire, timeout=self._timeout_s)
            way.under_way.add(call)
        # May be called here and now: not while the lock is held.
        call.add_done_callback(lambda done: self._done(way, effect, done))

    def drain(self, timeout_s: float) -> bool:
        """Waits until nothing is under way; false if that takes longer."""
        with self._changed:
            return self._changed.wait_for(
                lambda: not any(way.under_way for way in self._ways.values()), timeout_s
            )

    def close(self, drain_s: float = 0.0) -> None:
        """Ends all connections, after what is under way had so many seconds."""
        if drain_s:
            self.drain(drain_s)
        with self._changed:
            self._closed = True
            open_now = [w.channel for w in self._ways.values() if w.channel is not None]
        for one in open_now:
            one.close()

    def _open(self, way: _Way) -> grpc.Channel:
        # A channel whose member was away, or cut off, waits ever longer before it looks again, or
        # sends again: take a new one.
        if way.channel is not None and way.broken and not way.under_way:
            way.channel.close()
            way.channel = None
        if way.channel is None:
            way.channel = channel(way.address, self._tls, insecure=self._insecure)
            way.broken, way.lost = False, 0
        return way.channel

    def _done(self, way: _Way, effect: SendTo, call: Any) -> None:
        code = call.code()
        with self._changed:
            way.under_way.discard(call)
            late = code is grpc.StatusCode.DEADLINE_EXCEEDED
            way.lost = way.lost + 1 if late else 0
            gone = code is grpc.StatusCode.UNAVAILABLE or way.lost >= _MOST_LOST
            way.broken = way.broken or gone
            self._changed.notify_all()
        if code is grpc.StatusCode.OK and not call.result().taken:
            self.on_untaken(effect)
