"""`tfplus agent --announce`: tells the local network by mDNS that this agent is there."""

from __future__ import annotations

import contextlib
import logging

from tfplus.errors import RemoteError, UsageError
from tfplus.fleet.discovery import Announcement
from tfplus.wire import identity
from tfplus.wire import tls as wire_tls
from tfplus.wire.tls import TlsFiles

_LOG = logging.getLogger(__name__)


def check(listen: str) -> None:
    """Refuses to announce what nobody else could reach.

    Raises:
      UsageError: `listen` is loopback.
    """
    host, _ = wire_tls.split_address(listen)
    if wire_tls.is_loopback(host):
        raise UsageError(
            f"--announce: nobody else can reach {listen}: serve the network (--listen "
            "0.0.0.0:50051 --tls-dir DIR), or leave it out"
        )


def announced(
    name: str, address: str, tls: TlsFiles | None
) -> contextlib.AbstractContextManager[object]:
    """Announces an agent until the block ends; where that cannot be done, says so and goes on."""
    try:
        return Announcement(name, address, identity.certified_host(tls) if tls else "")
    except RemoteError as error:
        _LOG.warning("%s; the agent serves all the same", error)
        return contextlib.nullcontext()
