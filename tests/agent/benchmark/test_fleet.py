"""Campaigns on agents: the model is sent, repetitions run there, what is lost is gone on with."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from tfplus.benchmark import own_process
from tfplus.benchmark.repetition import Answer, Request
from tfplus.campaign import devices, journal, results, runner, summary
from tfplus.campaign.planning import plan_file, schedule
from tfplus.errors import RemoteError, UnreachableError, WorkerError
from tfplus.fleet.clients.benchmark_client import BenchmarkClient
from tfplus.model_file.artifact import Artifact
from tfplus_agent.server.agent_server import AgentServer

TEXT = """
name = "fleet"
devices = ["one={one}", "two={two}"]
repetitions = 2
iterations = 4
phases = ["train"]
[[models]]
file = "{file}"
"""


class Made:
    """Takes the place of a repetition's process; its times are those of the threads."""

    asked: list[Request]
    dies = False

    def __init__(self, request: Request, timeout_s: float) -> None:
        self.request = request

    def kill(self) -> None:
        """Does nothing."""

    def run(self, told) -> Answer:
        self.asked.append(self.request)
        if self.dies:
            raise WorkerError("the process was killed by SIGABRT")
        times = [9.0, *[4.0 / self.request.threads] * (self.request.iterations - 1)]
        told(times[:1])
        told(times[1:])
        return Answer("made 1", tuple(times), {"peak_rss_bytes": 7}, {"x": "no y"}, (), self.sha256)


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch, model: Artifact) -> type[Made]:
    kind = type("Made", (Made,), {"asked": [], "sha256": model.sha256})
    monkeypatch.setattr("tfplus.benchmark.own_process.OwnProcess", kind)
    return kind


def planned(model: Artifact, one: str, two: str = "127.0.0.1:1"):
    return plan_file.parse(TEXT.format(one=one, two=two, file=model.path))


def done(folder: Path) -> Counter[str]:
    return Counter(e["key"] for e in journal.read(folder) if e["event"] == "done")


def test_a_lost_device_is_gone_on_with_and_every_cell_runs_once(
    serve: Callable[[str], AgentServer], made, model: Artifact, tmp_path: Path, monkeypatch
) -> None:
    monkeypatch.setattr(devices.Agent, "is_back", lambda self, timeout_s: False)
    one, two = serve("one"), serve("two")
    plan, folder = planned(model, one.address, two.address), tmp_path / "r"
    wanted = {r.key for name in plan.devices for r in schedule.runs(plan, name)}
    run_one = made.run

    def lost(self, told):
        # As a power cut: in the middle of the second device's third repetition.
        if (
            str(tmp_path / "two") in self.request.path
            and sum(str(tmp_path / "two") in r.path for r in made.asked) == 2
        ):
            two._loop.run(two._server.stop(0))
        return run_one(self, told)

    monkeypatch.setattr(made, "run", lost)
    with pytest.raises(RemoteError, match=r"1 of 2 devices did not come to their end .two: agent"):
        runner.run(plan, folder)
    first = done(folder)
    assert sum("(one," in key for key in first) == 6
    assert sum("(two," in key for key in first) == 2
    assert [e["device"] for e in journal.read(folder) if e["event"] == "lost"] == ["two"]
    monkeypatch.setattr(made, "run", run_one)
    again = serve("two-again")
    runner.run(planned(model, one.address, again.address), folder)
    assert set(done(folder)) == wanted
    assert set(done(folder).values()) == {1}
    found = results.read(folder)
    assert found.environments.keys() == {"one", "two"}
    (cell, _) = found.by_cell
    (repetition, _) = found.by_cell[cell]
    assert repetition.median_ms == 4.0
    assert (repetition.values, repetition.absent) == ({"peak_rss_bytes": 7}, {"x": "no y"})
    assert [s.median_ms for s in summary.of(found)] == [4.0, 4.0]


def test_a_device_that_is_lost_with_every_try_of_a_run_is_given_up(
    serve: Callable[[str], AgentServer], made, model: Artifact, tmp_path: Path, monkeypatch
) -> None:
    def gone(self, request, model, sha256, timeout_s):
        raise UnreachableError("agent two: went away")

    monkeypatch.setattr(devices.Agent, "measure", gone)
    with pytest.raises(RemoteError, match=r"2 of 2 devices did not come"):
        runner.run(planned(model, serve("one").address, serve("two").address), tmp_path / "r")
    lost = Counter(e["device"] for e in journal.read(tmp_path / "r") if e["event"] == "lost")
    assert lost == {"one": 3, "two": 3}


