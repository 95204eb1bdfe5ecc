"""Agents that are killed in mid-run, in processes of their own: what they come to is recomputed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gossip_processes import NAMES, addresses

from tfplus.fleet.clients.client import AgentClient
from tfplus.fleet.gossip_run import GossipSession
from tfplus.fleet.run_options import RunOptions
from tfplus.fleet.updates import Ended, Rejoined, Round
from tfplus.gossip.membership.topology import ring
from tfplus.model_file.artifact import Artifact
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slices import Tensors
from tfplus_agent.device.device import Device
from tfplus_agent.gossip.rounds import round_seed

# Real processes and whole exports: minutes of them in all.
pytestmark = pytest.mark.slow

OPTIONS = RunOptions(
    run_id="run", rounds=150, epochs=3, seed=4, round_timeout_s=3.0, keep_snapshots=True
)


class Told:
    """What the agents told of their rounds, and the weights that they kept of each."""

    def __init__(self, session: GossipSession) -> None:
        self.rounds: dict[str, dict[int, pb.GossipEvent]] = {}
        self.jobs: dict[str, list[pb.JobEvent]] = {}
        self._session = session
        self._kept: dict[tuple[str, int], Tensors] = {}
        for name, address in session.addresses.items():
            with AgentClient(address) as client:
                self.jobs[name] = list(client.watch_job("run"))
            events = [e.gossip for e in self.jobs[name] if e.kind == pb.JobEvent.ROUND]
            self.rounds[name] = {event.round: event for event in events}
            assert len(self.rounds[name]) == len(events)

    def after(self, name: str, round: int) -> Tensors:
        """The weights of an agent after a round, 0 for those that it began with."""
        if (name, round) not in self._kept:
            self._kept[name, round] = self._session.weights(name, round)
        return self._kept[name, round]

    def before(self, name: str, round: int) -> Tensors:
        """The weights of an agent before a round: rounds that it was away for are left out."""
        return self.after(name, max((r for r in self.rounds[name] if r < round), default=0))

    def changes(self, name: str) -> Iterator[int]:
        """Rounds of an agent in which others than in the round before answered, and their next."""
        before: list[str] | None = None
        for round, event in sorted(self.rounds[name].items()):
            if list(event.responders) != before:
                yield from (r for r in (round, round + 1) if r in self.rounds[name])
            before = list(event.responders)


def trained(device: Device, weights: Tensors, round: int) -> Tensors:
    device.set_weights(weights)
    device.train(OPTIONS.epochs, round_seed(OPTIONS.seed, round))
    return dict(device.weights())


def expected_average(told: Told, twins: Mapping[str, Device], name: str, round: int) -> Tensors:
    """The average of a round as the protocol defines it, from the weights before it alone.

    On a ring of four everybody has two neighbours: each of those who answered weighs a third, the
    agent itself what is left, and all of that times their samples.
    """
    own = trained(twins[name], told.before(name, round), round)
    counted = [(one.peer, one.round) for one in told.rounds[name][round].counted]
    parts = [(1 - len(counted) / 3, twins[name].train_samples, own)]
    for peer, of_round in counted:
        theirs = trained(twins[peer], told.before(peer, of_round), of_round)
        parts.append((1 / 3, twins[peer].train_samples, theirs))
    total = sum(share * samples for share, samples, _ in parts)
    return {
        n: sum(share * samples / total * t[n].astype(np.float64) for share, samples, t in parts)
        for n in own
    }


def test_a_killed_agent_goes_on_by_itself_and_every_contribution_counts_once(
    ring_of_agents: dict[str, Any],
    devices: dict[str, Device],
    start_agent: Callable[..., Any],
    data: dict[str, Path],
    model: Artifact,
    tmp_path: Path,
) -> None:
    seen: list[Any] = []
    with GossipSession(addresses(ring_of_agents), OPTIONS) as session:
        session.connect()
        session.load(dict.fromkeys(NAMES, model.path))
        session.start()
        victim = ring_of_agents["c"]
        restarted = threading.Thread(target=lambda: None)

        def restart() -> None:
            start_agent(
                **{
                    "name": "c",
                    "state-dir": str(tmp_path / "c"),
                    "data": str(data["c"]),
                    "listen": victim.ready["address"],
                }
            )

        for update in session.updates():
            seen.append(update)
            if isinstance(update, Round) and update.agent == "c" and update.round == 2:
                assert victim.end(signal.SIGKILL) == -signal.SIGKILL
            missed = isinstance(update, Round) and update.missing == ("c",)
            if missed and not restarted.ident:
                restarted = threading.Thread(target=restart)
                restarted.start()
        assert restarted.ident, f"nobody missed it: {session.ends}"
        restarted.join()
        told = Told(session)
        checked = {name: sorted(set(told.changes(name))) for name in ("b", "c")}
        for name, rounds in checked.items():
            for round in rounds:
                expected = expected_average(told, devices, name, round)
                for slice_name, tensor in told.after(name, round).items():
                    np.testing.assert_allclose(
                        tensor,
                        expected[slice_name],
                        rtol=1e-5,
                        atol=1e-6,
                        err_msg=f"{name} {round}",
                    )
    lost = next(u for u in seen if isinstance(u, Ended) and u.state == "lost")
    back = next(u for u in seen if isinstance(u, Rejoined))
    assert (lost.agent, back.agent) == ("c", "c")
    assert back.round > lost.round >= 2
    assert {n: e.state for n, e in session.ends.items()} == dict.fromkeys(NAMES, "finished")
    of_b = told.rounds["b"]
    assert sorted(of_b) == list(range(1, OPTIONS.rounds + 1))
    first_missed = next(r for r, e in sorted(of_b.items()) if "c" in e.missing)
    assert any("c" in e.responders for r, e in of_b.items() if r > first_missed)
    assert len(checked["b"]) >= 4
    for name in NAMES:
        counted = [(o.peer, o.round) for e in told.rounds[name].values() for o in e.counted]
        assert len(set(counted)) == len(counted), name
    # It took its job up by itself: one job, that says why it goes on.
    resumed = [e.reason for e in told.jobs["c"] if e.kind == pb.JobEvent.RESUMED]
    assert ["was ended, or killed" in reason for reason in resumed] == [True]
    assert ring(NAMES)["c"] == ("b", "d")
