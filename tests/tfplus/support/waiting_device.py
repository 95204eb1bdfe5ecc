"""A device that waits to be paired."""

from __future__ import annotations

import datetime
from concurrent import futures
from pathlib import Path
from typing import Any

from tfplus.pairing import desk
from tfplus.pairing.device import Listener

NOW = datetime.datetime.now(datetime.timezone.utc)


class Device:
    """A device that waits in a thread."""

    def __init__(self, directory: Path, **options: Any) -> None:
        self.directory = directory
        self.notes: list[str] = []
        self.listener = Listener("127.0.0.1:0", directory, "pi-3", **options)
        self.address = f"localhost:{self.listener.address.rpartition(':')[2]}"
        self._pool = futures.ThreadPoolExecutor(1)
        self.result = self._pool.submit(self._wait)

    def _wait(self) -> Any:
        with self.listener:
            return self.listener.wait(self.notes.append)

    def error(self) -> str:
        """What it ended with."""
        return str(self.result.exception(20))

    def close(self) -> None:
        self._pool.shutdown()


def terms(ca: Path, **options: Any) -> desk.Terms:
    return desk.Terms(ca, force=True, **options)
