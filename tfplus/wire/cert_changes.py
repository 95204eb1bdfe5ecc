"""What becomes of a certificate after it was issued: a new one in its place, or none any more."""

from __future__ import annotations

import datetime
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from tfplus.errors import MissingExtraError, UsageError
from tfplus.system.files import write_atomic
from tfplus.wire import certs
from tfplus.wire.roles import REVOKED_FILE, fingerprint, read_revoked, role_of
from tfplus.wire.tls import CERT_FILE

try:
    from cryptography import x509
    from cryptography.exceptions import InvalidSignature
    from cryptography.x509.oid import NameOID
except ModuleNotFoundError:
    raise MissingExtraError.of("making certificates", "certs") from None


def renew(
    directory: Path, ca_directory: Path, now: datetime.datetime, *, days: int = certs.DEVICE_DAYS
) -> datetime.datetime:
    """Replaces a device's certificate and key by new ones of the same name, hosts and role.

    The old certificate stays valid until it expires, or until it is revoked.

    Args:
      directory: what `issue` wrote.
      ca_directory: what `create_ca` wrote.
      now: current time with time zone.
      days: how long the new one is valid.

    Returns:
      When the old one expires.

    Raises:
      UsageError: the certificate is missing or damaged, or as `issue`.
    """
    old = _certificate(directory / CERT_FILE)
    with _reading(directory / CERT_FILE):
        name, expires = _common_name(old), old.not_valid_after_utc
        extension = old.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        hosts = [*extension.get_values_for_type(x509.DNSName)]
        hosts += [str(a) for a in extension.get_values_for_type(x509.IPAddress)]
        uris = extension.get_values_for_type(x509.UniformResourceIdentifier)
    role = role_of({"x509_subject_alternative_name": [u.encode() for u in uris]})
    certs.issue(
        *(name, hosts, ca_directory, directory, now),
        days=days,
        role=role,
        force=True,
    )
    return expires


def revoke(certificate: Path, ca_directory: Path, now: datetime.datetime) -> tuple[str, Path]:
    """Adds a certificate to the CA's list, which is to be copied beside every agent's certificate.

    Args:
      certificate: its file, or the directory that `issue` wrote.
      ca_directory: what `create_ca` wrote.
      now: current time with time zone, for the comment.

    Returns:
      Name in the certificate, and the list.

    Raises:
      UsageError: there is no such certificate, or another CA made it.
    """
    path = certificate / CERT_FILE if certificate.is_dir() else certificate
    found = _certificate(path)
    ca, _ = certs.load_ca(ca_directory)
    try:
        found.verify_directly_issued_by(ca)
    except (*certs.DAMAGED, InvalidSignature):
        raise UsageError(f"{path}: not made by the CA in {ca_directory}") from None
    listed = ca_directory / REVOKED_FILE
    digest = fingerprint(path.read_bytes())
    with _reading(path):
        name = _common_name(found)
    before = listed.read_text("utf-8") if listed.exists() else ""
    if not listed.exists() or digest not in read_revoked(listed):
        line = f"{digest}  # {name}, revoked {now:%Y-%m-%d}\n"
        write_atomic(listed, (before + line).encode())
    return name, listed


def _certificate(path: Path) -> x509.Certificate:
    with _reading(path):
        return x509.load_pem_x509_certificate(path.read_bytes())


def _common_name(certificate: x509.Certificate) -> str:
    return str(certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)[0].value)


@contextmanager
def _reading(path: Path) -> Generator[None]:
    try:
        yield
    except (
        *certs.DAMAGED,
        OSError,
        IndexError,
        x509.DuplicateExtension,
        x509.ExtensionNotFound,
        x509.UnsupportedGeneralNameType,
    ):
        raise UsageError(
            f"{path}: expected a certificate that `tfplus certs issue` wrote"
        ) from None
