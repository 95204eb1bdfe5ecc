"""One operation at a time on a device: short ones queue for each other, long ones are refused."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

from tfplus.errors import BusyError


class Exclusive:
    """A lock that says what it is held for.

    Args:
      wait_s: how long to wait for a short operation to end.
    """

    def __init__(self, wait_s: float = 120.0) -> None:
        self._wait_s = wait_s
        self._free = threading.Condition()
        self._holder: tuple[str, bool] | None = None

    @contextmanager
    def hold(self, what: str, *, long: bool = False) -> Generator[None]:
        """Holds the lock while the body runs.

        Args:
          what: named in the error that others get meanwhile, such as `training`.
          long: others are refused at once instead of waiting.

        Raises:
          BusyError: a long operation is under way, or a short one did not end in time.
        """
        with self._free:
            self._free.wait_for(lambda: self._holder is None or self._holder[1], self._wait_s)
            if self._holder is not None:
                raise BusyError(
                    f"{what} cannot begin: {self._holder[0]} is under way on this agent"
                )
            self._holder = (what, long)
        try:
            yield
        finally:
            with self._free:
                self._holder = None
                self._free.notify_all()

    def wait_until_free(self, timeout_s: float) -> bool:
        """Waits until nothing holds the lock; false when it still does after `timeout_s`."""
        with self._free:
            return self._free.wait_for(lambda: self._holder is None, timeout_s)
