"""What a device tells of a step that it computed."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple


class Span(NamedTuple):
    """A piece of a step.

    Attributes:
      name: what the device did, such as `forward 1` of the first group, or `wait for halo 2`.
      start_s: seconds since it began the step.
      seconds: that it took.
    """

    name: str
    start_s: float
    seconds: float


@dataclass
class StepResult:
    """What a device tells of a step that it computed.

    Attributes:
      metrics: of the whole batch, from the device with the tail; else empty.
      compute_s: seconds of computing.
      halo_s: seconds of waiting for other devices' maps and gradients.
      reduce_s: seconds of waiting for parts of the sum.
      sent_bytes: to other devices.
      spans: what it did, in order.
    """

    metrics: dict[str, float] = field(default_factory=dict[str, float])
    compute_s: float = 0.0
    halo_s: float = 0.0
    reduce_s: float = 0.0
    sent_bytes: int = 0
    spans: list[Span] = field(default_factory=list[Span])
