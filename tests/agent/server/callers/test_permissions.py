"""Roles and revoked certificates, over mutual TLS, against a real agent."""

from __future__ import annotations

import datetime
from collections.abc import Callable
from pathlib import Path
from typing import Any

import grpc
import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes

from tfplus.errors import NotPermittedError, RemoteError, UsageError
from tfplus.fleet.clients.client import AgentClient
from tfplus.proto.v1 import gossip_pb2, gossip_pb2_grpc
from tfplus.wire import cert_changes, certs, roles
from tfplus.wire.tls import TlsFiles, channel
from tfplus_agent.server.callers.permissions import Permissions

NOW = datetime.datetime.now(datetime.timezone.utc)
EXCHANGE = "/tfplus.proto.v1.Gossip/Exchange"
MEMBERSHIP = "/tfplus.proto.v1.Membership/"


@pytest.fixture
def ca(tmp_path: Path) -> Path:
    certs.create_ca(tmp_path / "ca", NOW)
    return tmp_path / "ca"


@pytest.fixture
def issue(ca: Path, tmp_path: Path) -> Callable[..., Path]:
    def make(name: str, role: roles.Role = "owner") -> Path:
        certs.issue(name, ["localhost"], ca, tmp_path / name, NOW, role=role)
        return tmp_path / name

    return make


def auth_of(directory: Path) -> dict[str, list[bytes]]:
    """What gRPC would say of a certificate."""
    pem = (directory / "cert.pem").read_bytes()
    names = x509.load_pem_x509_certificate(pem).extensions.get_extension_for_class(
        x509.SubjectAlternativeName
    )
    uris = names.value.get_values_for_type(x509.UniformResourceIdentifier)
    return {
        "x509_pem_cert": [pem],
        "x509_common_name": [directory.name.encode()],
        "x509_subject_alternative_name": [u.encode() for u in uris],
    }


def test_the_table_of_roles(issue: Callable[..., Path]) -> None:
    permissions = Permissions(None)
    agent = "/tfplus.proto.v1.Agent/"
    peers = {"GetStatus", "Exchange", "Tell", "TakeOver"}
    allowed = {"owner": {*peers, "Train", "AdmitToGossip"}, "peer": peers}
    allowed["reader"] = {"GetStatus"}
    for role in roles.ROLES:
        auth = auth_of(issue(f"a-{role}", role))
        passed: set[str] = set()
        of_members = (f"{MEMBERSHIP}Tell", f"{MEMBERSHIP}TakeOver", f"{agent}AdmitToGossip")
        for method in (f"{agent}GetStatus", EXCHANGE, *of_members, f"{agent}Train"):
            try:
                permissions.check(method, auth)
                passed.add(method.rpartition("/")[2])
            except NotPermittedError:
                pass
        assert passed == allowed[role]
    permissions.check(f"{agent}Train", {})


@pytest.mark.parametrize(
    ("names", "role"),
    [
        ([], "owner"),
        (["localhost", "10.0.0.1"], "owner"),
        (["urn:tfplus:role:peer"], "peer"),
        (["urn:tfplus:role:owner", "urn:tfplus:role:reader"], "reader"),
        (["urn:tfplus:role:captain"], "reader"),
        (["urn:tfplus:role:owner", "urn:tfplus:role:captain"], "reader"),
    ],
)
def test_a_certificates_role(names: list[str], role: str) -> None:
    assert roles.role_of({"x509_subject_alternative_name": [n.encode() for n in names]}) == role


def test_the_fingerprint_is_everybodys(issue: Callable[..., Path]) -> None:
    pem = (issue("a") / "cert.pem").read_bytes()
    known = x509.load_pem_x509_certificate(pem).fingerprint(hashes.SHA256()).hex()
    assert roles.fingerprint(pem) == known
    with pytest.raises(UsageError, match="PEM"):
        roles.fingerprint(b"no certificate")


def test_an_agent_holds_callers_to_it(
    start_agent: Callable[..., Any], issue: Callable[..., Path], ca: Path
) -> None:
    own = issue("a")
    agent = start_agent(**{"tls-dir": str(own), "name": None})
    address = f"localhost:{agent.ready['address'].rpartition(':')[2]}"
    clients = {role: TlsFiles.load(issue(f"is-{role}", role)) for role in roles.ROLES}

    for role, files in clients.items():
        with AgentClient(address, files, timeout_s=30) as client:
            assert client.status().name == "a"
            if role != "owner":
                with pytest.raises(RemoteError, match=f"'is-{role}' is a {role} and may not call"):
                    client.stop_gossip("none")
        with channel(address, files) as opened, pytest.raises(grpc.RpcError) as refused:
            list(gossip_pb2_grpc.GossipStub(opened).Exchange(iter([gossip_pb2.ExchangePart()])))
        denied = refused.value.code() == grpc.StatusCode.PERMISSION_DENIED
        assert denied == (role == "reader")

    name, listed = cert_changes.revoke(clients["owner"].cert, ca, NOW)
    assert name == "is-owner"
    (own / "revoked.txt").write_bytes(listed.read_bytes())
    revoked = pytest.raises(RemoteError, match="'is-owner' was revoked")
    with AgentClient(address, clients["owner"], timeout_s=30) as client, revoked:
        client.status()
    with AgentClient(address, clients["reader"], timeout_s=30) as client:
        assert client.status().name == "a"
    (own / "revoked.txt").write_text("no fingerprint\n")
    damaged = pytest.raises(RemoteError, match="line 1: expected 64")
    with AgentClient(address, clients["reader"], timeout_s=30) as client, damaged:
        client.status()


def test_renewing_keeps_name_hosts_and_role_and_not_the_key(
    issue: Callable[..., Path], ca: Path
) -> None:
    directory = issue("a", "peer")
    before = {p.name: p.read_bytes() for p in directory.iterdir()}
    cert_changes.renew(directory, ca, NOW, days=10)
    after = {p.name: p.read_bytes() for p in directory.iterdir()}
    assert after["ca.pem"] == before["ca.pem"]
    assert after["key.pem"] != before["key.pem"]
    old, new = (x509.load_pem_x509_certificate(f["cert.pem"]) for f in (before, after))
    assert new.subject == old.subject
    name = x509.SubjectAlternativeName
    assert new.extensions.get_extension_for_class(name) == old.extensions.get_extension_for_class(
        name
    )
    assert new.not_valid_after_utc - NOW < datetime.timedelta(days=10, seconds=1)
    assert roles.role_of(auth_of(directory)) == "peer"


def test_revoking_twice_is_once_and_strangers_are_refused(
    issue: Callable[..., Path], ca: Path, tmp_path: Path
) -> None:
    directory = issue("a")
    _, listed = cert_changes.revoke(directory, ca, NOW)
    cert_changes.revoke(directory / "cert.pem", ca, NOW)
    assert len(listed.read_text().splitlines()) == 1
    assert roles.read_revoked(listed) == {roles.fingerprint((directory / "cert.pem").read_bytes())}
    certs.create_ca(tmp_path / "other", NOW)
    with pytest.raises(UsageError, match="not made by the CA"):
        cert_changes.revoke(directory, tmp_path / "other", NOW)
    with pytest.raises(UsageError, match="expected a certificate"):
        cert_changes.revoke(tmp_path / "nowhere", ca, NOW)
