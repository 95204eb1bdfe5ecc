"""Real agents in processes of their own, whose members come and go: signals, and `tfplus join`."""

from __future__ import annotations

import contextlib
import dataclasses
import datetime
import json
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

import pytest
from gossip_members import State, until
from gossip_processes import NAMES, addresses

from tfplus.fleet.clients.client import AgentClient
from tfplus.fleet.gossip_run import GossipSession
from tfplus.fleet.run_options import RunOptions
from tfplus.model_file.artifact import Artifact
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.wire.certs import create_ca, issue
from tfplus.wire.tls import TlsFiles

# Real processes and whole exports: minutes of them in all.
pytestmark = pytest.mark.slow

# Longer than anything here: what is left of it is cancelled.
OPTIONS = RunOptions(
    run_id="run",
    rounds=100_000,
    seed=4,
    round_timeout_s=5.0,
    membership="swim",
    probe_period_s=0.5,
)
# Below are the refutations of one life, above how often the agent has started.
LIFE = 1 << 16


def member(client: AgentClient, name: str) -> pb.GossipMember:
    found = {m.name: m for m in client.status().gossip_members}
    return found.get(name, pb.GossipMember())


def until_all(clients: Iterable[AgentClient], name: str, what: str, *states: int) -> None:
    clients = list(clients)
    until(lambda: all(member(c, name).state in states for c in clients), f"'{name}' is {what}")


def round_of(client: AgentClient) -> int:
    return client.status().gossip_round


@pytest.fixture
def run(ring_of_agents: dict[str, Any], model: Artifact) -> dict[str, Any]:
    """Four agents in the middle of a run."""
    with GossipSession(addresses(ring_of_agents), OPTIONS) as session:
        session.connect()
        session.load(dict.fromkeys(NAMES, model.path))
        session.start()
    for agent in ring_of_agents.values():
        until(lambda agent=agent: round_of(agent.client) >= 2, "the second round")
    return ring_of_agents


def others(run: dict[str, Any], name: str) -> list[AgentClient]:
    return [agent.client for n, agent in run.items() if n != name]


