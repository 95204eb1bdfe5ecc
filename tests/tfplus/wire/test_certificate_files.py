"""Certificate files: what they say, where they lie, and what is refused."""

from __future__ import annotations

import datetime
import stat
from pathlib import Path

import pytest
from cryptography import x509

from tfplus.errors import UsageError
from tfplus.wire import certs
from tfplus.wire.identity import certified_name
from tfplus.wire.tls import (
    TlsFiles,
)

NOW = datetime.datetime.now(datetime.timezone.utc)


def test_load_names_what_is_missing(ours: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"ca\.pem: no such file.*certs issue"):
        TlsFiles.load(tmp_path)
    for name in ("ca.pem", "cert.pem"):
        (tmp_path / name).write_bytes((ours / "pi1" / name).read_bytes())
    (tmp_path / "key.pem").write_bytes((ours / "pi1/cert.pem").read_bytes())
    with pytest.raises(UsageError, match=r"key\.pem: expected a private key"):
        TlsFiles.load(tmp_path)


def test_files_and_their_permissions(ours: Path) -> None:
    files = {p.relative_to(ours).as_posix() for p in ours.rglob("*.pem")}
    assert {f for f in files if f.startswith(("ca/", "pi1/"))} == {
        "ca/ca.pem",
        "ca/ca-key.pem",
        "pi1/ca.pem",
        "pi1/cert.pem",
        "pi1/key.pem",
    } | {f for f in files if f.startswith("ca/issued/")}
    (copy,) = certs.issued("pi1", ours / "ca")
    assert copy.read_bytes() == (ours / "pi1/cert.pem").read_bytes()
    for key in ("ca/ca-key.pem", "pi1/key.pem"):
        assert stat.S_IMODE((ours / key).stat().st_mode) == 0o600


def test_what_a_certificate_says(ours: Path, tmp_path: Path) -> None:
    certs.issue(
        "pi9",
        ["pi9.local", "10.0.0.9", "::9"],
        ours / "ca",
        tmp_path,
        NOW,
        days=7,
    )
    certificate = x509.load_pem_x509_certificate((tmp_path / "cert.pem").read_bytes())
    names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.DNSName) == ["pi9.local"]
    assert [str(a) for a in names.get_values_for_type(x509.IPAddress)] == ["10.0.0.9", "::9"]
    lifetime = certificate.not_valid_after_utc - NOW.replace(microsecond=0)
    assert lifetime == datetime.timedelta(days=7)
    ca = x509.load_pem_x509_certificate((ours / "ca/ca.pem").read_bytes())
    certificate.verify_directly_issued_by(ca)


def test_no_certificate_outlives_its_ca(tmp_path: Path) -> None:
    certs.create_ca(tmp_path / "ca", NOW, days=10)
    certs.issue("pi1", ["pi1"], tmp_path / "ca", tmp_path / "pi1", NOW, days=100)
    ends = [
        x509.load_pem_x509_certificate((tmp_path / f).read_bytes()).not_valid_after_utc
        for f in ("ca/ca.pem", "pi1/cert.pem")
    ]
    assert ends[0] == ends[1]
    later = NOW + datetime.timedelta(days=11)
    with pytest.raises(UsageError, match="expired"):
        certs.issue("pi2", ["pi2"], tmp_path / "ca", tmp_path / "pi2", later)


def test_nothing_is_overwritten_unasked(tmp_path: Path) -> None:
    certs.create_ca(tmp_path / "ca", NOW)
    before = (tmp_path / "ca/ca-key.pem").read_bytes()
    with pytest.raises(UsageError, match="already"):
        certs.create_ca(tmp_path / "ca", NOW)
    assert (tmp_path / "ca/ca-key.pem").read_bytes() == before
    certs.issue("pi1", ["pi1"], tmp_path / "ca", tmp_path / "pi1", NOW)
    with pytest.raises(UsageError, match="exists"):
        certs.issue("pi1", ["pi1"], tmp_path / "ca", tmp_path / "pi1", NOW)
    certs.issue("pi1", ["pi1"], tmp_path / "ca", tmp_path / "pi1", NOW, force=True)
    certs.create_ca(tmp_path / "ca", NOW, force=True)
    assert (tmp_path / "ca/ca-key.pem").read_bytes() != before


@pytest.mark.parametrize(
    ("name", "hosts", "message"),
    [
        ("", ["a"], "device name"),
        ("a b", ["a"], "device name"),
        ("a/../b", ["a"], "device name"),
        ("x" * 65, ["a"], "device name"),
        ("a", [], "at least one --host"),
        ("a", ["a:80"], "without a port"),
        ("a", ["ä.local"], "DNS name"),
    ],
)
def test_malformed_requests(
    ours: Path, tmp_path: Path, name: str, hosts: list[str], message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        certs.issue(name, hosts, ours / "ca", tmp_path / "out", NOW)
    assert not (tmp_path / "out").exists()


def test_a_damaged_ca_is_named(ours: Path, theirs: Path, tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="certs init"):
        certs.issue("a", ["a"], tmp_path, tmp_path / "out", NOW)
    (tmp_path / "ca.pem").write_bytes((ours / "ca/ca.pem").read_bytes())
    (tmp_path / "ca-key.pem").write_bytes((theirs / "ca/ca-key.pem").read_bytes())
    with pytest.raises(UsageError, match="not the key"):
        certs.issue("a", ["a"], tmp_path, tmp_path / "out", NOW)
    (tmp_path / "ca-key.pem").write_text("-----BEGIN PRIVATE KEY-----\nnonsense\n")
    with pytest.raises(UsageError, match="damaged"):
        certs.issue("a", ["a"], tmp_path, tmp_path / "out", NOW)


def test_the_ca_key_is_kept_away_from_devices(ours: Path) -> None:
    with pytest.raises(UsageError, match="another directory"):
        certs.issue("a", ["a"], ours / "ca", ours / "ca", NOW)


def test_the_name_in_a_certificate(ours: Path) -> None:
    assert certified_name(TlsFiles.load(ours / "pi1")) == "pi1"


def test_files_that_no_peer_would_accept_are_told_of(ours: Path, theirs: Path) -> None:
    mine = TlsFiles.load(ours / "pi1")
    other_key = TlsFiles(mine.ca, mine.cert, ours / "server" / "key.pem")
    with pytest.raises(UsageError, match="not a certificate and its key"):
        certified_name(other_key)
    other_ca = TlsFiles(theirs / "pi1" / "ca.pem", mine.cert, mine.key)
    with pytest.raises(UsageError, match="peers would refuse"):
        certified_name(other_ca)


def test_a_certificate_that_has_expired_is_told_of(tmp_path: Path) -> None:
    long_ago = NOW - datetime.timedelta(days=100)
    certs.create_ca(tmp_path / "ca", long_ago)
    certs.issue("pi1", ["127.0.0.1"], tmp_path / "ca", tmp_path / "pi1", long_ago, days=10)
    with pytest.raises(UsageError, match="expired"):
        certified_name(TlsFiles.load(tmp_path / "pi1"))
