"""Who a caller is: the name in its certificate, which a message may repeat and not change."""

from __future__ import annotations

from typing import Any, NoReturn

import grpc

from tfplus.wire.tls import peer_name


def check_identity(
    claimed: str, context: grpc.ServicerContext, *, require_certificate: bool
) -> None:
    """Refuses a call that says another name than its certificate; in plaintext every name goes.

    Args:
      claimed: who the message says that it is of.
      context: of the call, which is aborted.
      require_certificate: refuse callers without one.
    """
    certified = peer_name(context)
    if certified is None and require_certificate:
        refuse(context, "UNAUTHENTICATED", "expected a certificate of the project CA")
    if certified is not None and certified != claimed:
        refuse(
            context,
            "PERMISSION_DENIED",
            f"the certificate is of '{certified}', the message says '{claimed[:80]}'",
        )


def refuse(context: Any, code: str, why: str) -> NoReturn:
    """Ends a call with an error."""
    context.abort(grpc.StatusCode[code], why)
    raise RuntimeError("a refused call goes on")