def test_one_that_is_held_up_is_suspected_and_refutes(run: dict[str, Any]) -> None:
    process = run["c"].process
    left = others(run, "c")
    before = max(member(client, "c").incarnation for client in left)
    assert before // LIFE == 1
    process.send_signal(signal.SIGSTOP)
    try:
        until(
            lambda: any(member(c, "c").state in (State.SUSPECT, State.DEAD) for c in left),
            "it is suspected",
        )
    finally:
        process.send_signal(signal.SIGCONT)
    # What it says of itself comes round; for who has not heard of the suspicion it is alive before.
    until(
        lambda: all(member(client, "c").incarnation > before for client in left), "it has refuted"
    )
    until_all(left, "c", "there again", State.ALIVE)
    # It is the same life.
    assert {member(client, "c").incarnation // LIFE for client in left} == {1}
    at = round_of(run["c"].client)
    until(lambda: round_of(run["c"].client) > at, "it goes on")


def test_one_is_killed_and_comes_back_and_another_leaves(
    run: dict[str, Any], start_agent: Callable[..., Any], data: dict[str, Path], tmp_path: Path
) -> None:
    left = others(run, "c")
    assert run["c"].end(signal.SIGKILL) == -signal.SIGKILL
    until_all(left, "c", "dead", State.DEAD)
    # Who links anew first waits for the other in vain for a round or so.
    until(lambda: list(newest_round(run["b"].client).responders) == ["a", "d"], "linked anew")
    at = round_of(run["b"].client)
    until(lambda: round_of(run["b"].client) > at + 2, "the others go on")
    run["c"] = start_agent(
        **{
            "name": "c",
            "state-dir": str(tmp_path / "c"),
            "data": str(data["c"]),
            "listen": run["c"].ready["address"],
        }
    )
    until_all(left, "c", "there again", State.ALIVE)
    assert {member(client, "c").incarnation // LIFE for client in left} == {2}
    # A neighbour is its neighbour again.
    until(lambda: "c" in newest_round(run["b"].client).responders, "'b' averages with 'c'")
    # One says goodbye: by command, and another by the signal that ends its agent.
    assert run["d"].client.cancel_job("run")
    until_all(others(run, "d")[:1], "d", "gone", State.LEFT)
    assert run["c"].end(signal.SIGTERM) == 0
    until_all([run["a"].client], "c", "gone", State.LEFT)


def test_another_joins_by_command(
    run: dict[str, Any],
    start_agent: Callable[..., Any],
    data: dict[str, Path],
    tmp_path: Path,
    model: Artifact,
) -> None:
    late = start_agent(**{"name": "e", "state-dir": str(tmp_path / "e"), "data": str(data["a"])})
    stranger = joined(late, run["b"], model.path, run_id="other")
    assert stranger.returncode == 5
    assert "'other' is not under way on this agent" in stranger.stderr
    assert not late.client.status().model_sha256
    end = joined(late, run["b"], model.path)
    assert end.returncode == 0, end.stderr
    said = json.loads(end.stdout)
    assert (said["run_id"], said["agent"]) == ("run", "e")
    assert said["round"] >= 2
    assert "'e' has joined run run" in end.stderr
    until_all((a.client for a in run.values()), "e", "there", State.ALIVE)
    until(lambda: newest_round(late.client).round > said["round"], "its rounds go on")
    # Between the last and the first of the ring.
    until(lambda: list(newest_round(late.client).responders) == ["a", "d"], "both answer it")
    again = joined(late, run["b"], model.path)
    assert again.returncode == 5
    assert "is under way" in again.stderr
    assert "Traceback" not in again.stderr + stranger.stderr


def test_members_with_certificates(
    start_agent: Callable[..., Any], data: dict[str, Path], model: Artifact, tmp_path: Path
) -> None:
    now = datetime.datetime.now(datetime.timezone.utc)
    create_ca(tmp_path / "ca", now)
    issue("desk", ["127.0.0.1"], tmp_path / "ca", tmp_path / "certs-desk", now)
    agents: dict[str, Any] = {}
    for name in ("a", "b", "c"):
        certs = tmp_path / f"certs-{name}"
        issue(name, ["127.0.0.1"], tmp_path / "ca", certs, now, role="peer")
        options = {"state-dir": str(tmp_path / name), "data": str(data[name])}
        agents[name] = start_agent(**{"name": None, "tls-dir": str(certs), **options})
    tls = TlsFiles.load(tmp_path / "certs-desk")
    where = {name: agent.ready["address"] for name, agent in agents.items()}
    with contextlib.ExitStack() as stack:
        clients = {n: stack.enter_context(AgentClient(w, tls)) for n, w in where.items()}
        options = dataclasses.replace(OPTIONS, tls=tls)
        session = stack.enter_context(GossipSession([where["a"], where["b"]], options))
        session.connect()
        session.load({"a": model.path, "b": model.path})
        session.start()
        # Of both something was heard: their messages are those of their certificates.
        for name, other in (("a", "b"), ("b", "a")):
            until(lambda n=name, o=other: member(clients[n], o).incarnation >= LIFE, "it is heard")
        end = joined(agents["c"], agents["a"], model.path, tls_dir=tmp_path / "certs-desk")
        assert end.returncode == 0, end.stderr
        until_all([clients["a"], clients["b"]], "c", "there", State.ALIVE)
        # A peer's certificate is no owner's: it can be a member, and lets nobody in.
        end = joined(agents["c"], agents["a"], model.path, tls_dir=tmp_path / "certs-b")
        assert end.returncode == 5
        assert "may not call AdmitToGossip" in end.stderr


def test_the_command_knows_members(
    run_command_on: list[str], model: Artifact, tmp_path: Path
) -> None:
    out = tmp_path / "out"
    arguments = ["--model", str(model.path), "--rounds", "3", "-o", str(out), "--json"]
    end = command("gossip", *run_command_on, *arguments, "--membership", "swim")
    assert end.returncode == 0, end.stderr
    assert "round 3/3" in end.stderr
    agents = json.loads(end.stdout)["agents"]
    assert [one["state"] for one in agents.values()] == ["finished"] * 4
    end = command("gossip", *run_command_on, *arguments, "--membership", "raft")
    assert end.returncode == 2
    assert "--membership raft: expected one of none, swim" in end.stderr


@pytest.fixture
def run_command_on(ring_of_agents: dict[str, Any]) -> list[str]:
    """Four agents that are not in a run."""
    return [text for address in addresses(ring_of_agents) for text in ("--agent", address)]


def command(*arguments: str) -> subprocess.CompletedProcess[str]:
    program = "from tfplus.cli.main import main; main()"
    return subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, timeout=120
    )


def joined(
    agent: Any, through: Any, model: Path, run_id: str = "run", tls_dir: Path | None = None
) -> subprocess.CompletedProcess[str]:
    return command(
        *("join", run_id, "--agent", agent.ready["address"]),
        *("--member", through.ready["address"], "--model", str(model), "--json"),
        *(("--tls-dir", str(tls_dir)) if tls_dir else ()),
    )


def newest_round(client: AgentClient) -> pb.GossipEvent:
    """The event of the last round that is done, so far."""
    found = pb.GossipEvent()
    done = next((j.rounds_done for j in client.jobs() if j.spec.HasField("gossip")), 0)
    for event in client.watch_gossip("run", max(1, done - 1)):
        found = event
        if event.round >= done:
            break
    return found
