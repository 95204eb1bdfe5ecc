"""Bytes that crossed the wire, counted from any thread."""

from __future__ import annotations

import threading


class Traffic:
    """Serialized sizes of what was sent and received, without what gRPC and TLS add."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent = 0
        self._received = 0

    def add(self, *, sent_bytes: int = 0, received_bytes: int = 0) -> None:
        """Counts."""
        with self._lock:
            self._sent += sent_bytes
            self._received += received_bytes

    def take(self) -> tuple[int, int]:
        """Returns (sent, received) since the last call, and starts again from zero."""
        with self._lock:
            counted = self._sent, self._received
            self._sent = self._received = 0
            return counted
