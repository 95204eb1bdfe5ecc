"""What a certificate lets its holder do, and which certificates are no longer worth anything.

A certificate names its role in a URI among its alternative names. One without, as they were made
before there were roles, is an owner's. What was revoked stands in `revoked.txt` beside the
certificates of an agent, a SHA-256 of a certificate a line: the file is made where the CA is, and
copied to the devices.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, get_args

from tfplus.errors import UsageError

Role = Literal["owner", "peer", "reader"]
ROLES: tuple[Role, ...] = get_args(Role)
REVOKED_FILE = "revoked.txt"

_URI = "urn:tfplus:role:"
_PEM = re.compile(rb"-----BEGIN CERTIFICATE-----(.+?)-----END CERTIFICATE-----", re.DOTALL)
_FINGERPRINT = re.compile(r"[0-9a-f]{64}")
# A list of a hundred thousand certificates.
_MAX_REVOKED_BYTES = 16 * 1024 * 1024

Auth = Mapping[str, Sequence[bytes]]


def role_named(text: str) -> Role:
    """The role of that name.

    Raises:
      UsageError: there is none.
    """
    if text not in ROLES:
        raise UsageError(f"role '{text}': expected one of {', '.join(ROLES)}")
    return text


def uri_of(role: Role) -> str:
    """The alternative name that says it."""
    return f"{_URI}{role}"


def role_of(auth: Auth) -> Role:
    """The role that a peer's certificate names.

    Args:
      auth: gRPC's authentication context of a call over TLS.

    Returns:
      The least of those that it names; a role that this version does not know is a reader's.
    """
    names = [n.decode("utf-8", "replace") for n in auth.get("x509_subject_alternative_name", ())]
    named = [n.removeprefix(_URI) for n in names if n.startswith(_URI)]
    if not named:
        return "owner"
    known: list[Role] = [role for role in ROLES if role in named]
    return known[-1] if len(known) == len(set(named)) else "reader"


def fingerprint(pem: bytes) -> str:
    """SHA-256 of a certificate in PEM form (hex), as `openssl x509 -fingerprint -sha256` gives it.

    Raises:
      UsageError: it is none.
    """
    match = _PEM.search(pem)
    try:
        if match is None:
            raise ValueError
        der = base64.b64decode(b"".join(match[1].split()), validate=True)
    except (binascii.Error, ValueError):
        raise UsageError("expected a certificate in PEM form") from None
    return hashlib.sha256(der).hexdigest()


def read_revoked(path: Path) -> frozenset[str]:
    """Fingerprints in a file; what follows one on its line is a comment.

    Raises:
      UsageError: the file is damaged, or too large.
      OSError: it cannot be read.
    """
    if path.stat().st_size > _MAX_REVOKED_BYTES:
        raise UsageError(f"{path}: expected at most {_MAX_REVOKED_BYTES} bytes")
    found: set[str] = set()
    for number, line in enumerate(path.read_text("utf-8", "replace").splitlines(), 1):
        text = line.partition("#")[0].strip()
        if not text:
            continue
        if not _FINGERPRINT.fullmatch(text):
            raise UsageError(
                f"{path}, line {number}: expected 64 hexadecimal digits and a # comment"
            )
        found.add(text)
    return frozenset(found)
