"""The learning rate of each system, chosen on a seed that is not reported."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import asdict

from papers.experiments import EXPERIMENTS
from papers.systems import Systems
from papers.verdicts import reached, rounds_of


def tuned(
    systems_at: Callable[[float], Systems], experiments: Iterable[str], rates: Iterable[float]
) -> Mapping[str, float]:
    """The rate with which each system came furthest at its end; of equals the first.

    Args:
      systems_at: (rate) → the systems of the tuning seed, all with that rate.
      experiments: whose systems are tuned.
      rates: that are tried.
    """
    best: dict[str, tuple[float, float]] = {}
    for rate in rates:
        systems = systems_at(rate)
        for key in experiments:
            EXPERIMENTS[key].curves(systems)
        for name, curve in systems.learned.items():
            told = asdict(curve)
            end = reached(told, rounds_of(told))
            if name not in best or end > best[name][0]:
                best[name] = (end, rate)
    return {name: rate for name, (_, rate) in best.items()}
