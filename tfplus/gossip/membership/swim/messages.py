"""What members say to each other, what happens to one, and what it asks its shell to do."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from typing import TypeAlias


class Status(IntEnum):
    """How a member is believed to be. Of one incarnation the larger is believed."""

    ALIVE = 0
    SUSPECT = 1
    DEAD = 2
    LEFT = 3

    @property
    def there(self) -> bool:
        """Whether it still counts as a member: a suspect may yet refute."""
        return self <= Status.SUSPECT


@dataclass(frozen=True)
class Update:
    """One statement about a member.

    Attributes:
      member: about whom.
      status: what is said of it.
      incarnation: of that member when it was said; only the member itself makes it grow.
      by: who said so first, of a suspicion: several who suspect on their own weigh more than one.
      address: where a member is reached that was admitted later; empty of those of the roster.
    """

    member: str
    status: Status
    incarnation: int
    by: str = ""
    address: str = ""

    @property
    def order(self) -> tuple[int, int]:
        """The larger wins, so that every order of arrival ends in the same view."""
        return self.incarnation, self.status


class Kind(Enum):
    """What a message is."""

    PING = "ping"
    PING_REQUEST = "ping-request"
    ACK = "ack"
    NACK = "nack"
    SYNC = "sync"
    SYNC_REPLY = "sync-reply"


@dataclass(frozen=True)
class Message:
    """One message, of bounded size.

    Attributes:
      kind: what it is.
      sender: from whom.
      sequence: of a ping, and of what answers it.
      target: who shall be pinged, of a ping request.
      updates: news that go along.
    """

    kind: Kind
    sender: str
    sequence: int = 0
    target: str = ""
    updates: tuple[Update, ...] = ()

    @property
    def size_bytes(self) -> int:
        """Its size as a protobuf message of these fields would have: tags, lengths, varints."""
        size = 2 + 2 + len(self.sender) + 2 + (2 + len(self.target) if self.target else 0)
        return size + sum(10 + len(u.member) + len(u.by) + len(u.address) for u in self.updates)


# --- events ---------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Joined:
    """The member may begin; also after it was away."""

    now: float


@dataclass(frozen=True)
class Heard:
    """A message came in."""

    now: float
    message: Message


@dataclass(frozen=True)
class Timer:
    """Time went by; due at `SwimNode.deadline`."""

    now: float


@dataclass(frozen=True)
class Leave:
    """The member goes for good and says so."""

    now: float


@dataclass(frozen=True)
class Admit:
    """Another may be a member from now on; it is not there before it says so itself."""

    now: float
    member: str
    address: str


Event: TypeAlias = Joined | Heard | Timer | Leave | Admit

# --- effects --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class SendTo:
    """Bring a message to a member; it may be lost."""

    to: str
    message: Message


@dataclass(frozen=True)
class Changed:
    """The view of a member changed."""

    member: str
    status: Status
    incarnation: int


@dataclass(frozen=True)
class Admitted:
    """A member that was not of the roster may be there from now on."""

    member: str
    address: str


Effect: TypeAlias = SendTo | Changed | Admitted
