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
          dead: whom the clock holds for dead: who was killed comes back once it is seen, and who
            was cut off once some of them are.
          over: all that is under way ends now.
        """
        while self._plan and (self._plan[0].round <= round or over):
            self._begin(self._plan.pop(0), round)
        ended = [
            (until, one)
            for until, one in self._under_way
            if over or self._due(until, one, round, dead)
        ]
        self._under_way = [other for other in self._under_way if other not in ended]
        for _, one in ended:
            self._end(one, round)
        if ended:
            self._weather()

    def _due(self, until: int, one: Disturbance, round: int, dead: set[str]) -> bool:
        seen = one.kind not in ("kill", "cut") or bool(dead.intersection(one.agents))
        return round >= until and seen

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
        self._weather()

    def _end(self, one: Disturbance, round: int) -> None:
        if one.kind == "stop":
            self._fleet.signal(one.agents[0], signal.SIGCONT)
        elif one.kind == "kill":
            self._fleet.start(one.agents[0])
        else:
            self.done.append(f"{one.kind} over in round {round}")

    def _weather(self) -> None:
        kinds = {one.kind for _, one in self._under_way}
        apart = {name for _, one in self._under_way if one.kind == "cut" for name in one.agents}
        sides = (apart, set(self._network.addresses) - apart)
        cut = {name: there for here, there in (sides, sides[::-1]) for name in here}
        self._network.weather(LOSS if "loss" in kinds else 0.0, cut)
