"""What working with kept features took on this device, added up by its cause."""

from __future__ import annotations

import sqlite3
from dataclasses import dataclass, fields

from tfplus.features.schema import transaction

FEATURES, TRAINING, INFERENCE = "features", "training", "inference"
FLUSH, PULL = "flush", "pull"


@dataclass(frozen=True)
class Cost:
    """What a cause took.

    Attributes:
      cause: one of those above.
      times: how often it happened.
      seconds: of time.
      cpu_s: of the processor, all cores and own child processes together.
      joules: of the whole device meanwhile, by its sensor; of those times that one answered.
      joules_s: seconds over which a sensor answered: 0 where none did, and then `joules` is 0.
      sent_bytes: of messages.
      received_bytes: of messages.
    """

    cause: str
    times: int = 1
    seconds: float = 0.0
    cpu_s: float = 0.0
    joules: float = 0.0
    joules_s: float = 0.0
    sent_bytes: int = 0
    received_bytes: int = 0


_NAMES = [field.name for field in fields(Cost)]


def add(db: sqlite3.Connection, cost: Cost) -> None:
    """Adds to what a cause took before.

    Args:
      db: of the index.
      cost: of this time.
    """
    sums = ", ".join(f"{name} = {name} + excluded.{name}" for name in _NAMES[1:])
    with transaction(db, durable=False):
        db.execute(
            f"INSERT INTO costs ({', '.join(_NAMES)}) VALUES ({', '.join('?' * len(_NAMES))}) "  # noqa: S608 (names of fields)
            f"ON CONFLICT (cause) DO UPDATE SET {sums}",
            tuple(vars(cost).values()),
        )


def every(db: sqlite3.Connection) -> list[Cost]:
    """What each cause took so far, by name."""
    rows = db.execute(f"SELECT {', '.join(_NAMES)} FROM costs ORDER BY cause")  # noqa: S608 (names of fields)
    return [Cost(*row) for row in rows]
