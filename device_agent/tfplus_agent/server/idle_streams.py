"""Ends calls whose caller begins a stream and then sends nothing: each holds one of few threads."""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable, Iterator
from typing import Any

import grpc

from tfplus_agent.server.grpc_errors import rewrapped

_LOG = logging.getLogger(__name__)


class IdleStreamInterceptor(grpc.ServerInterceptor):
    """Cancels a call that takes a stream where no message comes for a while.

    Args:
      limit_s: longest silence between two messages, in seconds.
    """

    def __init__(self, limit_s: float) -> None:
        self._limit_s = limit_s

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wraps the method that will be called."""
        handler: Any = continuation(handler_call_details)
        if handler is None or not handler.request_streaming:
            return handler
        name = str(handler_call_details.method)
        return rewrapped(handler, lambda method: self._watched(name, method))

    def _watched(self, name: str, method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
        def wrapped(requests: Iterator[Any], context: Any) -> Any:
            return method(self._each(name, requests, context), context)

        return wrapped

    def _each(self, name: str, requests: Iterator[Any], context: Any) -> Iterator[Any]:
        def give_up() -> None:
            _LOG.warning("%s: nothing came for %g s: the call is ended", name, self._limit_s)
            context.cancel()

        while True:
            timer = threading.Timer(self._limit_s, give_up)
            timer.daemon = True
            timer.start()
            try:
                request = next(requests)
            except StopIteration:
                return
            finally:
                timer.cancel()
            yield request
