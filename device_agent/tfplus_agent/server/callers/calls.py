"""Carries out calls: an event loop waits for callers, a thread is taken when there is work.

Services are plain classes whose methods block, as gRPC's own are; each call of one gets a thread of
its group once its first message has come. A method that is a coroutine runs in the loop and costs
no thread. On the wire every method takes a stream: so a call that sends nothing is seen at once,
counts for its peer, and ends.
"""

from __future__ import annotations

import asyncio
import contextlib
import inspect
import threading
import time
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from concurrent import futures
from functools import partial
from types import MappingProxyType
from typing import Any, NoReturn

import grpc
import grpc.aio

from tfplus.wire import exchange_parts, parts
from tfplus.wire.roles import Auth, Role, role_of
from tfplus_agent.server.callers.admission import GROUPS, WATCHES, Group, Places, peer_of
from tfplus_agent.server.callers.call_streams import Feed, Incoming, Outgoing
from tfplus_agent.server.callers.grpc_errors import (
    MalformedRequestError,
    RefusedCallError,
    status_of,
)
from tfplus_agent.server.callers.idle_streams import Pace
from tfplus_agent.server.callers.permissions import Permissions
from tfplus_agent.server.callers.rates import RATES, Rate, RateLimits

# Where another parser than protobuf's reads what comes: one that does not copy chunks.
_PARSERS: Mapping[str, Callable[[bytes], Any]] = MappingProxyType(
    {
        "/tfplus.proto.v1.Agent/SetWeights": parts.decoded,
        exchange_parts.METHOD: exchange_parts.decoded,
    }
)


class CallContext:
    """What a method that blocks is told of its call; the part of gRPC's context that is needed."""

    def __init__(self, context: Any) -> None:
        remaining_s = context.time_remaining()
        self._until = None if remaining_s is None else time.monotonic() + remaining_s
        self._auth: Mapping[str, Sequence[bytes]] = context.auth_context()
        self._ended = threading.Event()
        self._lock = threading.Lock()
        self._callbacks: list[Callable[[], object]] = []

    def is_active(self) -> bool:
        """Whether somebody waits for the answer."""
        return not self._ended.is_set()

    def time_remaining(self) -> float | None:
        """Seconds until the caller's deadline; None without one."""
        return None if self._until is None else max(0.0, self._until - time.monotonic())

    def auth_context(self) -> Mapping[str, Sequence[bytes]]:
        """What the peer's certificate says."""
        return self._auth

    def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        """Ends the call with a status."""
        raise RefusedCallError(code, details)

    def add_callback(self, callback: Callable[[], object]) -> bool:
        """Calls `callback` when nobody waits any more; returns false where nobody does now."""
        with self._lock:
            if self._ended.is_set():
                return False
            self._callbacks.append(callback)
            return True

    def end(self) -> None:
        """Nobody waits any more."""
        with self._lock:
            self._ended.set()
            callbacks, self._callbacks = self._callbacks, []
        for callback in callbacks:
            callback()


class Calls(grpc.aio.ServerInterceptor):
    """Takes every call of a server.

    Args:
      permissions: who may call what.
      groups: method → the group that its calls are of; others are watches.
      pace: what is expected of callers.
      clock: monotonic seconds.
      rates: how fast a peer may call, by its role.
    """

    def __init__(
        self,
        permissions: Permissions,
        groups: Mapping[str, Group] = GROUPS,
        pace: Pace | None = None,
        clock: Callable[[], float] = time.monotonic,
        rates: Mapping[Role, Rate] = RATES,
    ) -> None:
        self._permissions = permissions
        self._rates = RateLimits(rates, clock)
        self._groups = groups
        self._pace = pace or Pace()
        self._clock = clock
        self._places: dict[Group, tuple[Places, futures.ThreadPoolExecutor]] = {}
        self._handlers: dict[str, Any] = {}

    async def intercept_service(self, continuation: Any, handler_call_details: Any) -> Any:
        """Puts this in the place of the method that was called."""
        handler = await continuation(handler_call_details)
        name = str(handler_call_details.method)
        if handler is None:
            return None
        if name not in self._handlers:
            places, threads = self._of(self._groups.get(name, WATCHES))
            admit = partial(self._admit, name)
            method = _Method(name, handler, admit, places, threads, self._pace, self._clock)
            self._handlers[name] = method.handler()
        return self._handlers[name]

    def close(self) -> None:
        """Ends the threads, each after the call that it carries out."""
        for _, threads in self._places.values():
            threads.shutdown(wait=False, cancel_futures=True)

    def _admit(self, name: str, auth: Auth, peer: str) -> None:
        self._permissions.check(name, auth)
        self._rates.take(role_of(auth), peer)

    def _of(self, group: Group) -> tuple[Places, futures.ThreadPoolExecutor]:
        if group not in self._places:
            threads = futures.ThreadPoolExecutor(group.threads, thread_name_prefix=group.calls)
            self._places[group] = Places(group), threads
        return self._places[group]


