"""A service that is made when somebody calls it, since what it imports stays in memory."""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any


class FirstUse:
    """Stands in the place of a service whose methods block, and makes it at the first call.

    Args:
      make: makes the service, and imports what it needs; called once, unless it raises.
    """

    def __init__(self, make: Callable[[], Any]) -> None:
        self._make = make
        self._lock = threading.Lock()
        self._made: Any = None

    def __getattr__(self, name: str) -> Callable[[Any, Any], Any]:
        """The method of that name, of the service that there will be."""

        def call(request: Any, context: Any) -> Any:
            return getattr(self._service(), name)(request, context)

        return call

    def _service(self) -> Any:
        with self._lock:
            if self._made is None:
                self._made = self._make()
            return self._made
