"""Frames of one connection: a length, then as many bytes; capped, and none waited for too long."""

from __future__ import annotations

import socket
import struct
import time
from types import TracebackType

from tfplus.errors import PairingError

_LENGTH = struct.Struct(">I")
# A point of the key exchange and its version; nobody has shown yet that it knows the code.
OPENING_BYTES = 128
# A certificate, the CA's, and a list of some ten thousand that were revoked.
SEALED_BYTES = 1 << 20


class Connection:
    """One connection, from its first frame to its last; closes it in the end.

    Args:
      opened: a connected socket.
      limit_s: seconds that the whole conversation may take.
    """

    def __init__(self, opened: socket.socket, limit_s: float) -> None:
        self._socket = opened
        self._until = time.monotonic() + limit_s

    def __enter__(self) -> Connection:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._socket.close()

    def send(self, content: bytes) -> None:
        """Sends a frame.

        Raises:
          PairingError: the other side is gone, or takes too long.
        """
        try:
            self._within()
            self._socket.sendall(_LENGTH.pack(len(content)) + content)
        except OSError as error:
            raise _gone(error) from None

    def receive(self, max_bytes: int) -> bytes:
        """Waits for a frame.

        Raises:
          PairingError: the other side is gone, takes too long, or announces more than `max_bytes`.
        """
        (size,) = _LENGTH.unpack(self._exactly(_LENGTH.size))
        if size > max_bytes:
            raise PairingError(
                f"the other side announces {size} bytes, expected at most {max_bytes}: is it "
                "tfplus, and of this version?"
            )
        return self._exactly(size)

    def _exactly(self, size: int) -> bytes:
        read = bytearray()
        while len(read) < size:
            try:
                self._within()
                piece = self._socket.recv(size - len(read))
            except OSError as error:
                raise _gone(error) from None
            if not piece:
                raise PairingError("the other side ended the connection in the middle")
            read += piece
        return bytes(read)

    def _within(self) -> None:
        left = self._until - time.monotonic()
        if left <= 0:
            raise TimeoutError
        self._socket.settimeout(left)


def _gone(error: OSError) -> PairingError:
    if isinstance(error, TimeoutError):
        return PairingError("the other side takes too long: the connection was ended")
    return PairingError(f"the other side went away: {error.strerror or error}")