class _Method:
    """One method of a service."""

    def __init__(
        self,
        name: str,
        handler: Any,
        admit: Callable[[Auth, str], None],
        places: Places,
        threads: futures.ThreadPoolExecutor,
        pace: Pace,
        clock: Callable[[], float],
    ) -> None:
        self._name = name.rpartition("/")[2]
        self._handler = handler
        self._admit = admit
        self._places = places
        self._threads = threads
        self._pace = pace
        self._clock = clock
        kinds = (handler.unary_unary, handler.unary_stream)
        kinds += (handler.stream_unary, handler.stream_stream)
        self._behaviour: Any = next(method for method in kinds if method is not None)
        self._parse = _PARSERS.get(name, handler.request_deserializer)
        self._generates = inspect.isasyncgenfunction(self._behaviour)
        self._awaits = self._generates or inspect.iscoroutinefunction(self._behaviour)

    def handler(self) -> Any:
        """What gRPC is to call: takes a stream of bytes."""
        if self._handler.response_streaming:
            make: Any = grpc.stream_stream_rpc_method_handler
        else:
            make = grpc.stream_unary_rpc_method_handler
        return make(self._serve, None, self._serialized)

    def _serialized(self, message: Any) -> bytes:
        # A service may have written it itself; see `tfplus.wire.parts`.
        if isinstance(message, bytes):
            return message
        serialized: bytes = self._handler.response_serializer(message)
        return serialized

    async def _serve(self, _: Any, context: Any) -> Any:
        try:
            peer = peer_of(context)
            self._admit(context.auth_context(), peer)
            self._places.take(peer)
            with contextlib.ExitStack() as at_the_end:
                at_the_end.callback(self._places.give_back, peer)
                incoming = Incoming(self._name, context, self._pace, self._clock)
                first = await incoming.next()
                if first is None and not self._handler.request_streaming:
                    raise MalformedRequestError(f"{self._name}: expected one message, got none")
                if self._awaits:
                    return await self._in_the_loop(first, incoming, context)
                return await self._in_a_thread(first, incoming, context, at_the_end)
        except grpc.aio.AbortError:
            raise
        except Exception as error:
            await context.abort(*status_of(error))

    async def _in_the_loop(self, first: bytes | None, incoming: Incoming, context: Any) -> Any:
        streaming = self._handler.request_streaming
        argument = self._each(first, incoming) if streaming else self._parsed(first or b"")
        if not self._generates:
            return await self._behaviour(argument, context)
        async for message in self._behaviour(argument, context):
            await context.write(message)
        return None

    async def _in_a_thread(
        self,
        first: bytes | None,
        incoming: Incoming,
        context: Any,
        at_the_end: contextlib.ExitStack,
    ) -> Any:
        seen = CallContext(context)
        feed = Feed(incoming, first)
        outgoing = Outgoing(
            self._name, context, self._pace if self._places.group.paced else None, self._clock
        )
        # The place is free when the thread is: it may go on for a while when the caller has left.
        place = at_the_end.pop_all()
        work = self._threads.submit(self._work, first, feed, seen, outgoing)
        work.add_done_callback(lambda _: place.close())
        pump = asyncio.create_task(feed.pump()) if self._handler.request_streaming else None
        try:
            await outgoing.write_all()
            return await asyncio.wrap_future(work)
        finally:
            seen.end()
            work.cancel()
            feed.close()
            outgoing.close()
            if pump is not None:
                pump.cancel()

    def _work(
        self, first: bytes | None, feed: Feed, context: CallContext, outgoing: Outgoing
    ) -> Any:
        try:
            streaming = self._handler.request_streaming
            argument: Any = map(self._parsed, feed) if streaming else self._parsed(first or b"")
            result = self._behaviour(argument, context)
            if not self._handler.response_streaming:
                return result
            with contextlib.closing(result):
                for message in result:
                    outgoing.put(message)
            return None
        finally:
            outgoing.finish()

    async def _each(self, first: bytes | None, incoming: Incoming) -> AsyncIterator[Any]:
        raw = first
        while raw is not None:
            yield self._parsed(raw)
            raw = await incoming.next()

    def _parsed(self, raw: bytes) -> Any:
        try:
            return self._parse(raw)
        except Exception:
            # Every protobuf runtime has an error of its own for this.
            raise MalformedRequestError(
                f"{self._name}: {len(raw)} bytes came that are no message of the kind that it "
                "takes: do both sides have the same protocol?"
            ) from None
