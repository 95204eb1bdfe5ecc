"""How often each sample left the device, and with what noise: what its privacy is counted by."""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from tfplus.features.schema import transaction


@dataclass(frozen=True, order=True)
class Sending:
    """How a sample left.

    Attributes:
      multiplier: deviation of the noise on its features, in units of the most that two samples'
        features differ by (2-norm); 0 for features as they are.
      label_epsilon: of randomised response on its label; 0 for the label as it is.
      labels: how many labels there were.
    """

    multiplier: float = 0.0
    label_epsilon: float = 0.0
    labels: int = 0


# Every sending of one sample, sorted.
History = tuple[Sending, ...]


def begin(db: sqlite3.Connection, samples: Sequence[bytes], sending: Sending) -> None:
    """Notes, before samples are sent, that they are: whether they arrive is not known.

    Args:
      db: of the index.
      samples: keys.
      sending: how.
    """
    row = sending.multiplier, sending.label_epsilon, sending.labels
    with transaction(db):
        db.executemany(
            "INSERT INTO sendings VALUES (?, ?, ?, ?, 1) ON CONFLICT "
            "(sample, multiplier, label_epsilon, labels) DO UPDATE SET times = times + 1",
            [(sample, *row) for sample in samples],
        )


def histories(db: sqlite3.Connection) -> dict[History, int]:
    """Every history that samples have, of all layers together → how many samples have it."""
    of_sample: dict[bytes, list[Sending]] = {}
    for sample, multiplier, label_epsilon, labels, times in db.execute("SELECT * FROM sendings"):
        sending = Sending(multiplier, label_epsilon, labels)
        of_sample.setdefault(sample, []).extend([sending] * times)
    return dict(Counter(tuple(sorted(each)) for each in of_sample.values()))
