"""What each agent of a gossip run is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

from tfplus.fleet.run_options import NO_MEMBERSHIP, RunOptions
from tfplus.gossip.compression.registry import FLOAT32
from tfplus.gossip.membership import registry
from tfplus.gossip.membership.static import static_network
from tfplus.gossip.membership.topology import Graph
from tfplus.gossip.mixing.registry import METROPOLIS
from tfplus.proto.v1 import agent_pb2 as pb


def plan_of(
    name: str,
    addresses: Mapping[str, str],
    options: RunOptions,
    slices: Callable[[str, str], Sequence[str]],
) -> pb.GossipPlan:
    """The plan of one agent.

    Args:
      name: of the agent.
      addresses: all agents, in the order of the topology, and where they reach each other.
      options: of the run.
      slices: (agent, other) → slices of the agent that the other holds, too; empty for all.

    Raises:
      UsageError: the topology cannot be made of so many agents.
    """
    plan = pb.GossipPlan(
        run_id=options.run_id,
        rounds=options.rounds,
        epochs_per_round=options.epochs,
        seed=options.seed,
        round_timeout_s=options.round_timeout_s,
        keep_snapshots=options.keep_snapshots,
        # Left out where it is the rule of agents that know of no other.
        mixing="" if options.mixing == METROPOLIS.name else options.mixing,
        # Likewise.
        codec="" if options.codec == FLOAT32 else options.codec,
    )
    if options.membership == NO_MEMBERSHIP:

        def graph(names: Sequence[str]) -> Graph:
            return registry.graph(options.topology, names, degree=options.degree, seed=options.seed)

        for near in static_network(addresses, graph)[name].neighbours(0.0):
            told = slices(name, near.name)
            plan.neighbours.add(name=near.name, address=near.address, slices=told)
        return plan
    for other, address in addresses.items():
        told = slices(name, other) if other != name else ()
        plan.membership.members.add(name=other, address=address, slices=told)
    plan.membership.topology = options.topology
    plan.membership.degree = options.degree
    plan.membership.period_s = options.probe_period_s
    return plan
