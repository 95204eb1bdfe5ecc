"""The two directions of a call, between its event loop and the thread that carries it out."""

from __future__ import annotations

import asyncio
import queue
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc.aio

from tfplus_agent.server.callers.event_loop import soon
from tfplus_agent.server.callers.idle_streams import Pace, Progress

# Messages that one side may be ahead of the other.
_AHEAD = 2
# A caller's, and after how many of them the loop is told that there is room again.
_CALLER_AHEAD = 4
_TOLD_AFTER = 2
_END = object()
_AIO: Any = grpc.aio


class CallEndedError(Exception):
    """The caller is gone, or the call was ended."""


class Incoming:
    """What a caller sends, message by message, at the pace that is expected of it.

    Args:
      method: its name, for messages.
      context: of the call.
      pace: what is expected.
      clock: monotonic seconds.
    """

    def __init__(self, method: str, context: Any, pace: Pace, clock: Callable[[], float]) -> None:
        self._method = method
        self._context = context
        self._progress = Progress(pace)
        self._clock = clock

    async def next(self) -> bytes | None:
        """The next message, or None at the end of the stream.

        Raises:
          SlowCallerError: it did not come in time.
        """
        raw = await _paced(
            self._context.read(), self._progress, self._method, self._clock, lambda m: len(m or b"")
        )
        return raw


async def _paced(
    moving: Any,
    progress: Progress,
    method: str,
    clock: Callable[[], float],
    size: Callable[[Any], int],
) -> Any:
    began, task, late = clock(), asyncio.current_task(), False

    def give_up() -> None:
        nonlocal late
        late = True
        if task is not None:
            task.cancel()

    # As `asyncio.wait_for`, but without a task of its own for every message.
    timer = asyncio.get_running_loop().call_later(max(0.0, progress.allowance_s()), give_up)
    try:
        moved = await moving
    except asyncio.CancelledError:
        if late:
            raise progress.too_slow(method, clock() - began) from None
        raise
    finally:
        timer.cancel()
    if moved is _AIO.EOF:
        return None
    progress.moved(size(moved), clock() - began)
    return moved


class Feed:
    """Brings what a caller sends to the thread that reads it.

    Args:
      incoming: what the caller sends.
      first: the message that came already; None where the stream ended at once.
    """

    def __init__(self, incoming: Incoming, first: bytes | None) -> None:
        self._incoming = incoming
        self._loop = asyncio.get_running_loop()
        self._messages: queue.SimpleQueue[bytes | Exception | None] = queue.SimpleQueue()
        self._room = asyncio.Semaphore(_CALLER_AHEAD)
        self._messages.put(first)

    async def pump(self) -> None:
        """Brings messages until the stream ends; an error of the caller reaches the thread."""
        try:
            while True:
                await self._room.acquire()
                message = await self._incoming.next()
                self._messages.put(message)
                if message is None:
                    return
        except Exception as error:
            self._messages.put(error)

    def close(self) -> None:
        """Wakes the thread that waits for a message: none will come."""
        self._messages.put(CallEndedError())

    def __iter__(self) -> Iterator[bytes]:
        """Yields messages, in the thread that carries out the call.

        Raises:
          CallEndedError: the call was ended.
          SlowCallerError: the caller sends too little.
        """
        taken = 0
        while (message := self._messages.get()) is not None:
            if isinstance(message, Exception):
                raise message
            taken += 1
            if taken % _TOLD_AFTER == 0:
                soon(self._loop, self._make_room)
            yield message

    def _make_room(self) -> None:
        for _ in range(_TOLD_AFTER):
            self._room.release()


class Outgoing:
    """Brings what the thread makes to the caller, message by message.

    Args:
      method: its name, for messages.
      context: of the call.
      pace: at which the caller must take them; None for any.
      clock: monotonic seconds.
    """

    def __init__(
        self, method: str, context: Any, pace: Pace | None, clock: Callable[[], float]
    ) -> None:
        self._method = method
        self._context = context
        self._progress = Progress(pace, started=True) if pace else None
        self._clock = clock
        self._loop = asyncio.get_running_loop()
        self._messages: asyncio.Queue[Any] = asyncio.Queue()
        self._room = threading.Semaphore(_AHEAD)
        self._closed = False

    def put(self, message: Any) -> None:
        """Hands a message over, from the thread; waits while the caller is behind.

        Raises:
          CallEndedError: nobody takes it any more.
        """
        self._room.acquire()
        if self._closed:
            raise CallEndedError
        soon(self._loop, self._messages.put_nowait, message)

    def finish(self) -> None:
        """Says, from the thread, that no more messages come."""
        soon(self._loop, self._messages.put_nowait, _END)

    async def write_all(self) -> None:
        """Writes messages until `finish`.

        Raises:
          SlowCallerError: the caller does not take them.
        """
        while (message := await self._messages.get()) is not _END:
            await self._write(message)
            self._room.release()

    def close(self) -> None:
        """Wakes the thread that waits to hand over a message."""
        self._closed = True
        self._room.release()

    async def _write(self, message: Any) -> None:
        writing = self._context.write(message)
        if self._progress is None:
            await writing
        else:
            size = len(message) if isinstance(message, bytes) else int(message.ByteSize())
            await _paced(writing, self._progress, self._method, self._clock, lambda _: size)
