"""The streams from one device to the others, each with a thread and a queue of its own.

Maps and their gradients go before parts of sums that have not begun: somebody waits for them before
computing on.
"""

from __future__ import annotations

import contextlib
import itertools
import queue
import threading
from collections.abc import Callable, Iterator, Sequence

import grpc

from tfplus.proto.v1 import tiles_pb2 as pb
from tfplus.proto.v1 import tiles_pb2_grpc
from tfplus.tiles.step.messages import Message, Send
from tfplus.tiles.transport.framing import parts_of

_CLOSE_S = 5.0

Connect = Callable[[str], grpc.Channel]


class Outbox:
    """Brings messages to the other devices of a run, in order; never blocks who sends.

    A stream that breaks takes what is put after it along: the step fails at the other end, and its
    leader discards it everywhere. A message is larger than what a queue may hold only if the plan
    says so: a step has a fixed number of them.

    Args:
      run_id: of the run.
      peers: address of each device.
      connect: opens a channel to an address.
    """

    def __init__(self, run_id: str, peers: Sequence[str], connect: Connect) -> None:
        self._run_id, self._peers, self._connect = run_id, peers, connect
        self._lock = threading.Lock()
        self._lanes: dict[int, _Lane] = {}

    def put(self, sends: Sequence[Send]) -> None:
        """Takes messages, from any thread; returns at once."""
        for to, message in sends:
            self._lane(to).put(message)

    def close(self) -> None:
        """Ends all streams; what was not sent is dropped."""
        with self._lock:
            lanes = list(self._lanes.values())
            self._lanes.clear()
        for lane in lanes:
            lane.close()

    def _lane(self, to: int) -> _Lane:
        with self._lock:
            if to not in self._lanes:
                self._lanes[to] = _Lane(self._run_id, self._connect(self._peers[to]))
            return self._lanes[to]


class _Lane:
    """One stream to one device."""

    def __init__(self, run_id: str, channel: grpc.Channel) -> None:
        # Whether it can wait, and in which order it came; the end comes first.
        self._queue: queue.PriorityQueue[tuple[int, int, Message | None]] = queue.PriorityQueue()
        self._order = itertools.count()
        self._run_id, self._channel = run_id, channel
        self._thread = threading.Thread(target=self._run, name="tiles-out", daemon=True)
        self._thread.start()

    def put(self, message: Message) -> None:
        self._queue.put((message.key.kind == "sum", next(self._order), message))

    def close(self) -> None:
        self._queue.put((-1, 0, None))
        self._channel.close()
        self._thread.join(_CLOSE_S)

    def _run(self) -> None:
        stub = tiles_pb2_grpc.TilesStub(self._channel)
        # What becomes of it the leader learns from the receiver, whose step does not end. A channel
        # that was closed before the call is a ValueError.
        with contextlib.suppress(grpc.RpcError, ValueError):
            stub.Deliver(self._parts(), wait_for_ready=True)

    def _parts(self) -> Iterator[pb.DeliverPart]:
        while (message := self._queue.get()[2]) is not None:
            yield from parts_of(self._run_id, message)
