"""The device's side: makes its key, shows a code, and waits for the desk that was told it."""

from __future__ import annotations

import contextlib
import datetime
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from google.protobuf.message import DecodeError

from tfplus.errors import PairingError, RemoteError, UsageError
from tfplus.pairing import code as codes
from tfplus.pairing.channel import NotOpenedError, SealedChannel
from tfplus.pairing.frames import Connection
from tfplus.proto.v1 import pairing_pb2 as pb
from tfplus.system.files import write_atomic
from tfplus.wire import certs
from tfplus.wire.roles import REVOKED_FILE
from tfplus.wire.tls import CA_FILE, CERT_FILE, KEY_FILE, split_address

PORT = 50052
EXPIRES_S = 300.0
# A code of 40 bits: who guesses three times is right once in 3e11.
ATTEMPTS = 3
_CONVERSATION_S = 30.0


@dataclass(frozen=True)
class Paired:
    """What a pairing came to.

    Attributes:
      name: of the device, as the desk decided.
      expires: when its certificate does.
    """

    name: str
    expires: datetime.datetime


class Listener:
    """Waits for one desk that knows `code`; a context manager.

    Attributes:
      code: to be shown; it is worth nothing once `wait` has returned or raised.
      address: where it listens.

    Args:
      address: `HOST:PORT`; port 0 takes a free one.
      directory: where key and certificates go.
      name: what the device calls itself.
      force: replaces files that are there.
      expires_s: seconds that the code is worth something.

    Raises:
      RemoteError: nothing can listen there.
      UsageError: files are there already, or the name is none.
    """

    def __init__(
        self,
        address: str,
        directory: Path,
        name: str,
        *,
        force: bool = False,
        expires_s: float = EXPIRES_S,
    ) -> None:
        certs.check_name(name)
        for file in (directory / CERT_FILE, directory / KEY_FILE):
            if file.exists() and not force:
                raise UsageError(f"{file}: exists: choose another --tls-dir, or --force")
        host, port = split_address(address)
        self._directory = directory
        self._name = name
        self._until = time.monotonic() + expires_s
        self._expires_s = expires_s
        self.code = codes.new()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        try:
            self._socket = socket.create_server((host, port), family=family, backlog=1)
        except OSError as error:
            raise RemoteError(
                f"cannot listen on {address}: {error.strerror}: choose another with --listen"
            ) from None
        shown = f"[{host}]" if ":" in host else host
        self.address = f"{shown}:{self._socket.getsockname()[1]}"

    def __enter__(self) -> Listener:
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.close()

    def wait(self, note: Callable[[str], None] = lambda _: None) -> Paired:
        """Pairs with the first desk that knows the code; the files are on disk when this returns.

        Args:
          note: told of every caller that did not know it.

        Raises:
          PairingError: nobody came in time, wrong codes came too often, or the pairing broke off.
          OSError: the files cannot be written.
        """
        left = ATTEMPTS
        while True:
            opened = self._accept()
            with Connection(opened, _CONVERSATION_S) as connection:
                try:
                    channel = SealedChannel.open(connection, codes.parse(self.code), "device")
                    channel.receive()
                except NotOpenedError:
                    left -= 1
                    note(f"a wrong code came; {left} of {ATTEMPTS} tries are left")
                    if not left:
                        raise PairingError(
                            f"{ATTEMPTS} wrong codes came: somebody mistyped, or guesses; this "
                            "code is worth nothing any more: start again for a new one"
                        ) from None
                    continue
                except PairingError as error:
                    # Who did not come so far has learned nothing about the code.
                    note(str(error))
                    continue
                return self._receive(channel)

    def _accept(self) -> socket.socket:
        left = self._until - time.monotonic()
        try:
            if left <= 0:
                raise TimeoutError
            self._socket.settimeout(left)
            return self._socket.accept()[0]
        except TimeoutError:
            raise PairingError(
                f"the code expired: nobody paired within {self._expires_s:g} s; start again for a "
                "new one"
            ) from None

    def _receive(self, channel: SealedChannel) -> Paired:
        key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, self._name)])
        request = x509.CertificateSigningRequestBuilder().subject_name(subject)
        pem = request.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)
        channel.send(
            pb.PairingRequest(name=self._name, certificate_request=pem).SerializeToString()
        )
        came = pb.PairingCertificate()
        try:
            came.ParseFromString(channel.receive())
        except DecodeError:
            raise PairingError("the desk sent no certificate: is it of this version?") from None
        paired = _checked(came, key, datetime.datetime.now(datetime.timezone.utc))
        self._directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_atomic(self._directory / KEY_FILE, certs.key_pem(key), mode=0o600)
        write_atomic(self._directory / CA_FILE, came.ca)
        if came.revoked:
            write_atomic(self._directory / REVOKED_FILE, came.revoked)
        write_atomic(self._directory / CERT_FILE, came.certificate)
        # The desk is told, but what counts lies on the disk of this device.
        with contextlib.suppress(PairingError):
            channel.send(b"stored")
        return paired


def _checked(
    came: pb.PairingCertificate, key: ec.EllipticCurvePrivateKey, now: datetime.datetime
) -> Paired:
    try:
        certificate = x509.load_pem_x509_certificate(came.certificate)
        ca = x509.load_pem_x509_certificate(came.ca)
        certificate.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature):
        raise PairingError("the desk sent no certificate that its CA signed") from None
    if certificate.public_key() != key.public_key():
        raise PairingError("the desk sent the certificate of another key")
    if not certificate.not_valid_before_utc <= now < certificate.not_valid_after_utc:
        raise PairingError(
            f"the certificate is valid from {certificate.not_valid_before_utc:%Y-%m-%d} to "
            f"{certificate.not_valid_after_utc:%Y-%m-%d}, and this device's clock says "
            f"{now:%Y-%m-%d}: set it (timedatectl), and start again"
        )
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return Paired(str(names[0].value), certificate.not_valid_after_utc)
