"""A small certificate authority for one project: one CA, one certificate a device.

Keys are EC P-256. The CA's key signs and stays where it was made; a device gets the CA's
certificate, its own certificate and its own key, in the three files that `TlsFiles.load` reads.
Importing this module needs the extra `certs`, which a device does not.
"""

from __future__ import annotations

import datetime
import ipaddress
import re
from collections.abc import Sequence
from pathlib import Path

from tfplus.errors import MissingExtraError, UsageError
from tfplus.system.files import write_atomic
from tfplus.wire.roles import Role, fingerprint, uri_of
from tfplus.wire.tls import CA_FILE, CERT_FILE, KEY_FILE

try:
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
except ModuleNotFoundError:
    raise MissingExtraError.of("making certificates", "certs") from None

CA_KEY_FILE = "ca-key.pem"
# Folder of the CA with a copy of all that it signed: to revoke one whose device is lost.
ISSUED = "issued"
CA_DAYS = 3650
DEVICE_DAYS = 825
# What `cryptography` raises on damaged files, some of it only when a part is asked for: a flipped
# bit can name an algorithm that nobody knows.
DAMAGED = (ValueError, TypeError, UnsupportedAlgorithm)
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_HOST = re.compile(r"(?=.{1,253}$)[A-Za-z0-9_]([A-Za-z0-9_.-]*[A-Za-z0-9_])?")
# Clocks of devices without a battery-backed clock lag behind.
_BACKDATE = datetime.timedelta(days=1)


def create_ca(
    directory: Path,
    now: datetime.datetime,
    *,
    name: str = "tfplus project CA",
    days: int = CA_DAYS,
    force: bool = False,
) -> None:
    """Makes a CA: `ca.pem` to hand out and `ca-key.pem` to keep.

    Args:
      directory: where to; made if it is missing.
      now: current time with time zone.
      name: common name of the CA.
      days: how long it is valid.
      force: replaces a CA that is there; what it signed is worth nothing afterwards.

    Raises:
      UsageError: there is a CA already, or `days` is not positive.
      OSError: the files cannot be written.
    """
    _check_days(days)
    for file in (directory / CA_FILE, directory / CA_KEY_FILE):
        if file.exists() and not force:
            raise UsageError(
                f"{file}: there is a CA already, and devices may trust it; choose another "
                "directory, or --force to replace it and issue every certificate again"
            )
    key = ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, subject, key.public_key(), now, days)
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    directory.mkdir(parents=True, exist_ok=True)
    write_atomic(directory / CA_KEY_FILE, key_pem(key), mode=0o600)
    write_atomic(directory / CA_FILE, _certificate_pem(certificate))


def issue(
    name: str,
    hosts: Sequence[str],
    ca_directory: Path,
    directory: Path,
    now: datetime.datetime,
    *,
    days: int = DEVICE_DAYS,
    role: Role = "owner",
    force: bool = False,
) -> None:
    """Makes a device's certificate and key, next to a copy of the CA's certificate.

    Args:
      name: of the device: its identity towards peers, the certificate's common name.
      hosts: DNS names and IP addresses under which peers reach it.
      ca_directory: what `create_ca` wrote.
      directory: where to; made if it is missing.
      now: current time with time zone.
      days: how long it is valid; never longer than the CA.
      role: what its holder may ask of agents, see `tfplus.wire.roles`.
      force: replaces files that are there.

    Raises:
      UsageError: a name or host is malformed, the CA is missing, damaged or expired, or files are
        there already.
      OSError: the files cannot be written.
    """
    if directory.resolve() == ca_directory.resolve():
        raise UsageError(
            f"{directory}: expected another directory than the CA's, whose key must not be copied "
            "to a device"
        )
    for file in (directory / CERT_FILE, directory / KEY_FILE):
        if file.exists() and not force:
            raise UsageError(f"{file}: exists; choose another directory, or --force to replace it")
    key = ec.generate_private_key(ec.SECP256R1())
    certificate, ca = sign(key.public_key(), name, hosts, ca_directory, now, days=days, role=role)
    directory.mkdir(parents=True, exist_ok=True)
    write_atomic(directory / KEY_FILE, key_pem(key), mode=0o600)
    write_atomic(directory / CERT_FILE, certificate)
    write_atomic(directory / CA_FILE, ca)


