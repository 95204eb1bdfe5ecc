"""Runs a scenario: the agents' own averaging core and SWIM on a virtual clock."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable, Mapping

import numpy as np

from tfplus.gossip.compression.registry import link_codec
from tfplus.gossip.links import Schedule, linked
from tfplus.gossip.membership import registry
from tfplus.gossip.membership.schedule import constant
from tfplus.gossip.membership.swim.messages import Changed
from tfplus.gossip.membership.swim.options import SwimOptions
from tfplus.gossip.membership.topology import of_edges
from tfplus.gossip.messages import RoundContribution, RoundDone
from tfplus.gossip.mixing.matrices import consensus_rate, metropolis_matrix, uniform_matrix
from tfplus.gossip.mixing.registry import MIXINGS
from tfplus.gossip.simulation import faults_of
from tfplus.gossip.simulation.observing import (
    SLICE,
    Agreement,
    Detections,
    Tell,
    Trace,
    measured_rate,
)
from tfplus.gossip.simulation.report import Report
from tfplus.gossip.simulation.scenario import CUSTOM, Scenario
from tfplus.gossip.simulation.setup import Node, Relink, Watch
from tfplus.gossip.simulation.simulation import simulate
from tfplus.gossip.simulation.sizes import contribution_bytes
from tfplus.tensors.slices import Tensors

# The eigenvalues of more take longer than their run.
_MOST_PREDICTED = 1500
_VIEWS_KEPT = 256
_MATRICES = {"metropolis": metropolis_matrix, "uniform": uniform_matrix}


def run(
    scenario: Scenario,
    tell: Tell | None = None,
    progress: Callable[[int], object] = lambda _: None,
) -> Report:
    """Simulates a scenario.

    Args:
      scenario: what is simulated.
      tell: gets every average and every change of a view, as a mapping.
      progress: told of the averages that are done, now and then.

    Raises:
      UsageError: the topology cannot be made of so many nodes.

    Examples:
      >>> report = run(Scenario(nodes=8, rounds=4, topology="one-peer-exponential"))
      >>> report.finished, [round(r.error, 6) for r in report.rounds]
      (8, [0.613473, 0.371036, 0.0, 0.0])
    """
    names, schedules = scenario.names, schedules_of(scenario)
    rng = np.random.default_rng(scenario.seed)
    values = rng.standard_normal((scenario.nodes, scenario.values)).astype(np.float32)
    train_s, start_s = faults_of.train_s(scenario), faults_of.start_s(scenario)
    nodes = {
        name: Node(
            linked(schedules[name]),
            {SLICE: values[i]},
            {SLICE: 1.0},
            _keep,
            train_s[name],
            start_s[name],
            schedules[name],
        )
        for i, name in enumerate(names)
    }
    crashes = faults_of.crashes(scenario)
    agreement, trace = Agreement(values.astype(np.float64)), Trace(tell)
    away = {name: [c for c in crashes if c.node == name] for name in {c.node for c in crashes}}
    now = [0.0]

    def up(name: str) -> bool:
        gone = any(c.at_s <= now[0] < c.back_s for c in away.get(name, ()))
        return not gone and now[0] >= start_s[name]

    detections = Detections(names, crashes, up)
    sent_bytes = dict.fromkeys(names, 0)
    size: dict[str, int] = {}
    done_count = [0]

    def on_round(at_s: float, name: str, done: RoundDone) -> None:
        agreement.add(at_s, done)
        trace.round(at_s, name, done)
        done_count[0] += 1
        if done_count[0] % 1000 == 0:
            progress(done_count[0])

    def on_change(at_s: float, observer: str, change: Changed) -> None:
        now[0] = at_s
        trace.change(at_s, observer, change)
        detections.change(at_s, observer, change)

    def on_send(name: str, contribution: RoundContribution, to: int) -> None:
        if name not in size:
            size[name] = contribution_bytes(contribution)
            if codec is not None:
                size[name] -= contribution.tensors.size_bytes
        sent_bytes[name] += size[name] * to

    def on_bytes(name: str, coded: int) -> None:
        sent_bytes[name] += coded

    codec = None if scenario.codec == "float32" else link_codec(scenario.codec)
    swim = None
    if scenario.membership and scenario.nodes > 1:
        period_s = scenario.period_s
        swim = SwimOptions(period_s=period_s, ack_timeout_s=period_s / 2)
    result = simulate(
        nodes,
        rounds=scenario.rounds,
        round_timeout_s=scenario.round_timeout_s,
        faults=faults_of.faults(scenario),
        crashes=crashes,
        seed=scenario.seed,
        mixing=MIXINGS[scenario.mixing],
        watch=Watch(
            swim=swim,
            relink=_relink(scenario) if scenario.reforms else None,
            on_round=on_round,
            on_change=on_change,
            on_send=on_send,
            codec=codec,
            on_bytes=on_bytes,
            keep_rounds=False,
        ),
    )
    members = result.members
    figures = agreement.figures()
    return Report(
        simulation=True,
        scenario=scenario,
        finished=len(result.finished),
        virtual_s=result.seconds,
        rounds=figures,
        rate=measured_rate(figures),
        predicted_rate=predicted_rate(scenario, schedules),
        node_bytes=sent_bytes,
        membership_bytes={n: members.sent(n)[1] if members is not None else 0 for n in names},
        detections=detections.figures() if members is not None else (),
        false_deaths=detections.false_deaths,
        trace_sha256=trace.sha256,
    )


def schedules_of(scenario: Scenario) -> Mapping[str, Schedule]:
    """Every node's links while all are there.

    Raises:
      UsageError: the topology cannot be made of so many nodes, or a link is to none of them.
    """
    if scenario.topology == CUSTOM:
        return constant(of_edges(scenario.names, scenario.links))
    return registry.schedules(
        scenario.topology, scenario.names, degree=scenario.degree, seed=scenario.seed
    )


def predicted_rate(scenario: Scenario, schedules: Mapping[str, Schedule]) -> float | None:
    """The second largest modulus of an eigenvalue of the mixing matrix; None where none tells."""
    matrix = _MATRICES.get(scenario.mixing)
    same = all(len(schedule) == 1 for schedule in schedules.values())
    if matrix is None or not same or not 1 < scenario.nodes <= _MOST_PREDICTED:
        return None
    return consensus_rate(matrix({name: links.to for name, (links,) in schedules.items()}))


def _relink(scenario: Scenario) -> Relink:
    names = scenario.names
    # Views mostly agree: what one node worked out serves the others.
    kept: OrderedDict[frozenset[str], Mapping[str, Schedule]] = OrderedDict()

    def relink(gone: frozenset[str]) -> Mapping[str, Schedule]:
        made = kept.get(gone)
        if made is None:
            there = [name for name in names if name not in gone]
            made = kept[gone] = registry.schedules(scenario.topology, there)
            if len(kept) > _VIEWS_KEPT:
                kept.popitem(last=False)
        return made

    return relink


def _keep(round: int, tensors: Tensors) -> Tensors:
    return tensors
