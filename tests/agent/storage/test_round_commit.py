"""The commit of a gossip round, killed before every single operation on the disk."""

from __future__ import annotations

import os
import sys
import warnings
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from tfplus.errors import DataError
from tfplus.model_file.artifact import Artifact
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slice_set import SliceSet
from tfplus_agent.storage.checkpoints import Checkpoint, CheckpointStore
from tfplus_agent.storage.directory import StateDirectory
from tfplus_agent.storage.gossip_journal import RunJournal

PLAN = pb.GossipPlan(run_id="run", rounds=9, epochs_per_round=1, round_timeout_s=1)
KILLED = 9
OPERATIONS = ("open", "os.rename", "os.link", "os.remove", "os.mkdir")


class Agent:
    """The disk of an agent in a run; round n leaves every value at n, at step 10 n."""

    def __init__(self, path: Path, toy: Artifact) -> None:
        self.path = path
        self.toy = toy
        # As an agent that starts anew: what was left half written goes.
        StateDirectory(path).release()
        self.store = CheckpointStore(path / "checkpoints" / "x", "x", toy.manifest.expected())
        self.checkpoint = self.store.load()
        found = RunJournal.read(path / "gossip", "run")
        self.journal = found or RunJournal.create(
            path / "gossip", PLAN, toy.manifest, lambda keep: keep(self.save(0)), "x"
        )

    def state(self, round: int) -> SliceSet:
        expected = self.toy.manifest.expected().items()
        return SliceSet({name: np.full(shape, round, dtype) for name, (shape, dtype) in expected})

    def save(self, round: int) -> Path:
        return self.store.save(Checkpoint(10 * round, self.state(round)))

    def commit(self, round: int) -> None:
        """What `GossipRun` does with the average of a round."""
        self.journal.keeper(round)(self.save(round))
        self.journal.append(pb.GossipEvent(state=pb.GossipEvent.ROUND_DONE, round=round))
        self.journal.drop_snapshots_before(round)

    def files(self) -> list[str]:
        return sorted(str(f.relative_to(self.path)) for f in self.path.rglob("*") if f.is_file())


def dies_before(operation: int, work: Callable[[], None], acknowledge: int) -> bool:
    """Does `work` in a process that is killed before an operation; whether it came that far."""

    def count() -> None:
        nonlocal left
        left -= 1
        if left < 0:
            os._exit(KILLED)

    left = operation
    with warnings.catch_warnings():
        # The child does nothing but to write files.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child:
        _, status = os.waitpid(child, 0)
        return os.waitstatus_to_exitcode(status) == KILLED
    try:
        sync = os.fsync
        os.fsync = lambda handle: (count(), sync(handle))[1]
        sys.addaudithook(lambda event, _: count() if event in OPERATIONS else None)
        work()
        os.write(acknowledge, b"done")
    finally:
        os._exit(0)


@pytest.mark.parametrize("links", [True, False], ids=["links", "copies"])
def test_a_commit_that_is_killed_anywhere_is_whole_or_has_not_begun(
    tmp_path: Path, toy: Artifact, monkeypatch: pytest.MonkeyPatch, links: bool
) -> None:
    def no_links(*_: Any) -> None:
        raise PermissionError

    if not links:
        monkeypatch.setattr(os, "link", no_links)
    agent = Agent(tmp_path / "state", toy)
    agent.commit(1)
    operation = rounds = redone = 0
    said, acknowledge = os.pipe()
    killed = True
    while killed:
        last = agent.journal.last_done
        killed = dies_before(operation, partial(agent.commit, last + 1), acknowledge)
        agent = Agent(tmp_path / "state", toy)
        now = agent.journal.last_done
        assert now in (last, last + 1)
        assert [e.round for e in agent.journal.events if not e.error] == list(range(1, now + 1))
        # What the run goes on from is one whole state, and so is what the model goes on from.
        state, step = agent.journal.resume_state(toy.manifest, "x")
        assert step == 10 * now
        assert all((state[name] == now).all() for name in toy.manifest.expected())
        assert agent.checkpoint is not None
        assert agent.checkpoint.step in (10 * last, 10 * (last + 1))
        assert not [f for f in agent.files() if f.endswith((".part", ".damaged"))]
        rounds += now > last
        redone += now == last
        operation += 1
    os.close(acknowledge)
    assert os.read(said, 9) == b"done"
    assert agent.journal.last_done == last + 1
    os.close(said)
    # Before each operation there is a place to die; the line is the one that decides.
    assert redone > 8
    assert rounds > 3
    # Nothing of the rounds that were cut off is left.
    assert len([f for f in agent.files() if f.startswith("checkpoints/")]) == 2
    assert agent.journal.kept_rounds()[-1:] == [agent.journal.last_done]


def test_a_round_is_written_once(tmp_path: Path, toy: Artifact) -> None:
    agent = Agent(tmp_path / "state", toy)
    for round in (1, 2):
        agent.commit(round)
        newest = agent.store.newest()
        assert newest is not None
        assert newest.samefile(agent.path / "gossip" / "run" / f"round-000{round}.safetensors")
    # The snapshot outlives the checkpoint that it was linked to.
    for step in (7, 8):
        agent.store.save(Checkpoint(step, agent.state(9)))
    weights = agent.journal.snapshot(2)
    assert set(weights) == set(toy.manifest.expected(weights_only=True))
    assert all((value == 2).all() for value in weights.values())


def test_of_another_file_or_an_earlier_version_the_weights_are_taken(
    tmp_path: Path, toy: Artifact
) -> None:
    agent = Agent(tmp_path / "state", toy)
    agent.commit(1)
    weights = set(toy.manifest.expected(weights_only=True))
    state, step = agent.journal.resume_state(toy.manifest, "another")
    assert (set(state), step) == (weights, None)
    from safetensors.numpy import save_file

    earlier = {name: np.array(value) for name, value in agent.state(1).items() if name in weights}
    save_file(earlier, tmp_path / "state" / "gossip" / "run" / "round-0001.safetensors")
    state, step = agent.journal.resume_state(toy.manifest, "x")
    assert (set(state), step) == (weights, None)


def test_one_damaged_bit_is_in_both_names_and_is_seen_under_both(
    tmp_path: Path, toy: Artifact
) -> None:
    agent = Agent(tmp_path / "state", toy)
    for round in (1, 2):
        agent.commit(round)
    newest = agent.store.newest()
    assert newest is not None
    with newest.open("r+b") as file:
        file.seek(-3, os.SEEK_END)
        file.write(b"\1")
    agent = Agent(tmp_path / "state", toy)
    assert agent.checkpoint is not None
    assert agent.checkpoint.step == 10
    assert agent.journal.last_done == 2
    with pytest.raises(DataError, match="does not match its SHA-256"):
        agent.journal.resume_state(toy.manifest, "x")
