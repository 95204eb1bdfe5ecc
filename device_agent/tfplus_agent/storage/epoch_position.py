"""Where an epoch of samples that come and go began, so that it goes on with the same ones."""

from __future__ import annotations

import re
from dataclasses import astuple, dataclass

from tfplus.errors import DamagedFileError
from tfplus.system.checked_json import shown

_TEXT = re.compile(r"([0-9]{1,20}) ([0-9]{1,18}) ([0-9]{1,18}) ([0-9]{1,18})")


@dataclass(frozen=True)
class EpochPosition:
    """The epoch that a checkpoint lies in.

    Attributes:
      seed: of the training.
      epoch: counted from 0.
      first_step: steps of the training before this epoch.
      last_key: the highest key of its samples, those with higher ones join the next; 0 before it
        has begun.
    """

    seed: int
    epoch: int
    first_step: int
    last_key: int

    def text(self) -> str:
        """As a checkpoint says it."""
        return " ".join(str(value) for value in astuple(self))

    @classmethod
    def read(cls, text: str) -> EpochPosition:
        """What `text` made.

        Raises:
          DamagedFileError: it is none.
        """
        found = _TEXT.fullmatch(text)
        if found is None:
            raise DamagedFileError(f"position: expected four integers, got {shown(text)}")
        return cls(*map(int, found.groups()))
