"""Real agents in processes of their own, on loopback."""

from __future__ import annotations

import datetime
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from gossip_processes import NAMES, addresses

from tfplus.errors import RemoteError, UsageError
from tfplus.fleet.gossip_run import GossipSession
from tfplus.fleet.run_options import RunOptions
from tfplus.fleet.updates import Ended, Round
from tfplus.gossip.membership.topology import ring
from tfplus.gossip.mixing.sample_weights import slice_weights
from tfplus.gossip.simulation import simulation
from tfplus.model_file.artifact import Artifact
from tfplus.tensors import slices
from tfplus.tensors.slices import Tensors
from tfplus.wire.certs import create_ca, issue
from tfplus.wire.tls import TlsFiles
from tfplus_agent.device.device import Device
from tfplus_agent.gossip.rounds import round_seed

# Real processes and whole exports: minutes of them in all.
pytestmark = pytest.mark.slow


StartAgents = Callable[[], dict[str, Any]]


def options(**changes: Any) -> RunOptions:
    return RunOptions(**{"run_id": "run", "rounds": 3, "seed": 4, **changes})


def worker_of(agent: Any) -> int:
    """Process id of an agent's only child; it is one of whichever thread started it."""
    tasks = Path(f"/proc/{agent.process.pid}/task").iterdir()
    (child,) = [pid for task in tasks for pid in (task / "children").read_text().split()]
    return int(child)


@pytest.mark.parametrize("killed", [(), ("a", "b", "c", "d")])
def test_ring_of_agents_equals_the_simulation(
    ring_of_agents: dict[str, Any],
    devices: dict[str, Device],
    model: Artifact,
    killed: tuple[str, ...],
) -> None:
    """Which counts every contribution once; also where workers are killed on the way."""
    with GossipSession(addresses(ring_of_agents), options(keep_snapshots=True)) as session:
        session.connect()
        assert session.names == NAMES
        session.load(dict.fromkeys(NAMES, model.path))
        assert session.start() == dict.fromkeys(NAMES, 0)
        updates: list[Any] = []
        for update in session.updates():
            updates.append(update)
            if isinstance(update, Round) and update.agent in killed and update.round == 1:
                how = signal.SIGABRT if update.agent in "ab" else signal.SIGKILL
                os.kill(worker_of(ring_of_agents[update.agent]), how)
        recomposed = session.recompose()
        kept = {n: [session.weights(n, r) for r in (1, 2, 3)] for n in NAMES}
        final = {n: session.weights(n) for n in NAMES}

    def train_with(device: Device) -> simulation.Trainer:
        def train(round: int, tensors: Tensors) -> Tensors:
            device.set_weights(tensors)
            device.train(1, round_seed(4, round))
            return device.weights()

        return train

    nodes = {
        name: simulation.Node(
            ring(NAMES)[name],
            device.weights(),
            slice_weights(device.weights(), device.train_samples),
            train_with(device),
        )
        for name, device in devices.items()
    }
    expected = simulation.simulate(nodes, rounds=3)
    for name in NAMES:
        mine = [u for u in updates if isinstance(u, Round) and u.agent == name]
        assert [u.round for u in mine] == [1, 2, 3]
        assert all(u.responders == tuple(sorted(ring(NAMES)[name])) for u in mine)
        assert all("accuracy" in u.eval_metrics and u.train_s > 0 for u in mine)
        for result, weights in zip(expected.rounds[name], kept[name], strict=True):
            for slice_name, tensor in result.tensors.items():
                np.testing.assert_allclose(weights[slice_name], tensor, rtol=1e-5, atol=1e-6)
        for slice_name, tensor in final[name].items():
            np.testing.assert_array_equal(tensor, kept[name][-1][slice_name])
    assert {n: e.state for n, e in session.ends.items()} == dict.fromkeys(NAMES, "finished")
    sent = sum(u.sent_bytes for u in updates if isinstance(u, (Round, Ended)))
    received = sum(u.received_bytes for u in updates if isinstance(u, (Round, Ended)))
    assert sent > 3 * 8 * sum(t.nbytes for t in recomposed.values())
    # What one agent sent before its neighbour was told to start, or after it had ended, is lost.
    assert 0.6 * sent < received <= sent
    weighed = [slices.Contribution(final[n], nodes[n].slice_weights) for n in NAMES]
    for slice_name, tensor in slices.average(weighed).items():
        np.testing.assert_array_equal(recomposed[slice_name], tensor)


def test_a_run_over_mutual_tls(
    start_agent: Callable[..., Any], model: Artifact, tmp_path: Path
) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    create_ca(tmp_path / "ca", now)
    for name in ("a", "b", "desk"):
        issue(name, ["127.0.0.1"], tmp_path / "ca", tmp_path / "certs" / name, now)
    started = {
        name: start_agent(
            **{
                "name": name,
                "state-dir": str(tmp_path / f"state-{name}"),
                "tls-dir": str(tmp_path / "certs" / name),
            }
        ).ready["address"]
        for name in ("a", "b")
    }
    tls = TlsFiles.load(tmp_path / "certs" / "desk")
    run = options(run_id="run", rounds=1, round_timeout_s=5.0, tls=tls)
    with GossipSession(list(started.values()), run) as session:
        session.connect()
        session.load(dict.fromkeys(started, model.path))
        session.start()
        rounds = {u.agent: u for u in session.updates() if isinstance(u, Round)}
    assert {name: r.responders for name, r in rounds.items()} == {"a": ("b",), "b": ("a",)}


def test_agents_of_one_name_are_refused(start_agent: Callable[..., Any], tmp_path: Path) -> None:
    twins = [start_agent(**{"state-dir": str(tmp_path / state)}) for state in ("one", "two")]
    session = GossipSession([t.ready["address"] for t in twins], options())
    with session, pytest.raises(UsageError, match="both called 'a'"):
        session.connect()


def test_agent_without_a_model_refuses_to_start(start_agent: Callable[..., Any]) -> None:
    agent = start_agent()
    with GossipSession([agent.ready["address"]], options()) as session:
        session.connect()
        with pytest.raises(RemoteError, match="no model is loaded"):
            session.start()
