"""What a simulated run came to, as it is printed."""

from __future__ import annotations

from dataclasses import dataclass

from tfplus.gossip.simulation.scenario import Scenario


@dataclass(frozen=True)
class RoundFigures:
    """One round over all nodes that averaged it.

    Attributes:
      round: which.
      nodes: how many averaged it.
      error: distance from agreement: root mean square of their distances from their mean, as a
        share of what it was at the beginning.
      drift: how far their mean is from the mean of all nodes at the beginning, in the same unit.
      missing: how many awaited contributions did not come.
      last_at_s: when the last of them had it, virtual seconds.
    """

    round: int
    nodes: int
    error: float
    drift: float
    missing: int
    last_at_s: float


@dataclass(frozen=True)
class Detection:
    """How soon the others found out that a node was gone; None where they did not.

    Attributes:
      node: who went.
      at_s: when, virtual seconds.
      suspected_s: until the first suspected it.
      dead_s: until the first held it for dead.
      all_s: until all who were there did.
      back_s: from its return until all who were there held it for alive again.
    """

    node: str
    at_s: float
    suspected_s: float | None
    dead_s: float | None
    all_s: float | None
    back_s: float | None


@dataclass(frozen=True)
class Report:
    """A simulated run; of equal scenarios all of it is equal.

    Attributes:
      simulation: always true: no device took part.
      scenario: what it was of.
      finished: how many nodes ended their last round.
      virtual_s: when the last event was.
      rounds: by round.
      rate: by what factor a round shrank the distance from agreement, over the last rounds in which
        it was well above float32's rounding; None where that cannot be told.
      predicted_rate: by the eigenvalues of the mixing matrix without faults; None where links
        change from round to round, or there are too many nodes.
      node_bytes: node → bytes of contributions sent.
      membership_bytes: node → bytes of SWIM messages sent.
      detections: of every node that went.
      false_deaths: how many lives were held for dead by somebody while they were there.
      trace_sha256: over every average and every change of a view, bit for bit.
    """

    simulation: bool
    scenario: Scenario
    finished: int
    virtual_s: float
    rounds: tuple[RoundFigures, ...]
    rate: float | None
    predicted_rate: float | None
    node_bytes: dict[str, int]
    membership_bytes: dict[str, int]
    detections: tuple[Detection, ...]
    false_deaths: int
    trace_sha256: str
