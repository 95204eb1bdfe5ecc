"""Carries a plan of disturbances out: signals, clocks, and what the network loses."""

from __future__ import annotations

import signal

from churn.events import Disturbance
from churn.fleet import Fleet
from churn.network import Network

# Share of packets, while some are lost.
LOSS = 0.2


class Disturber:
    """Carries out what is planned, by the rounds of the clock.

    Args:
      fleet: whose agents.
      network: of theirs.
      plan: in order.
    """

    def __init__(self, fleet: Fleet, network: Network, plan: list[Disturbance]) -> None:
        self._fleet = fleet
        self._network = network
        self._plan = list(plan)
        self._under_way: list[tuple[int, Disturbance]] = []
        self._days = 1
        self.done: list[str] = []

    def at(self, round: int, dead: set[str], over: bool = False) -> None:
        """Does what is due.

        Args:
          round: of the clock.
          dead: whom the clock holds for dead: who was killed or cut off comes back once it is seen.
          over: all that is under way ends now.
        """
        while self._plan and (self._plan[0].round <= round or over):
            self._begin(self._plan.pop(0), round)
        left: list[tuple[int, Disturbance]] = []
        for until, one in self._under_way:
            seen = one.kind not in ("kill", "cut") or dead.issuperset(one.agents)
            if over or (round >= until and seen):
                self._end(one, round)
            else:
                left.append((until, one))
        self._under_way = left

    def _begin(self, one: Disturbance, round: int) -> None:
        away = {n for _, o in self._under_way if o.kind in ("kill", "stop") for n in o.agents}
        whom = ", ".join(one.agents) or "all"
        if one.kind in ("kill", "stop", "gone") and away.intersection(one.agents):
            self.done.append(f"{one.kind} {whom}: still away, left out")
            return
        self.done.append(f"{one.kind} {whom} in round {round}")
        match one.kind:
            case "stop":
                self._fleet.signal(one.agents[0], signal.SIGSTOP)
            case "kill" | "gone":
                self._fleet.kill(one.agents[0])
            case "clock":
                self._fleet.move_clock(one.agents[0], self._days)
                self._days = -self._days
            case "cut" | "loss":
                pass
        if one.kind not in ("gone", "clock"):
            self._under_way.append((round + one.away_rounds, one))
        self._weather(self._under_way)

    def _end(self, one: Disturbance, round: int) -> None:
        if one.kind == "stop":
            self._fleet.signal(one.agents[0], signal.SIGCONT)
        elif one.kind == "kill":
            self._fleet.start(one.agents[0])
        else:
            self.done.append(f"{one.kind} over in round {round}")
        self._weather([(_, other) for _, other in self._under_way if other is not one])

    def _weather(self, under_way: list[tuple[int, Disturbance]]) -> None:
        kinds = {one.kind for _, one in under_way}
        apart = {name for _, one in under_way if one.kind == "cut" for name in one.agents}
        sides = (apart, set(self._network.addresses) - apart)
        cut = {name: there for here, there in (sides, sides[::-1]) for name in here}
        self._network.weather(LOSS if "loss" in kinds else 0.0, cut)
