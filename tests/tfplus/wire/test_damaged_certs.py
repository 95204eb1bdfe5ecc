"""Certificates and keys that a bad disk has changed are refused in words."""

from __future__ import annotations

import base64
import datetime
from pathlib import Path

import pytest

from tfplus.errors import UsageError
from tfplus.wire import cert_changes, certs
from tfplus.wire.tls import CA_FILE, CERT_FILE

NOW = datetime.datetime(2030, 1, 1, tzinfo=datetime.timezone.utc)
# id-ecPublicKey and id-ce-subjectAltName, as DER holds them.
EC_KEY = bytes.fromhex("06072a8648ce3d0201")
HOSTS = bytes.fromhex("0603551d11")
COMMON_NAME = bytes.fromhex("0603550403")


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    certs.create_ca(tmp_path / "ca", NOW)
    certs.issue("a", ["127.0.0.1"], tmp_path / "ca", tmp_path / "a", NOW)
    return tmp_path / "ca"


def other(path: Path, identifier: bytes) -> None:
    """Makes the identifier another one, which nobody knows."""
    first, *lines, last = path.read_text().splitlines()
    content = base64.b64decode("".join(lines))
    assert identifier in content
    changed = content.replace(identifier, identifier[:-1] + bytes([identifier[-1] ^ 0x40]))
    path.write_text("\n".join((first, base64.b64encode(changed).decode(), last)))


@pytest.mark.parametrize("file", [certs.CA_KEY_FILE, CA_FILE])
def test_a_key_of_an_algorithm_that_nobody_knows(ca: Path, file: str) -> None:
    other(ca / file, EC_KEY)
    with pytest.raises(UsageError, match="the CA's files are damaged"):
        certs.load_ca(ca)


@pytest.mark.parametrize("part", [HOSTS, COMMON_NAME])
def test_a_certificate_that_lacks_what_is_renewed(ca: Path, part: bytes) -> None:
    own = ca.parent / "a"
    other(own / CERT_FILE, part)
    with pytest.raises(UsageError, match="expected a certificate that `tfplus certs issue` wrote"):
        cert_changes.renew(own, ca, NOW)
