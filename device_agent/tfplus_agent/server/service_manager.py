"""Telling the service manager how the daemon is, so that one that hangs is started again.

systemd names a datagram socket in the environment; a service sends it lines such as READY=1. Where
there is no such socket, such as on a terminal, nothing is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
from collections.abc import Callable, MutableMapping

_LOG = logging.getLogger(__name__)
# A manager that does not read must not hold up the event loop for longer.
_SEND_TIMEOUT_S = 1.0
_BEATS_PER_LIMIT = 3


class ServiceManager:
    """The service manager that started this process, if one did.

    Args:
      environment: what the manager says; its variables are taken out, so that a child that
        inherits the environment does not speak for its parent.

    Attributes:
      limit_s: within which a beat must follow a beat, in seconds; 0 where nobody watches.
    """

    def __init__(self, environment: MutableMapping[str, str] = os.environ) -> None:
        address = environment.pop("NOTIFY_SOCKET", "")
        limit_us = environment.pop("WATCHDOG_USEC", "")
        watched = environment.pop("WATCHDOG_PID", str(os.getpid()))
        # A leading @ stands for the zero byte of a name that lies in no file system.
        self._address = f"\0{address[1:]}" if address.startswith("@") else address
        ours = watched == str(os.getpid())
        self.limit_s = int(limit_us) / 1e6 if address and ours and limit_us.isdecimal() else 0.0

    def tell(self, *lines: str) -> None:
        """Sends lines such as `READY=1`; a manager that cannot be reached ends nothing."""
        if not self._address:
            return
        try:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as own:
                own.settimeout(_SEND_TIMEOUT_S)
                own.sendto("\n".join(lines).encode(), self._address)
        except OSError as error:
            _LOG.warning("the service manager cannot be told %s: %s", lines[0], error)

    async def beat(self, answers: Callable[[], object]) -> None:
        """Beats for as long as the event loop runs and `answers` returns; ends when cancelled.

        Args:
          answers: called in a thread, as a request of a peer is. That it raises counts as an
            answer; that it does not come back ends the beats.
        """
        loop = asyncio.get_running_loop()
        while self.limit_s:
            with contextlib.suppress(Exception):
                await loop.run_in_executor(None, answers)
            self.tell("WATCHDOG=1")
            await asyncio.sleep(self.limit_s / _BEATS_PER_LIMIT)
