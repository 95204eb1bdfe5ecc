"""From exceptions to gRPC statuses: what a caller of the agent sees of an error."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterator
from typing import Any, NoReturn

import grpc

from tfplus.errors import TfplusError

_LOG = logging.getLogger(__name__)
# Details travel in a header, which gRPC caps at 8 KiB.
_MAX_DETAILS_CHARS = 2000


class ErrorInterceptor(grpc.ServerInterceptor):
    """Ends a call whose method raised with the status of the error, and its message as details."""

    def intercept_service(
        self,
        continuation: Callable[[grpc.HandlerCallDetails], grpc.RpcMethodHandler[Any, Any] | None],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """Wraps the method that will be called."""
        handler: Any = continuation(handler_call_details)
        if handler is None:
            return None
        return rewrapped(handler, _streams if handler.response_streaming else _answers)


def rewrapped(handler: Any, wrap: Callable[[Callable[[Any, Any], Any]], Any]) -> Any:
    """The same handler with its method wrapped, for interceptors.

    Args:
      handler: of any of the four kinds.
      wrap: method → method.
    """
    make, method = next(
        (make, getattr(handler, kind))
        for kind, make in _MAKERS.items()
        if getattr(handler, kind) is not None
    )
    return make(wrap(method), handler.request_deserializer, handler.response_serializer)


_MAKERS: dict[str, Callable[..., Any]] = {
    "unary_unary": grpc.unary_unary_rpc_method_handler,
    "unary_stream": grpc.unary_stream_rpc_method_handler,
    "stream_unary": grpc.stream_unary_rpc_method_handler,
    "stream_stream": grpc.stream_stream_rpc_method_handler,
}


def _answers(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def wrapped(request: Any, context: Any) -> Any:
        try:
            return method(request, context)
        except Exception as error:
            _abort(context, error)

    return wrapped


def _streams(method: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Iterator[Any]]:
    def wrapped(request: Any, context: Any) -> Iterator[Any]:
        try:
            yield from method(request, context)
        except Exception as error:
            _abort(context, error)

    return wrapped


def _abort(context: Any, error: Exception) -> NoReturn:
    if isinstance(error, TfplusError):
        context.abort(grpc.StatusCode[error.status], str(error)[:_MAX_DETAILS_CHARS])
    elif context.is_active() and context.code() is None:
        _LOG.error("internal error", exc_info=error)
        text = f"internal error, see the agent's log: {type(error).__name__}: {error}"
        context.abort(grpc.StatusCode.INTERNAL, text[:_MAX_DETAILS_CHARS])
    # The method ended the call itself, or the caller is gone.
    raise error
