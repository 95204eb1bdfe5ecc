"""Who a certificate says its owner is, asked as a peer would: by a handshake.

Both ends are in memory, and the standard library's, so that a device needs nothing more to learn at
its start what each of its peers would else tell it later.
"""

from __future__ import annotations

import ssl
from typing import Any

from tfplus.errors import UsageError
from tfplus.wire.tls import TlsFiles

# A handshake of TLS 1.3 takes two turns, one of TLS 1.2 three.
_TURNS = 8


def certified_name(files: TlsFiles) -> str:
    """The common name that peers will read from the certificate.

    Args:
      files: own CA, certificate and key.

    Raises:
      UsageError: no peer would accept them: the key is of another certificate, the certificate of
        another CA, expired, not yet valid, or without a name.
    """
    for part in _told(files).get("subject", ()):
        for kind, value in part:
            if kind == "commonName":
                return str(value)
    raise UsageError(f"{files.cert}: expected a common name in the certificate, found none")


def certified_host(files: TlsFiles) -> str:
    """The first host name or address that the certificate is for: what a client expects there.

    Args:
      files: own CA, certificate and key.

    Raises:
      UsageError: see `certified_name`, or the certificate is for no host.
    """
    for _, value in _told(files).get("subjectAltName", ()):
        return str(value)
    raise UsageError(f"{files.cert}: expected a host in the certificate, found none")


def _told(files: TlsFiles) -> dict[str, Any]:
    try:
        return _handshake(files)
    except ssl.SSLCertVerificationError as error:
        raise UsageError(
            f"{files.cert}: peers would refuse this certificate: {error.verify_message}: issue "
            f"another with `tfplus certs issue`, from the CA of {files.ca}"
        ) from None
    except (ssl.SSLError, ValueError) as error:
        raise UsageError(
            f"{files.cert}, {files.key}: not a certificate and its key: {error}"
        ) from None


def _handshake(files: TlsFiles) -> dict[str, Any]:
    server_context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    # An encrypted key would else ask for its password on the terminal.
    server_context.load_cert_chain(files.cert, files.key, password="")
    client_context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client_context.check_hostname = False
    client_context.load_verify_locations(files.ca)
    to_server, to_client = ssl.MemoryBIO(), ssl.MemoryBIO()
    client = client_context.wrap_bio(to_client, to_server)
    server = server_context.wrap_bio(to_server, to_client, server_side=True)
    for _ in range(_TURNS):
        # Each takes its turn: what one side waits for, the other has yet to say.
        if all([_done(client), _done(server)]):
            return client.getpeercert() or {}
    raise ssl.SSLError("the handshake does not end")


def _done(side: ssl.SSLObject) -> bool:
    try:
        side.do_handshake()
    except ssl.SSLWantReadError:
        return False
    return True
