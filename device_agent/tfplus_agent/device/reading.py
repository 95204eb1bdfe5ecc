"""What is told of variables that were read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from tfplus.tensors.slice_set import SliceSet
from tfplus_agent.storage.checkpoints import StoredSlices

Source = Literal["checkpoint", "worker"]


@dataclass(frozen=True)
class WeightsReading:
    """Variables as they were at one moment.

    Attributes:
      tensors: by name.
      steps: that stand behind them.
      source: what they were taken from.
    """

    tensors: SliceSet
    steps: int
    source: Source


@dataclass(frozen=True)
class WeightsToSend:
    """Variables as they were at one moment; those of a checkpoint are read while they are sent.

    Attributes:
      tensors: by name; who gets a file closes it.
      steps: that stand behind them.
      source: what they are taken from.
    """

    tensors: SliceSet | StoredSlices
    steps: int
    source: Source
