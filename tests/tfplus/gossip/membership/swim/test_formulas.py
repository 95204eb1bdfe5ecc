"""SWIM's paper against a run of the protocol: detection, false suspicions, spreading, load."""

from __future__ import annotations

import math
import random
from collections import defaultdict

import pytest

from tfplus.gossip.membership.swim import formulas
from tfplus.gossip.membership.swim.messages import Changed, Status
from tfplus.gossip.membership.swim.options import SwimOptions, plain
from tfplus.gossip.simulation.clock import VirtualClock
from tfplus.gossip.simulation.members import VirtualMembers
from tfplus.gossip.simulation.network import Faults
from tfplus.gossip.simulation.virtual_transport import VirtualNetwork

FAST = (0.001, 0.001)


class Group:
    """Members that are all up and probe in step, and when each is first suspected and dead."""

    def __init__(self, count: int, options: SwimOptions, faults: Faults, seed: int = 0) -> None:
        self.clock = VirtualClock()
        rng = random.Random(seed)  # noqa: S311
        self.names = [f"n{i}" for i in range(count)]
        network = VirtualNetwork(self.clock, faults, rng)
        self.suspected: dict[str, list[float]] = defaultdict(list)
        self.dead: dict[str, dict[str, float]] = defaultdict(dict)
        self.members = VirtualMembers(network, self.names, options, rng, self._changed)
        for name in self.names:
            self.members.join(name)

    def _changed(self, observer: str, change: Changed) -> None:
        if change.status is Status.SUSPECT:
            self.suspected[change.member].append(self.clock.now)
        if change.status is Status.DEAD:
            self.dead[change.member].setdefault(observer, self.clock.now)

    def crash(self, count: int, at_s: float) -> list[str]:
        self.clock.run(at_s)
        for name in self.names[:count]:
            self.members.crash(name)
        return self.names[:count]


@pytest.mark.parametrize(
    ("count", "crashes", "groups"),
    [(10, 1, 40), (100, 8, 6), pytest.param(1000, 60, 1, marks=pytest.mark.slow)],
)
def test_first_detection_takes_as_many_periods_as_the_paper_expects(
    count: int, crashes: int, groups: int
) -> None:
    waits: list[float] = []
    for seed in range(groups):
        group = Group(count, plain(), Faults(delay_s=FAST), seed)
        for name in group.crash(crashes, 5.5):
            group.clock.run(14.5)
            # Whoever probes it first, in period k, suspects it when that period ends.
            waits.append(round(group.suspected[name][0] - 6.0))
    expected = formulas.periods_to_detection(count)
    assert expected == pytest.approx(math.e / (math.e - 1), rel=0.05)
    # The first probe is geometric: standard deviation √(1 − p) / p, p = 1 / expected.
    error = math.sqrt(1 - 1 / expected) * expected / math.sqrt(len(waits))
    assert abs(sum(waits) / len(waits) - expected) < 3 * error


@pytest.mark.parametrize("count", [10, 60])
@pytest.mark.parametrize(("loss", "proxies"), [(0.3, 0), (0.3, 1), (0.2, 3)])
def test_false_suspicions_are_as_frequent_as_the_paper_says(
    count: int, loss: float, proxies: int
) -> None:
    # Nobody dies of a suspicion here, and each probe is looked at by itself.
    options = SwimOptions(proxies=proxies, suspicion=1e9, health_most=0, reconnect_periods=0)
    group = Group(count, options, Faults(drop=loss, delay_s=FAST), seed=3)
    failed = probes = 0
    for period in range(1, 1 + 3000 // count):
        group.clock.run(period - 0.01)
        for name in group.names:
            probe = group.members.node(name)._probe
            assert probe is not None
            probes += 1
            failed += not probe.answered
    expected = formulas.false_suspicion(loss, proxies)
    error = math.sqrt(expected * (1 - expected) / probes)
    assert abs(failed / probes - expected) < 4 * error + 1e-9


@pytest.mark.parametrize("count", [10, 40])
def test_every_member_is_probed_by_everyone_within_two_rounds(count: int) -> None:
    """Section 4.3: "the time until … detection … is bounded": 2n − 1 periods."""
    group = Group(count, plain(), Faults(delay_s=FAST), seed=1)
    node = group.members.node("n0")
    last = dict.fromkeys(group.names[1:], 0)
    for period in range(1, 5 * count):
        group.clock.run(period - 0.5)
        assert node._probe is not None
        assert period - last[node._probe.target] <= 2 * count - 1
        last[node._probe.target] = period
    assert min(last.values()) > 2 * count


@pytest.mark.parametrize("count", [32, 128])
def test_a_death_spreads_in_logarithmic_time(count: int) -> None:
    group = Group(count, plain(), Faults(delay_s=FAST), seed=2)
    (name,) = group.crash(1, 5.5)
    group.clock.run(60.0)
    told = group.dead[name]
    assert set(told) == set(group.names) - {name}
    spread_s = max(told.values()) - min(told.values())
    assert spread_s <= formulas.periods_to_spread(count, 4.0)


def test_load_of_a_member_does_not_grow_with_the_group() -> None:
    """Section 3: "the message load per member is constant": ping and ack, sent and answered."""
    per_period = {}
    for count in (10, 100):
        group = Group(count, plain(), Faults(delay_s=FAST))
        group.clock.run(3.5)
        before = [group.members.sent(n) for n in group.names]
        group.clock.run(23.5)
        after = [group.members.sent(n) for n in group.names]
        messages = sum(b[0] - a[0] for a, b in zip(before, after, strict=True)) / count / 20
        per_period[count] = messages
    assert per_period == pytest.approx(dict.fromkeys(per_period, 2.0), rel=0.01)


def test_lifeguards_time_to_refute_falls_with_independent_suspicions() -> None:
    options = SwimOptions(suspicion=5, suspicion_most=6, confirmations=3)
    waits = [options.suspicion_s(100, c) for c in range(5)]
    # Min = 5 · log10(100) · 1 s, Max = 6 · Min, and log(C+1)/log(4) of the way with C of 3.
    assert waits[0] == pytest.approx(60.0)
    assert waits[1] == pytest.approx(60 - 50 * math.log(2) / math.log(4))
    assert waits[3] == waits[4] == pytest.approx(10.0)
    assert waits == sorted(waits, reverse=True)
