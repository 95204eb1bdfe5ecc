"""From exceptions to gRPC statuses: what a caller of the agent sees of an error."""

from __future__ import annotations

import logging

import grpc

from tfplus.errors import TfplusError

_LOG = logging.getLogger(__name__)
# Details travel in a header, which gRPC caps at 8 KiB.
_MAX_DETAILS_CHARS = 2000


class MalformedRequestError(TfplusError):
    """What came is no message of the kind that the method takes."""

    exit_code = 5
    status = "INVALID_ARGUMENT"


class RefusedCallError(Exception):
    """A method ended its call itself.

    Args:
      code: the call's status.
      details: in words.
    """

    def __init__(self, code: grpc.StatusCode, details: str) -> None:
        super().__init__(details)
        self.code = code


def status_of(error: Exception) -> tuple[grpc.StatusCode, str]:
    """The status and the details that a call ends with where its method raised; logs a bug."""
    text = str(error)
    if isinstance(error, RefusedCallError):
        code = error.code
    elif isinstance(error, TfplusError):
        code = grpc.StatusCode[error.status]
    else:
        _LOG.error("internal error", exc_info=error)
        code = grpc.StatusCode.INTERNAL
        text = f"internal error, see the agent's log: {type(error).__name__}: {error}"
    return code, text[:_MAX_DETAILS_CHARS]
