"""Who may call what: by the role in the caller's certificate, and not at all once it is revoked.

| method                                        | owner | peer | reader |
|-----------------------------------------------|-------|------|--------|
| status, sensors, watching, listing, health    | yes   | yes  | yes    |
| contributions to a gossip run, tiles' halos   | yes   | yes  |        |
| who is there in it, and what a newcomer takes | yes   | yes  |        |
| all else: models, weights, samples, jobs      | yes   |      |        |

In plaintext, which leaves loopback only where the owner typed `--insecure`, everybody is an owner.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping
from pathlib import Path

from tfplus.errors import NotPermittedError, UsageError
from tfplus.wire import roles
from tfplus.wire.roles import Auth, Role

_AGENT = "/tfplus.proto.v1.Agent/"
_READ = frozenset(
    {
        *(f"{_AGENT}{name}" for name in ("GetStatus", "WatchGossip", "ListJobs", "WatchJob")),
        "/tfplus.proto.v1.Telemetry/ReadSensors",
        "/metrics",
        "/tfplus.proto.v1.Telemetry/WatchSensors",
        "/grpc.health.v1.Health/Check",
        "/grpc.health.v1.Health/Watch",
        "/grpc.reflection.v1alpha.ServerReflection/ServerReflectionInfo",
    }
)
_PEERS = frozenset(
    {
        "/tfplus.proto.v1.Gossip/Exchange",
        "/tfplus.proto.v1.Membership/Tell",
        "/tfplus.proto.v1.Membership/TakeOver",
        "/tfplus.proto.v1.Tiles/Deliver",
    }
)
ALLOWED: Mapping[Role, frozenset[str]] = {"peer": _READ | _PEERS, "reader": _READ}


class Permissions:
    """Checks calls. Thread-safe.

    Args:
      revoked: file of revoked certificates, read again whenever it changes; None in plaintext.
    """

    def __init__(self, revoked: Path | None) -> None:
        self._path = revoked
        self._lock = threading.Lock()
        self._state: object = None
        self._revoked: frozenset[str] = frozenset()

    def check(self, method: str, auth: Auth) -> None:
        """Checks one call.

        Args:
          method: full name, such as `/tfplus.proto.v1.Agent/Train`.
          auth: of the call; without a certificate in plaintext.

        Raises:
          NotPermittedError: the certificate was revoked, its role does not allow the method, or
            the list of revoked certificates cannot be read.
        """
        pem = next(iter(auth.get("x509_pem_cert", ())), None)
        if pem is None:
            return
        name = next(iter(auth.get("x509_common_name", (b"?",)))).decode("utf-8", "replace")
        if roles.fingerprint(pem) in self._now_revoked():
            raise NotPermittedError(f"the certificate of '{name}' was revoked: ask for a new one")
        role = roles.role_of(auth)
        if role != "owner" and method not in ALLOWED[role]:
            what = method.rpartition("/")[2]
            raise NotPermittedError(
                f"'{name}' is a {role} and may not call {what}: expected a certificate of an owner "
                "(`tfplus certs issue --role owner`)"
            )

    def _now_revoked(self) -> frozenset[str]:
        if self._path is None:
            return frozenset()
        with self._lock:
            try:
                stat = self._path.stat()
            except FileNotFoundError:
                self._state, self._revoked = None, frozenset()
                return self._revoked
            except OSError as error:
                raise NotPermittedError(f"{self._path}: {error.strerror}") from None
            state = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            if state != self._state:
                try:
                    self._revoked = roles.read_revoked(self._path)
                except (UsageError, OSError) as error:
                    # Whom it names is not known: nobody comes in until it is mended.
                    raise NotPermittedError(str(error)) from None
                self._state = state
            return self._revoked
