"""How long a node waits for a neighbour: by how late that one came in past rounds.

Lateness is the time from the end of the node's own training to the neighbour's contribution, 0 for
one that was there before. Mean and deviation are smoothed, and the wait is four deviations above
the mean, as TCP waits for an acknowledgment (Jacobson, "Congestion avoidance and control", SIGCOMM
1988; RFC 6298, section 2). A round's times vary with what a device does besides, so the wait is
never less than the node's own training took, nor than `LEAST_S`.
"""

from __future__ import annotations

from dataclasses import dataclass

LEAST_S = 5.0
# Fewer say nothing: first rounds are slower than those behind them.
FEWEST = 3
_MEAN_SHARE = 1 / 8
_DEVIATION_SHARE = 1 / 4
_DEVIATIONS = 4.0
# Whether a neighbour is gone is asked after so long, and then after half as much again.
_FIRST_LOOK_S = 1.0
_LONGEST_BETWEEN_LOOKS_S = 8.0


@dataclass(frozen=True)
class Lateness:
    """How late a neighbour comes.

    Attributes:
      rounds: how many were measured.
      mean_s: smoothed.
      deviation_s: mean distance from that, smoothed.
    """

    rounds: int = 0
    mean_s: float = 0.0
    deviation_s: float = 0.0

    def after(self, late_s: float) -> Lateness:
        """Takes in one more round, RFC 6298 (2.2) and (2.3)."""
        if not self.rounds:
            return Lateness(1, late_s, late_s / 2)
        off_s = abs(self.mean_s - late_s)
        return Lateness(
            self.rounds + 1,
            self.mean_s + _MEAN_SHARE * (late_s - self.mean_s),
            self.deviation_s + _DEVIATION_SHARE * (off_s - self.deviation_s),
        )


NOT_MEASURED = Lateness()


def patience_s(lateness: Lateness, trained_s: float, most_s: float) -> float:
    """How long to wait for a neighbour, from the end of the node's own training.

    Args:
      lateness: of the neighbour.
      trained_s: what the node's own training of this round took.
      most_s: what the user allows; waited where too little was measured.

    Examples:
      >>> steady = Lateness(rounds=10, mean_s=2.0, deviation_s=1.0)
      >>> patience_s(steady, trained_s=0.5, most_s=30.0)
      6.0
      >>> patience_s(steady, trained_s=20.0, most_s=30.0)
      20.0
    """
    if lateness.rounds < FEWEST:
        return most_s
    usual_s = lateness.mean_s + _DEVIATIONS * lateness.deviation_s
    return min(most_s, max(LEAST_S, trained_s, usual_s))


def next_look_s(waited_s: float) -> float:
    """After how much waiting in all to look for those who are late again."""
    return waited_s + min(max(waited_s / 2, _FIRST_LOOK_S), _LONGEST_BETWEEN_LOOKS_S)
