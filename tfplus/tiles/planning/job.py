"""What is trained, as far as its cost depends on it."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Job:
    """What is trained.

    Attributes:
      batch: samples of a step.
      slots: numbers that the optimizer keeps for each weight: 0 for SGD, 1 with momentum, 2 Adam.
      tail: the device that computes the rest of the network.
    """

    batch: int
    slots: int = 0
    tail: int = 0
