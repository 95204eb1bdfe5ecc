"""How a device reaches its neighbours in a gossip run."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from functools import partial

from tfplus.gossip.compression.choosing import Choice
from tfplus.gossip.membership.member import Member
from tfplus.gossip.transport.grpc_link import Backoff, PeerLink
from tfplus.gossip.transport.traffic import Traffic
from tfplus.gossip.transport.upload_cap import UploadCap
from tfplus.wire.tls import TlsFiles, require_loopback_or_insecure, split_address


@dataclass(frozen=True)
class Link:
    """How this device reaches its neighbours.

    Attributes:
      tls: own certificate; None for plaintext.
      insecure: plaintext also beyond loopback.
      backoff: of attempts that reach nobody.
      cap: of what leaves this device for all neighbours together; None for none.
    """

    tls: TlsFiles | None = None
    insecure: bool = False
    backoff: Backoff = field(default_factory=Backoff)
    cap: UploadCap | None = None

    def check(self, address: str) -> None:
        """Checks an address before anything is sent there.

        Raises:
          UsageError: it is malformed, or plaintext would leave this machine.
        """
        host, _ = split_address(address)
        if self.tls is None:
            require_loopback_or_insecure(host, self.insecure)

    def to(
        self,
        members: Iterable[Member],
        run_id: str,
        cancelled: threading.Event,
        traffic: Traffic,
        wanted: Callable[[str], AbstractSet[str] | None] = lambda _: None,
        choice: Callable[[], Choice] | None = None,
    ) -> dict[str, PeerLink]:
        """Opens a link to each neighbour: name → link, not connected yet.

        `wanted` says which slices a neighbour was seen to hold, and `choice` makes that of a
        link's codecs, see `PeerLink`.

        Raises:
          UsageError: an address is malformed, or plaintext would leave this machine.
        """
        return {
            member.name: PeerLink(
                run_id,
                member.name,
                member.address,
                tls=self.tls,
                insecure=self.insecure,
                backoff=self.backoff,
                cancelled=cancelled,
                traffic=traffic,
                wanted=partial(wanted, member.name),
                choice=choice() if choice else None,
                cap=self.cap,
            )
            for member in members
        }
