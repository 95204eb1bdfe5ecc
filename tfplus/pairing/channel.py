"""A sealed channel between two that know the same code: SPAKE2, then authenticated encryption.

SPAKE2 (RFC 9382's construction, from the library `spake2`) gives both sides the same random key if
they used the same code, and unrelated ones otherwise. What goes over the wire looks the same for
every code, so that recording it is of no use, and somebody in between has to choose one code before
he learns whether it is right. Each direction has a key of its own and counts its messages: one that
was changed, replayed, reflected or left out does not open.
"""

from __future__ import annotations

from typing import Literal

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from spake2 import SPAKE2_A, SPAKE2_B, SPAKEError
from spake2.ed25519_basic import NotOnCurve

from tfplus.errors import PairingError
from tfplus.pairing.frames import OPENING_BYTES, SEALED_BYTES, Connection

Side = Literal["desk", "device"]
# In the key, so that sides of different versions do not agree by accident.
_VERSION = b"tfplus pairing 1"
_NAMES = {"desk": _VERSION + b" desk", "device": _VERSION + b" device"}
_KEY_BYTES = 32
# A byte for the side, and the point.
_POINT_BYTES = 1 + 32


class NotOpenedError(PairingError):
    """A message does not open: another code on the other side, or somebody changed it."""


class SealedChannel:
    """What is sent over it, and what came over it, is from somebody who knows the code.

    The first message that opens shows that the other side knows it. Use `open`.
    """

    def __init__(self, connection: Connection, key: bytes, side: Side) -> None:
        self._connection = connection
        self._seals, self._opens = (
            ChaCha20Poly1305(HKDF(SHA256(), _KEY_BYTES, None, _NAMES[name]).derive(key))
            for name in (side, _other(side))
        )
        self._sent = self._received = 0

    @classmethod
    def open(cls, connection: Connection, code: bytes, side: Side) -> SealedChannel:
        """Agrees on a key; the desk speaks first.

        Args:
          connection: to the other side.
          code: as `tfplus.pairing.code.parse` gives it.
          side: which this is.

        Raises:
          PairingError: the other side is gone, or speaks something else.
        """
        kind = SPAKE2_A if side == "desk" else SPAKE2_B
        exchange = kind(code, idA=_NAMES["desk"], idB=_NAMES["device"])
        if side == "desk":
            connection.send(_VERSION + exchange.start())
        theirs = connection.receive(OPENING_BYTES)
        if not theirs.startswith(_VERSION) or len(theirs) != len(_VERSION) + _POINT_BYTES:
            raise PairingError("the other side does not speak the pairing of this tfplus version")
        own = exchange.start() if side == "device" else None
        try:
            key = exchange.finish(theirs.removeprefix(_VERSION))
        except (SPAKEError, NotOnCurve, ValueError):
            # It is no point, not one of the right group, or our own sent back.
            raise PairingError("the other side's first message is malformed") from None
        if own is not None:
            connection.send(_VERSION + own)
        return cls(connection, key, side)

    def send(self, content: bytes) -> None:
        """Seals and sends a message.

        Raises:
          PairingError: the other side is gone.
        """
        self._connection.send(self._seals.encrypt(_nonce(self._sent), content, None))
        self._sent += 1

    def receive(self) -> bytes:
        """Waits for the next message and opens it.

        Raises:
          NotOpenedError: it does not open.
          PairingError: the other side is gone, or it is too large.
        """
        sealed = self._connection.receive(SEALED_BYTES)
        try:
            content = self._opens.decrypt(_nonce(self._received), sealed, None)
        except InvalidTag:
            raise NotOpenedError(
                "a message does not open: the other side used another code, or somebody in "
                "between changed it"
            ) from None
        self._received += 1
        return content


def _other(side: Side) -> Side:
    return "device" if side == "desk" else "desk"


def _nonce(count: int) -> bytes:
    return count.to_bytes(12, "big")
