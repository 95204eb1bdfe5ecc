"""Whatever has become of a file of its state, an agent starts, and loses nothing besides."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from gossip_ring import Gossip
from hypothesis import given
from hypothesis import strategies as st

from tfplus.errors import DataError
from tfplus.model_file import artifact
from tfplus.model_file.artifact import Artifact
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus.tensors.slice_set import SliceSet
from tfplus_agent.device import retention
from tfplus_agent.device.config import DeviceConfig
from tfplus_agent.device.device import Device
from tfplus_agent.storage.checkpoints import Checkpoint, CheckpointStore
from tfplus_agent.storage.directory import LoadedModel, StateDirectory
from tfplus_agent.storage.gossip_journal import Keep, RunJournal
from tfplus_agent.storage.gossip_runs import set_last

PLAN = pb.GossipPlan(run_id="run", rounds=5, epochs_per_round=1, round_timeout_s=1)
PLAN.neighbours.add(name="b", address="127.0.0.1:1")
JUNK = [None, True, -1, 0, 7, 1e999, 10**30, "", "\ud800", [], {}, [[]], "a" * 300, "FINISHED"]
KINDS = (
    *("incarnation", "loaded", "model", "older checkpoint", "checkpoint"),
    *("last", "plan", "events", "weights"),
)
ACTIVE = lambda: True  # noqa: E731


class State:
    """The state of an agent: a model at step 20, and a run that has done 3 of 5 rounds."""

    def __init__(self, path: Path, toy: Artifact) -> None:
        self.path = path
        state = StateDirectory(path)
        state.next_incarnation()
        state.set_loaded(LoadedModel(toy.sha256, 1, False))
        state.release()
        model = path / "models" / f"{toy.sha256}.tflite"
        model.parent.mkdir()
        shutil.copy(toy.path, model)
        values = artifact.initial_values(toy)
        checkpoints = retention.checkpoints_of(path, toy.sha256)
        for step in (10, 20):
            store = CheckpointStore(checkpoints, toy.sha256, toy.manifest.expected())
            file = store.save(Checkpoint(step, SliceSet(values)))
        old, new = sorted(checkpoints.iterdir())

        def settle(keep: Keep) -> None:
            keep(file)

        journal = RunJournal.create(path / "gossip", PLAN, toy.manifest, settle, toy.sha256)
        for number in (1, 2, 3):
            journal.keeper(number)(file)
            done = pb.GossipEvent.ROUND_DONE
            journal.append(pb.GossipEvent(state=done, round=number, train_loss=0.5))
            journal.drop_snapshots_before(number)
        set_last(path / "gossip", "run")
        run = path / "gossip" / "run"
        places = {
            "incarnation": path / "incarnation",
            "loaded": path / "loaded.json",
            "model": model,
            "older checkpoint": old,
            "checkpoint": new,
            "last": run.parent / "last",
            "plan": run / "plan.json",
            "events": run / "events.jsonl",
            "weights": run / "round-0003.safetensors",
        }
        self.files = {kind: place.relative_to(path) for kind, place in places.items()}


@pytest.fixture
def state(tmp_path: Path, toy: Artifact) -> State:
    return State(tmp_path / "state", toy)


class Started:
    """What the daemon makes of a state directory before it serves, and answers to GetStatus."""

    def __init__(self, path: Path, data: Path) -> None:
        device = Device(DeviceConfig("a", path, data, threads=1))
        try:
            runner = Gossip(device, start=False).runner
            self.run_id, self.round, _ = runner.progress()
            self.steps = device.trained_steps
            pb.AgentStatus(
                incarnation=device.incarnation,
                trained_steps=self.steps,
                gossip_run_id=self.run_id,
                gossip_round=self.round,
            ).SerializeToString()
            self.rounds = self._ask(
                lambda: [e.round for e in runner.watch("run", 0, ACTIVE)], "another id", "not known"
            )
            self._ask(lambda: runner.snapshot(3), "expected", "kept", "SHA-256", "no gossip run")
        finally:
            device.close()

    @staticmethod
    def _ask(ask: Any, *says: str) -> Any:
        try:
            return ask()
        except DataError as error:
            assert any(words in str(error) or "damaged" in str(error) for words in says), error
            return None


@pytest.mark.parametrize("kind", KINDS)
def test_one_damaged_file_costs_what_is_in_it(state: State, train_data: Path, kind: str) -> None:
    place = state.files[kind]

    @given(mutated((state.path / place).read_bytes()))
    def check(content: bytes) -> None:
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "state"
            shutil.copytree(state.path, path)
            (path / place).write_bytes(content)
            found = Started(path, train_data)
            if kind not in ("loaded", "model"):
                assert found.steps == 20 or (kind == "checkpoint" and found.steps == 10)
            if kind == "events" and b"FINISHED" not in content:
                assert (found.run_id, found.round) == ("run", 3)
            if kind not in ("last", "plan", "events"):
                assert (found.run_id, found.round) == ("run", 3)
                assert found.rounds == [1, 2, 3]
            for other in state.files.values():
                if other not in (place, state.files["incarnation"]):
                    assert (path / other).read_bytes() == (state.path / other).read_bytes()
            if kind not in ("incarnation", "model"):
                aside = path / place.with_name(f"{place.name}.damaged")
                left = [file.read_bytes() for file in (path / place, aside) if file.exists()]
                assert content in left

    check()


def test_any_bytes_in_any_files_keep_no_agent_from_starting(state: State, train_data: Path) -> None:
    places = st.sampled_from(list(state.files.values()))

    @given(st.lists(st.tuples(places, st.binary(max_size=64)), max_size=9))
    def check(damage: list[tuple[Path, bytes]]) -> None:
        with tempfile.TemporaryDirectory() as name:
            path = Path(name) / "state"
            shutil.copytree(state.path, path)
            for place, content in damage:
                (path / place).write_bytes(content)
            Started(path, train_data)

    check()


def mutated(content: bytes) -> st.SearchStrategy[bytes]:
    """Content cut off, overwritten, replaced, or its JSON with junk in some place."""
    places = st.integers(0, len(content) - 1)
    ways = [
        st.binary(max_size=200),
        places.map(lambda at: content[:at]),
        st.builds(
            lambda at, new: content[:at] + new + content[at + len(new) :],
            places,
            st.binary(min_size=1, max_size=4),
        ),
        st.integers(1, 100_000).map(lambda depth: b"[" * depth),
    ]
    lines = [json.loads(content)] if content[:2] == b"{\n" else []
    if content[:2] == b'{"':
        lines = [json.loads(line) for line in content.splitlines()]
    if lines:
        changed = [
            b"".join(json.dumps(line).encode() + b"\n" for line in copy)
            for junk in JUNK
            for copy in junked(lines, junk)
        ]
        ways += [st.sampled_from(changed)] * 3
    return st.one_of(ways)


def junked(value: Any, junk: Any) -> Iterator[Any]:
    """Copies of a JSON value, each with junk in the place of one part of it."""
    if isinstance(value, list):
        for i, part in enumerate(value):
            yield from ([*value[:i], p, *value[i + 1 :]] for p in [junk, *junked(part, junk)])
    if isinstance(value, dict):
        for key, part in value.items():
            yield from (value | {key: p} for p in [junk, *junked(part, junk)])
