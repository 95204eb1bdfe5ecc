"""Bytes that crossed the wire, counted from any thread."""

from __future__ import annotations

import threading


class Traffic:
    """Serialized sizes of what was sent and received, without what gRPC and TLS add."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._sent = 0
        self._received = 0
        self._saved = 0

    def add(self, *, sent_bytes: int = 0, received_bytes: int = 0, saved_bytes: int = 0) -> None:
        """Counts; `saved_bytes` is by how much float32 would have been larger."""
        with self._lock:
            self._sent += sent_bytes
            self._received += received_bytes
            self._saved += saved_bytes

    def take(self) -> tuple[int, int]:
        """Returns (sent, received) since the last call, and starts again from zero."""
        with self._lock:
            counted = self._sent, self._received
            self._sent = self._received = 0
            return counted

    def take_saved(self) -> int:
        """Returns what codecs saved of what was sent since the last call; starts from zero."""
        with self._lock:
            saved, self._saved = self._saved, 0
            return saved
