"""Models and checkpoints that nothing needs leave the disk, those used longest ago first."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from tfplus.model_file.artifact import Artifact
from tfplus.proto.v1 import agent_pb2 as pb
from tfplus_agent.device.retention import checkpoints_of, note_measured, note_use
from tfplus_agent.storage import job_files
from tfplus_agent.storage.directory import LoadedModel
from tfplus_agent.storage.gossip_journal import Keep, RunJournal
from tfplus_agent.storage.models import ModelStore


class Disk:
    """A device's disk that models were loaded on one after the other."""

    def __init__(self, path: Path, make: Callable[..., Artifact], count: int) -> None:
        self.path = path
        self.store = ModelStore(path / "models")
        self.models = [make(f"{i}.tflite", name=f"test:{i}") for i in range(count)]
        for model in self.models:
            content = model.path.read_bytes()
            self.store.add(model.sha256, len(content), [content])
            checkpoint = checkpoints_of(path, model.sha256) / "0000000001.safetensors"
            checkpoint.parent.mkdir(parents=True)
            checkpoint.write_bytes(b"learned")

    def load(self, index: int, keep: int) -> list[int]:
        """Which models went."""
        gone = note_use(self.store, self.path, self.models[index].sha256, keep)
        numbers = {model.sha256: i for i, model in enumerate(self.models)}
        return [numbers[sha256] for sha256 in gone]

    def left(self) -> list[int]:
        """Models with their checkpoints."""
        here = [m.sha256 in self.store for m in self.models]
        assert here == [checkpoints_of(self.path, m.sha256).is_dir() for m in self.models]
        return [i for i, there in enumerate(here) if there]

    def run(self, index: int, run_id: str, model_sha256: str) -> RunJournal:
        model = self.models[index]
        plan = pb.GossipPlan(run_id=run_id, rounds=2, epochs_per_round=1, round_timeout_s=1)
        file = max(checkpoints_of(self.path, model.sha256).iterdir())
        settle: Callable[[Keep], None] = lambda keep: keep(file)  # noqa: E731
        return RunJournal.create(self.path / "gossip", plan, model.manifest, settle, model_sha256)


@pytest.fixture
def disk(tmp_path: Path, make_artifact: Callable[..., Artifact]) -> Disk:
    return Disk(tmp_path / "state", make_artifact, 5)


def test_the_last_ones_used_stay(disk: Disk, caplog: pytest.LogCaptureFixture) -> None:
    assert disk.load(0, keep=4) == []
    assert disk.load(1, keep=2) == [3, 2]
    assert disk.left() == [0, 1, 4]
    assert [disk.models[i].sha256 in caplog.text for i in range(5)] == [False] * 2 + [True] * 2 + [
        False
    ]


def test_the_order_does_not_hang_on_the_clock(disk: Disk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(time, "time_ns", lambda: 1)
    disk.load(0, keep=9)
    assert disk.load(1, keep=1) == [4, 3, 2]
    assert disk.left() == [0, 1]


def test_a_run_that_can_be_gone_on_with_keeps_its_model(disk: Disk) -> None:
    open_run = disk.run(0, "open", disk.models[0].sha256)
    finished = disk.run(1, "finished", disk.models[1].sha256)
    finished.append(pb.GossipEvent(state=pb.GossipEvent.FINISHED, round=2))
    assert disk.load(4, keep=1) == [2, 1]
    assert disk.left() == [0, 3, 4]
    open_run.append(pb.GossipEvent(state=pb.GossipEvent.FINISHED, round=2))
    assert disk.load(4, keep=1) == [0]


def test_a_job_that_has_not_ended_keeps_its_model(disk: Disk) -> None:
    root = disk.path / "jobs"
    for index, state in ((0, pb.JobStatus.QUEUED), (1, pb.JobStatus.FINISHED)):
        model = LoadedModel(disk.models[index].sha256, 1, False)
        spec = pb.JobSpec(evaluate=pb.EvaluateJob())
        job_files.write(root, job_files.JobRecord(str(index), index, spec, model, state=state))
    assert disk.load(4, keep=1) == [2, 1]
    assert disk.left() == [0, 3, 4]


def test_a_run_that_does_not_say_its_model_keeps_all(disk: Disk) -> None:
    disk.run(0, "earlier", "")
    assert disk.load(4, keep=1) == []
    (disk.path / "gossip" / "earlier" / "plan.json").write_bytes(b"{")
    # Nobody can go on with a run whose plan is lost.
    assert disk.load(4, keep=1) == [2, 1, 0]


def test_checkpoints_of_a_model_that_is_gone_go_first(disk: Disk) -> None:
    disk.store.path(disk.models[3].sha256).unlink()
    assert disk.load(0, keep=3) == [3]
    stranger = disk.path / "checkpoints" / "notes"
    stranger.mkdir()
    disk.load(0, keep=1)
    assert stranger.is_dir()


class Measured(Disk):
    """A device's disk to which a campaign sends models; the first two have learned before."""

    def __init__(self, path: Path, make: Callable[..., Artifact], count: int) -> None:
        super().__init__(path, make, count)
        for model in self.models[2:]:
            shutil.rmtree(checkpoints_of(path, model.sha256))

    def measure(self, index: int, loaded: int | None = None, **bounds: int) -> list[int]:
        """Which models went."""
        address = "" if loaded is None else self.models[loaded].sha256
        model = self.models[index].sha256
        gone = note_measured(self.store, self.path, model, address, **bounds)
        return [i for i, m in enumerate(self.models) if m.sha256 in gone]

    def here(self) -> list[int]:
        return [i for i, model in enumerate(self.models) if model.sha256 in self.store]


@pytest.fixture
def sent(tmp_path: Path, make_artifact: Callable[..., Artifact]) -> Measured:
    return Measured(tmp_path / "state", make_artifact, 6)


def test_what_is_measured_pushes_out_nothing_that_learned(sent: Measured) -> None:
    assert sent.measure(2, most=1) == [3, 4, 5]
    assert sent.here() == [0, 1, 2]
    assert note_use(sent.store, sent.path, sent.models[0].sha256, 1) == []
    assert sent.here() == [0, 1, 2]


def test_measured_models_are_bounded_by_number_and_bytes(sent: Measured) -> None:
    size = sent.store.path(sent.models[5].sha256).stat().st_size
    assert sent.measure(3, most=9) == []
    # The one used longest ago goes first.
    assert sent.measure(4, most=3) == [2]
    assert sent.measure(5, most_bytes=size + size // 2) == [3, 4]
    assert sent.measure(5, most_bytes=1) == []
    assert sent.here() == [0, 1, 5]


def test_what_is_in_use_stays_though_it_has_learned_nothing(sent: Measured) -> None:
    model = LoadedModel(sent.models[3].sha256, 1, False)
    spec = pb.JobSpec(evaluate=pb.EvaluateJob())
    job_files.write(sent.path / "jobs", job_files.JobRecord("0", 0, spec, model))
    assert sent.measure(2, loaded=4, most=1) == [5]
    assert sent.here() == [0, 1, 2, 3, 4]
