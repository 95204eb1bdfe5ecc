"""Turns a scenario's shares into crashes, partitions and slow nodes, by its seed."""

from __future__ import annotations

import random
from collections import defaultdict

from tfplus.errors import UsageError
from tfplus.gossip.simulation.network import Faults, Partition
from tfplus.gossip.simulation.scenario import Scenario
from tfplus.gossip.simulation.setup import Crash

_NEVER = float("inf")


def faults(scenario: Scenario) -> Faults:
    """What the network does to messages."""
    rng = _chance(scenario, "partitions")
    cuts = [
        Partition(start, end, frozenset(_share(scenario, share, rng)))
        for start, end, share in scenario.partitions
    ]
    return Faults(scenario.loss, scenario.duplicate, scenario.delay_s, cuts)


def train_s(scenario: Scenario) -> dict[str, float]:
    """Node → how long it trains."""
    slow = set(_share(scenario, scenario.stragglers, _chance(scenario, "stragglers")))
    return {n: scenario.train_s * (scenario.slowdown if n in slow else 1) for n in scenario.names}


def crashes(scenario: Scenario) -> list[Crash]:
    """Who is away when: of churn, in the time that the rounds would take without a fault."""
    rng = _chance(scenario, "churn")
    span_s = scenario.rounds * scenario.train_s
    found = [
        Crash(name, at := rng.uniform(0, span_s), at + scenario.away_s)
        for name in _share(scenario, scenario.churn, rng)
    ]
    for name, spans in _spans(scenario).items():
        ends = [*spans[1:], (_NEVER, _NEVER)]
        found += [
            Crash(name, down, up)
            for (_, down), (up, _) in zip(spans, ends, strict=True)
            if down < _NEVER
        ]
    return sorted(found, key=lambda crash: crash.at_s)


def start_s(scenario: Scenario) -> dict[str, float]:
    """Node → when it is first there."""
    first = {name: spans[0][0] for name, spans in _spans(scenario).items()}
    return {name: first.get(name, 0.0) for name in scenario.names}


def _spans(scenario: Scenario) -> dict[str, list[tuple[float, float]]]:
    known = set(scenario.names)
    spans: dict[str, list[tuple[float, float]]] = defaultdict(list)
    for name, up, down in sorted(scenario.availability):
        if name not in known:
            raise UsageError(
                f"availability: expected nodes from {scenario.names[0]} to {scenario.names[-1]}, "
                f"got '{name}'"
            )
        if spans[name] and up <= spans[name][-1][1]:
            raise UsageError(
                f"availability: '{name}' is up at {up:g} s and not yet down: expected spans that "
                "do not overlap"
            )
        spans[name].append((up, down))
    return spans


def _share(scenario: Scenario, share: float, rng: random.Random) -> list[str]:
    return rng.sample(scenario.names, round(share * scenario.nodes))


def _chance(scenario: Scenario, what: str) -> random.Random:
    # Each has chance of its own: to change one leaves the others as they are.
    return random.Random(f"{what} {scenario.seed}")  # noqa: S311