def sign(
    key: ec.EllipticCurvePublicKey,
    name: str,
    hosts: Sequence[str],
    ca_directory: Path,
    now: datetime.datetime,
    *,
    days: int = DEVICE_DAYS,
    role: Role = "owner",
) -> tuple[bytes, bytes]:
    """Signs a certificate for a key, and keeps a copy of it where the CA is.

    Args:
      key: of the device, which alone has the private one.
      name: of the device.
      hosts: DNS names and IP addresses under which peers reach it.
      ca_directory: what `create_ca` wrote.
      now: current time with time zone.
      days: how long it is valid; never longer than the CA.
      role: what its holder may ask of agents.

    Returns:
      The certificate and the CA's, PEM.

    Raises:
      UsageError: a name or host is malformed, or the CA is missing, damaged or expired.
      OSError: the copy cannot be written.
    """
    _check_days(days)
    check_name(name)
    if not hosts:
        raise UsageError("expected at least one --host: the name or address that peers connect to")
    named = [_host(h) for h in dict.fromkeys(hosts)]
    says = x509.UniformResourceIdentifier(uri_of(role))
    alternatives = x509.SubjectAlternativeName([*named, says])
    ca, ca_key = load_ca(ca_directory)
    if ca.not_valid_after_utc <= now:
        raise UsageError(
            f"{ca_directory / CA_FILE}: the CA expired on {ca.not_valid_after_utc:%Y-%m-%d}; make "
            "a new one (`tfplus certs init --force`) and issue every certificate again"
        )
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = _builder(subject, ca.subject, key, now, days, not_after=ca.not_valid_after_utc)
    usage = x509.ExtendedKeyUsage(
        [ExtendedKeyUsageOID.SERVER_AUTH, ExtendedKeyUsageOID.CLIENT_AUTH]
    )
    authority = x509.AuthorityKeyIdentifier.from_issuer_public_key(ca_key.public_key())
    certificate = (
        builder.add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_key_usage(signs_certificates=False), critical=True)
        .add_extension(usage, critical=False)
        .add_extension(alternatives, critical=False)
        .add_extension(authority, critical=False)
        .sign(ca_key, hashes.SHA256())
    )
    pem = _certificate_pem(certificate)
    (ca_directory / ISSUED).mkdir(exist_ok=True)
    write_atomic(ca_directory / ISSUED / f"{name}-{fingerprint(pem)[:16]}.pem", pem)
    return pem, _certificate_pem(ca)


def issued(name: str, ca_directory: Path) -> list[Path]:
    """Certificates of that name which the CA has signed, oldest first."""
    found = (ca_directory / ISSUED).glob(f"{name}-{'[0-9a-f]' * 16}.pem")
    return sorted(found, key=lambda path: path.stat().st_mtime)


def check_name(name: str) -> None:
    """Refuses what cannot be a device's name.

    Raises:
      UsageError: it is none.
    """
    if not _NAME.fullmatch(name):
        raise UsageError(
            f"'{name}': expected a device name of 1 to 64 letters, digits, dots, dashes or "
            "underscores"
        )


def _check_days(days: int) -> None:
    if not 1 <= days <= 36_500:
        raise UsageError(f"expected a validity of 1 to 36500 days, got {days}")


def _host(host: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(host.strip("[]")))
    except ValueError:
        pass
    if not _HOST.fullmatch(host):
        raise UsageError(f"--host '{host}': expected a DNS name or an IP address, without a port")
    return x509.DNSName(host)


def load_ca(directory: Path) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    """Reads what `create_ca` wrote.

    Raises:
      UsageError: it is missing or damaged.
    """
    for file in (directory / CA_FILE, directory / CA_KEY_FILE):
        if not file.is_file():
            raise UsageError(f"{file}: no such file; make a CA with `tfplus certs init`")
    try:
        certificate = x509.load_pem_x509_certificate((directory / CA_FILE).read_bytes())
        key = serialization.load_pem_private_key((directory / CA_KEY_FILE).read_bytes(), None)
        certified = certificate.public_key()
    except DAMAGED as error:
        raise UsageError(f"{directory}: the CA's files are damaged: {error}") from None
    if not isinstance(key, ec.EllipticCurvePrivateKey):
        raise UsageError(f"{directory / CA_KEY_FILE}: expected an elliptic-curve key")
    if key.public_key() != certified:
        raise UsageError(f"{directory}: {CA_KEY_FILE} is not the key of {CA_FILE}")
    return certificate, key


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePublicKey,
    now: datetime.datetime,
    days: int,
    not_after: datetime.datetime | None = None,
) -> x509.CertificateBuilder:
    end = now + datetime.timedelta(days=days)
    return (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer)
        .public_key(key)
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _BACKDATE)
        .not_valid_after(min(end, not_after) if not_after else end)
    )


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        encipher_only=False,
        decipher_only=False,
    )


def key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    """A private key in the form that `TlsFiles.load` reads."""
    return key.private_bytes(
        serialization.Encoding.PEM,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )


def _certificate_pem(certificate: x509.Certificate) -> bytes:
    return certificate.public_bytes(serialization.Encoding.PEM)
