"""The desk's side: given the code that a device shows, signs that device's key with the CA's."""

from __future__ import annotations

import datetime
import socket
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from google.protobuf.message import DecodeError

from tfplus.errors import PairingError, UnreachableError, UsageError
from tfplus.pairing import code as codes
from tfplus.pairing.channel import SealedChannel
from tfplus.pairing.device import PORT
from tfplus.pairing.frames import SEALED_BYTES, Connection
from tfplus.proto.v1 import pairing_pb2 as pb
from tfplus.wire import certs
from tfplus.wire.roles import REVOKED_FILE, Role
from tfplus.wire.tls import split_address

_CONNECT_S = 10.0
_CONVERSATION_S = 60.0
# What the certificates beside a list of revoked ones take.
_CERTIFICATES_BYTES = 64 * 1024


@dataclass(frozen=True)
class Terms:
    """What a device is to get.

    Attributes:
      ca: directory of the CA.
      name: of the device; empty for what it calls itself.
      hosts: beside the one that it was reached by: names and addresses that its certificate is for.
      role: what it may ask of other agents.
      days: of validity.
      force: also where the CA signed a certificate of that name before.
    """

    ca: Path
    name: str = ""
    hosts: Sequence[str] = ()
    role: Role = "peer"
    days: int = certs.DEVICE_DAYS
    force: bool = False


def pair(address: str, code: str, terms: Terms, now: datetime.datetime) -> tuple[str, Path]:
    """Pairs with a device that waits; one try of the code.

    Args:
      address: `HOST`, or `HOST:PORT`; the certificate will be for that host.
      code: as the device shows it.
      terms: what it is to get.
      now: current time with time zone.

    Returns:
      Name of the device, and the CA's copy of its certificate.

    Raises:
      PairingError: the code is wrong, used or expired, or somebody interferes.
      UnreachableError: nobody listens there.
      UsageError: an argument is malformed, the CA is missing, or the name is taken.
    """
    if ":" not in address or address.endswith("]"):
        address = f"{address}:{PORT}"
    host, port = split_address(address)
    typed = codes.parse(code)
    # Whatever can be wrong here is so before a device's code is spent on it.
    certs.load_ca(terms.ca)
    revoked = _revoked(terms.ca)
    if terms.name:
        _check_free(terms.name, terms)
    try:
        opened = socket.create_connection((host, port), _CONNECT_S)
    except OSError as error:
        raise UnreachableError(
            f"{address}: nobody waits to be paired ({error.strerror or error}): a code is gone "
            "once it was used, after three wrong ones and after five minutes; start `tfplus agent "
            "pair` on the device again"
        ) from None
    with Connection(opened, _CONVERSATION_S) as connection:
        channel = SealedChannel.open(connection, typed, "desk")
        channel.send(b"the code is known")
        try:
            request = channel.receive()
        except PairingError as error:
            raise PairingError(
                f"{address} did not accept the code ({error}): was it mistyped, or is it the code "
                "of another device, or does somebody interfere? Nothing was signed"
            ) from None
        name, key = _requested(request)
        name = terms.name or name
        if not terms.name:
            _check_free(name, terms)
        hosts = [host, *terms.hosts]
        certificate, ca = certs.sign(
            key, name, hosts, terms.ca, now, days=terms.days, role=terms.role
        )
        copy = certs.issued(name, terms.ca)[-1]
        try:
            answer = pb.PairingCertificate(certificate=certificate, ca=ca, revoked=revoked)
            channel.send(answer.SerializeToString())
            channel.receive()
        except PairingError as error:
            raise PairingError(
                f"{address}: whether it stored its certificate is not known ({error}): if it did "
                f"not, revoke it (`tfplus certs revoke {copy} --ca {terms.ca}`) and pair again, "
                "with --force"
            ) from None
    return name, copy


def _check_free(name: str, terms: Terms) -> None:
    certs.check_name(name)
    earlier = certs.issued(name, terms.ca)
    if earlier and not terms.force:
        raise UsageError(
            f"'{name}': this CA signed {earlier[-1]} before, and two devices of one name are one "
            "to their peers: give another --name; or --force for the same device, and revoke the "
            "old certificate"
        )


def _revoked(ca: Path) -> bytes:
    listed = ca / REVOKED_FILE
    content = listed.read_bytes() if listed.exists() else b""
    if len(content) > SEALED_BYTES - _CERTIFICATES_BYTES:
        raise UsageError(f"{listed}: too long to be sent: remove what has expired")
    return content


def _requested(content: bytes) -> tuple[str, ec.EllipticCurvePublicKey]:
    asked = pb.PairingRequest()
    try:
        asked.ParseFromString(content)
        request = x509.load_pem_x509_csr(asked.certificate_request)
        key = request.public_key()
        valid = request.is_signature_valid
    except (DecodeError, ValueError, TypeError):
        raise PairingError(
            "the device sent no certificate request: is it of this version?"
        ) from None
    if not valid or not isinstance(key, ec.EllipticCurvePublicKey) or key.curve.name != "secp256r1":
        raise PairingError("the device's request: expected a P-256 key that it was signed with")
    return asked.name, key