def test_a_device_that_is_not_there_is_said_before_anything_is_written(
    serve: Callable[[str], AgentServer], model: Artifact, tmp_path: Path
) -> None:
    plan = planned(model, serve("one").address)
    reach = devices.opener()
    with pytest.raises(UnreachableError, match=r"agent 127.0.0.1:1: not reached within"):
        runner.run(
            plan, tmp_path / "r", open_device=lambda n, a: _soon(a) if n == "two" else reach(n, a)
        )
    assert not (tmp_path / "r").exists()


def _soon(address: str) -> devices.Device:
    return devices.Agent(address, timeout_s=0.2)


def test_another_models_answer_is_refused(
    serve: Callable[[str], AgentServer], made, model: Artifact, monkeypatch
) -> None:
    monkeypatch.setattr(made, "sha256", "0" * 64)
    with BenchmarkClient(serve("one").address) as client, pytest.raises(RemoteError) as caught:
        client.measure(Request("", "train", 1, 3), model.path, model.sha256, 5.0)
    assert f"answered for the model 00000000, expected {model.sha256[:8]}" in str(caught.value)


def test_what_fails_on_the_device_is_a_result_and_no_lost_device(
    serve: Callable[[str], AgentServer], made, model: Artifact, monkeypatch
) -> None:
    monkeypatch.setattr(made, "dies", True)
    with BenchmarkClient(serve("one").address) as client, pytest.raises(WorkerError, match="SIGAB"):
        client.measure(Request("", "train", 1, 3), model.path, model.sha256, 5.0)


def test_the_device_does_one_thing_at_a_time(
    serve: Callable[[str], AgentServer], made, model: Artifact
) -> None:
    server = serve("one")
    request = Request("", "train", 1, 3)
    with BenchmarkClient(server.address) as client:
        client.upload(model.path)
        with (
            server.device.owner.operation("training", changes=True, long=True),
            pytest.raises(RemoteError, match="a benchmark cannot begin: training is under"),
        ):
            client.measure(request, model.path, model.sha256, 5.0)
        run = made.run

        def refused(self, told):
            with pytest.raises(RemoteError, match="a benchmark is under way"):
                client.load(model.sha256)
            return run(self, told)

        made.run = refused
        assert len(client.measure(request, model.path, model.sha256, 5.0).iteration_ms) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"phase": "dream"}, "phase 'dream': expected one of train, infer"),
        ({"threads": 0}, "threads: expected 1 to 256, got 0"),
        ({"iterations": 1 << 40}, "iterations: expected 1 to 1000000"),
        ({"kind": "poetry"}, "kind 'poetry': expected one of timing"),
        ({"seconds": float("nan")}, "seconds: expected 0 to"),
    ],
)
def test_what_no_device_should_do_is_refused(
    serve: Callable[[str], AgentServer], made, model: Artifact, change, said: str
) -> None:
    request = Request(**{"path": "", "phase": "train", "threads": 1, "iterations": 3, **change})
    with BenchmarkClient(serve("one").address) as client, pytest.raises(RemoteError, match=said):
        client.measure(request, model.path, model.sha256, 5.0)
    assert made.asked == []


def test_a_real_repetition_on_an_agent(
    serve: Callable[[str], AgentServer], model: Artifact
) -> None:
    told: list[float] = []
    with BenchmarkClient(serve("one").address) as client:
        answer = client.measure(
            Request("", "train", 1, 5), model.path, model.sha256, 60.0, told.extend
        )
    assert len(answer.iteration_ms) == 5
    assert told == list(answer.iteration_ms)
    assert answer.values["peak_rss_bytes"] > 1e7
    assert answer.model_sha256 == model.sha256


def test_a_caller_that_leaves_ends_the_process(
    serve: Callable[[str], AgentServer], model: Artifact, monkeypatch
) -> None:
    begun, killed, ended = threading.Event(), threading.Event(), threading.Event()
    in_time: list[bool] = []

    class Endless(own_process.OwnProcess):
        def run(self, told) -> Answer:
            begun.set()
            in_time.append(killed.wait(10))
            ended.set()
            raise WorkerError("killed")

        def kill(self) -> None:
            killed.set()

    monkeypatch.setattr("tfplus.benchmark.own_process.OwnProcess", Endless)
    server = serve("one")
    device = devices.Agent(server.address)

    def left() -> None:
        with pytest.raises(RemoteError):
            device.measure(Request("", "train", 1, 3), model.path, model.sha256, 60.0)

    lane = threading.Thread(target=left)
    lane.start()
    assert begun.wait(30)
    device.stop()
    lane.join()
    assert ended.wait(30)
    assert in_time == [True]
    # The device is free again: this waits for that.
    freed = server.device.owner.reservation("what comes next")
    freed.take(patient=True)
    freed.release()
